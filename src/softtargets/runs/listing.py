"""What a run store holds: one entry for each run that is finished, partial, failed or damaged."""

import os
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from safetensors import SafetensorError, safe_open

from softtargets._errors import fail, nearest, shortened, unknown
from softtargets._spec import NamedSpec
from softtargets._storage import open_regular, parse_json, read_regular
from softtargets.metrics import accuracy
from softtargets.runs.index import RunFiles, RunIndex
from softtargets.runs.loggers import LOGGERS
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import DAMAGE, HISTORY, HISTORY_BYTES, PREDICTIONS, SPEC, RunStore

Status = Literal["finished", "partial", "failed", "damaged"]
STATUSES: tuple[Status, ...] = get_args(Status)
_IDENTITY = re.compile(r"([0-9a-f]{64})(\.partial|\.failed\.json)?")
_DAMAGED = re.compile(r"(.+)\.damaged-\d+")
_FEWEST_DIGITS = 8
_REASON = 200
# Time of the last change of what cannot be read.
_UNKNOWN = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class RunEntry:
    """A run in the store.

    Attributes:
        identity: 64 hexadecimal digits; the name of the file or folder if that is damaged and has another name.
        status: "finished"; "partial", in training or interrupted; "failed"; or "damaged".
        data: name of the data set in the specification. This and the following five are "" if it cannot be read.
        noise: kind of label noise, with the settings that differ from their defaults; "" for none.
        model: name of the model, with these settings.
        objective: name of the objective, with these settings.
        seeds: the seed of all streams, or the seeds by stream.
        epoch: number of epochs trained; None if unknown.
        epochs: number of epochs in all; None if unknown.
        test_accuracy: fraction in [0, 1] of the test split that is classified correctly, in the last epoch, or of its
            tokens, if the network writes tokens; None for runs that are not finished, or have no test split.
        reason: why the run failed or is damaged; otherwise "".
        size: bytes on disk.
        modified: time of the last change, in UTC.
        path: the folder, or the file of a failure.
    """

    identity: str
    status: Status
    path: Path
    data: str = ""
    noise: str = ""
    model: str = ""
    objective: str = ""
    seeds: str = ""
    epoch: int | None = None
    epochs: int | None = None
    test_accuracy: float | None = None
    reason: str = ""
    size: int = 0
    modified: datetime = _UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; the time is in ISO format."""
        return {**vars(self), "path": str(self.path), "modified": self.modified.isoformat(timespec="seconds")}


@dataclass(frozen=True, repr=False)
class RunListing:
    """The runs of a store, the latest first, and what else it holds.

    Attributes:
        folder: the store.
        runs: the entries that were asked for.
        others: bytes on disk of the store's other folders by name: "cache" (decoded data sets), "derived" (measures),
            "teachers" (outputs of teachers), and those of loggers, such as "tensorboard".
    """

    folder: Path
    runs: tuple[RunEntry, ...]
    others: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        count = Counter(entry.status for entry in self.runs)
        runs = ", ".join(f"{count[status]} {status}" for status in STATUSES if count[status])
        return f"{type(self).__name__}(folder='{self.folder}', runs: {runs or 'none'})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        runs = [entry.to_dict() for entry in self.runs]
        return {"folder": str(self.folder), "runs": runs, "others": self.others}

    def short(self, identity: str) -> str:
        """Return the first digits of an identity, at least 8, that tell the runs of this listing apart."""
        place = bisect_left(self._identities, identity)
        neighbours = self._identities[max(0, place - 1) : place + 2]  # one of these shares the most digits
        digits = max((_alike(identity, other) + 1 for other in neighbours if other != identity), default=0)
        return identity[: max(_FEWEST_DIGITS, digits)]

    @cached_property
    def _identities(self) -> list[str]:
        return sorted({entry.identity for entry in self.runs})


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def list_runs(
    runs: Path | str = "runs",
    *,
    prefix: str = "",
    status: Status | None = None,
    data: str = "",
    model: str = "",
    objective: str = "",
    verify: bool = False,
) -> RunListing:
    """List what a run store holds. No run is changed, and a damaged record is an entry, never an error.

    Runs whose files are as they were at the last listing are not read again: see :mod:`softtargets.runs.index`.

    Args:
        runs: folder of the run store.
        prefix: list only runs whose identity starts with it.
        status: list only runs of this status.
        data: list only runs whose data set has this text in its name, in upper or lower case.
        model: likewise for the model and its settings.
        objective: likewise for the objective and its settings.
        verify: also compare the checksums of all files of finished runs, which reads them completely. Otherwise only
            the sizes are compared.

    Returns:
        The runs, the latest first.

    Raises:
        InputError: if there is no such folder, or no such status, or if `prefix` cannot begin an identity.
    """
    store = RunStore(runs)
    if not re.fullmatch("[0-9a-f]{0,64}", prefix):
        remedy = "leave it out for all runs"
        raise fail("prefix", "the first of the 64 hexadecimal digits of an identity", f"'{shortened(prefix)}'", remedy)
    if status is not None and status not in STATUSES:
        raise unknown("status", status, STATUSES)
    if not store.folder.is_dir():
        raise _no_folder(store.folder)
    wanted = {"data": data, "model": model, "objective": objective}
    entries = [
        entry
        for entry in _entries(store, verify)
        if entry.identity.startswith(prefix)
        and status in (None, entry.status)
        and all(text.casefold() in getattr(entry, name).casefold() for name, text in wanted.items())
    ]
    entries.sort(key=lambda entry: entry.modified, reverse=True)
    folders = {name: _size(store.folder / name) for name in ("cache", "derived", "teachers", *LOGGERS)}
    return RunListing(store.folder, tuple(entries), {name: size for name, size in folders.items() if size})


def _no_folder(folder: Path) -> Exception:
    got = f"'{folder}', which {'is a file' if folder.exists() else 'does not exist'}"
    siblings = entry_names(folder.parent) if folder.parent.is_dir() else []
    close = nearest(folder.name, siblings, cutoff=0.75)
    remedy = f"did you mean '{folder.with_name(close)}'?" if close else "train a run first, or give another folder"
    return fail("runs", "the folder of a run store", got, remedy)


def entry_names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none if it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _entries(store: RunStore, verify: bool) -> Iterator[RunEntry]:
    names = entry_names(store.folder)
    runs: dict[str, set[str]] = {}
    for name in names:
        if match := _IDENTITY.fullmatch(name):
            runs.setdefault(match[1], set()).add(match[2] or "")
        elif match := _DAMAGED.fullmatch(name):
            path = store.folder / name
            known = _IDENTITY.fullmatch(match[1])
            yield _entry(known[1] if known else name, "damaged", path, reason="set aside because it was damaged")
    with RunIndex(store.folder) as index:
        for identity, parts in runs.items():
            files = None if verify else RunFiles.of(*(store.folder / f"{identity}{part}" for part in sorted(parts)))
            known = None if files is None else index.get(identity, files)
            if known is not None:
                yield _kept(identity, store.folder, known)
                continue
            entry = _read(store, identity, parts, verify)
            yield entry
            if files is not None:
                index.put(identity, files, _to_keep(entry))


def _read(store: RunStore, identity: str, parts: set[str], verify: bool) -> RunEntry:
    if "" in parts:
        return _finished(store, identity, verify)
    return _failed(store, identity) if ".failed.json" in parts else _entry(identity, "partial", store.partial(identity))


def _to_keep(entry: RunEntry) -> dict[str, Any]:
    return {**vars(entry), "path": entry.path.name, "modified": entry.modified.timestamp()}


def _kept(identity: str, folder: Path, fields: dict[str, Any]) -> RunEntry:
    modified = datetime.fromtimestamp(fields["modified"], UTC)
    return RunEntry(**{**fields, "identity": identity, "path": folder / fields["path"], "modified": modified})


def _finished(store: RunStore, identity: str, verify: bool) -> RunEntry:
    folder = store.path(identity)
    try:
        store.checked_result(identity, checksums=verify)
        reached = _test_accuracy(folder / PREDICTIONS)
    except (OSError, SafetensorError, *DAMAGE) as error:
        return _entry(identity, "damaged", folder, reason=_in_words(error))
    return _entry(identity, "finished", folder, test_accuracy=reached)


def _failed(store: RunStore, identity: str) -> RunEntry:
    failure, partial = store.failure(identity), store.partial(identity)
    path = partial if partial.is_dir() else store.folder / f"{identity}.failed.json"
    if failure is None:
        return _entry(identity, "damaged", path, reason="the file of its failure cannot be read")
    told = _told(store.failed_specification(identity).encode())
    return _entry(identity, "failed", path, reason=" ".join(failure.message.split()), **told)


def _entry(identity: str, status: Status, path: Path, **known: Any) -> RunEntry:
    """Return an entry with all that can be read from its folder."""
    given = {"epoch": _epoch(path), "size": _size(path), "modified": _modified(path), **_described(path), **known}
    return RunEntry(identity, status, path, **given)


def _test_accuracy(path: Path) -> float | None:
    open_regular(path).close()
    with safe_open(path, framework="pt") as file:
        if "test.tokens" in file.keys():  # noqa: SIM118
            tokens = int(file.get_tensor("test.tokens").sum())
            return float(file.get_tensor("test.correct").sum()) / tokens if tokens else None
        labels = file.get_tensor("test.labels")
        return float(accuracy(logits=file.get_tensor("test.logits"), labels=labels)) if len(labels) else None


def _described(folder: Path) -> dict[str, Any]:
    """Return what a specification says, in words; an empty table if there is none that can be read."""
    try:
        return _told(read_regular(folder / SPEC))
    except (OSError, *DAMAGE):
        return {}


def _told(content: bytes) -> dict[str, Any]:
    """Return what the JSON of a specification says, in words."""
    try:
        run = ResolvedRun.model_validate_json(content).run
    except ValueError:
        return _named(content)  # damaged, or of another version
    seeds = run.seeds.model_dump()
    alike = len(set(seeds.values())) == 1
    return {
        "data": run.data.name,
        "noise": "" if run.noise is None else _settings(run.noise),
        "model": _settings(run.model),
        "objective": _settings(run.objective),
        "seeds": str(run.seeds.order) if alike else ", ".join(f"{name} {seed}" for name, seed in seeds.items() if seed),
        "epochs": run.training.epochs,
    }


def _named(content: bytes) -> dict[str, Any]:
    """Return the names in a specification that cannot be validated."""
    try:
        run = parse_json(content)["run"]
        return {part: str(run[part]["name"]) for part in ("data", "model", "objective")}
    except (OSError, *DAMAGE):
        return {}


def _settings(spec: NamedSpec) -> str:
    return in_short({"name": spec.name, **spec.model_dump(mode="json", exclude_defaults=True)})


def in_short(settings: dict[str, Any]) -> str:
    """Return a name and its settings.

    Example:
        >>> in_short({"name": "resnet", "depth": 20, "widths": [8, 16]})
        'resnet depth=20 widths=8,16'
    """
    given = str(settings.pop("name", ""))
    words = [given]
    for name, value in settings.items():
        if name == given:  # as in: import = "my_package.nets:build"
            words.append(str(value))
        elif isinstance(value, dict):
            words.append(f"{name}=({in_short(dict(value)).strip()})")
        elif isinstance(value, list):
            words.append(f"{name}={','.join(map(str, value)) or 'none'}")
        else:
            words.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
    return " ".join(words)


def _epoch(folder: Path) -> int | None:
    """Return the number of epochs in the history; its last line may be cut short."""
    try:
        rows = read_regular(folder / HISTORY, max_bytes=HISTORY_BYTES).splitlines()
    except (OSError, *DAMAGE):
        return None
    for row in reversed(rows):
        with suppress(*DAMAGE):
            return int(parse_json(row)["epoch"])
    return 0


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links are not followed, errors count as 0."""
    if not path.is_dir() or path.is_symlink():
        try:
            return path.lstat().st_size
        except OSError:
            return 0
    return sum(_size(Path(folder) / name) for folder, _, files in os.walk(path, followlinks=False) for name in files)


def _modified(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return _UNKNOWN


def _in_words(error: Exception) -> str:
    """Return why a record is damaged."""
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return f"{Path(str(error.filename)).name}: {error.strerror}"
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        text = f"an entry {text} is missing"
    return shortened(text, _REASON) or type(error).__name__
