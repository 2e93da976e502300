"""What `softtargets train` does: one run of the user's own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from softtargets.data import fingerprint
from softtargets.data.sources import load_cached
from softtargets.measures.quality import measure
from softtargets.runs.spec import RunSpec, read_toml
from softtargets.runs.store import RunStore
from softtargets.train.execute import Outcome, resolve
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all


@dataclass(frozen=True)
class SingleOutcome:
    """What came of it: the run's folder, and its measures unless it failed."""

    outcome: Outcome
    folder: Path
    metrics: dict[str, float]


def train_specification(
    path: Path, runs: Path, *, on_progress: Callable[[Progress], None] = lambda state: None
) -> SingleOutcome:
    """Train the run that a TOML file specifies, unless the store has it.

    A relative path of its data set is taken from the working directory.

    Raises:
        InputError: for a bad file, key, data set, column or label, before anything is trained.
    """
    run = RunSpec.parse(read_toml(path), source=str(path))
    store = RunStore(runs)
    load_cached(run.data, str(store.cache))  # pyright: ignore[reportArgumentType]
    resolved = resolve(run, fingerprint(run.data, cache=store.cache))
    outcomes = train_all([resolved], store, workers=1, on_progress=on_progress)
    outcome = next(found for found in outcomes if found.identity == resolved.identity)
    metrics = {} if outcome.status == "failed" else measure(store, resolved.identity)
    return SingleOutcome(outcome, store.path(resolved.identity), metrics)
