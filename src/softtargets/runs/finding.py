"""Finding a finished run by its folder or the first digits of its identity."""

import re
from pathlib import Path

from softtargets._errors import fail, shortened
from softtargets._storage import user_path
from softtargets.runs.listing import entry_names
from softtargets.runs.store import SPEC, RunStore


def find_run(run: Path | str, runs: Path | str = "runs") -> Path:
    """Return the folder of a finished run.

    Args:
        run: the path of the folder, or the first digits of the run's identity.
        runs: folder of the run store, for the digits.

    Raises:
        InputError: if there is no such run, it is not finished, or several runs start with these digits.
    """
    path = user_path("run", run)
    if (path / SPEC).exists():
        return path
    text, store = str(run), RunStore(runs)
    names = entry_names(store.folder)
    if not re.fullmatch(r"[0-9a-f]+", text):
        got = f"'{shortened(text)}', {'which has none' if path.exists() else 'which does not exist'}"
        raise fail("run", f"a folder with a {SPEC}, or the first digits of an identity", got, _see(store))
    finished = [name for name in names if name.startswith(text) and len(name) == 64]
    if len(finished) == 1:
        return store.path(finished[0])
    if finished:
        got = f"'{text}', the start of {', '.join(name[: len(text) + 8] for name in finished[:5])}"
        raise fail("run", "digits that only one run starts with", got, "give more digits")
    others = [name for name in names if name.startswith(text)]
    found = (
        f"'{text}', which matches {others[0]}" if others else f"'{text}', which no run in '{store.folder}' starts with"
    )
    raise fail("run", "the first digits of a finished run's identity", found, _see(store))


def _see(store: RunStore) -> str:
    return f"see: softtargets runs --runs {store.folder}"
