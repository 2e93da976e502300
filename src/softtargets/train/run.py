"""One training run of the user's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from softtargets._errors import fail, fail_type
from softtargets._spec import read_toml
from softtargets.data import fingerprint
from softtargets.data.sources import load_cached
from softtargets.measures import measure_record
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import resolve
from softtargets.train.progress import Progress
from softtargets.train.schedule import train_all


@dataclass(frozen=True)
class TrainedRun:
    """A run that was trained, or found in the store.

    Args:
        resolved: what was trained.
        folder: the run's record, where it did not fail.
        status: trained, present (in the store already) or failed.
        metrics: name -> value; fractions and nats. Empty where the run failed.
        message: why it failed; else empty.
    """

    resolved: ResolvedRun
    folder: Path
    status: Literal["trained", "present", "failed"]
    metrics: dict[str, float]
    message: str = ""

    def __repr__(self) -> str:
        shown = self.message or ", ".join(f"{name} {value:.4g}" for name, value in list(self.metrics.items())[:4])
        return f"TrainedRun({self.status}: {self.resolved.run.objective.name}; {shown}; {self.folder})"


def train_run(
    specification: RunSpec | Mapping[str, Any] | Path | str,
    *,
    runs: Path | str = "runs",
    on_progress: Callable[[Progress], None] = lambda state: None,
) -> TrainedRun:
    """Train the run that a specification describes, unless the store has it.

    Args:
        specification: a :class:`RunSpec`, its content as a mapping, or the path of a TOML file with that content. A
            relative path of its data set is resolved from the working directory.
        runs: folder of the run store.
        on_progress: called about twice a second while the run trains, from a thread of its own.

    Returns:
        The run's status, measures and folder.

    Raises:
        InputError: for a bad file, key, data set, column or label, before anything is trained.
        InputTypeError: where the specification is none of these.
    """
    run, store = _read(specification), RunStore(Path(runs))
    if store.folder.exists() and not store.folder.is_dir():
        raise fail("runs", "a folder", f"the file '{store.folder}'", "name another folder")
    load_cached(run.data, str(store.cache))  # pyright: ignore[reportArgumentType]
    resolved = resolve(run, fingerprint(run.data, cache=store.cache))
    outcomes = train_all([resolved], store, workers=1, on_progress=on_progress)
    outcome = next(found for found in outcomes if found.identity == resolved.identity)
    assert outcome.status != "busy"
    metrics = {} if outcome.status == "failed" else measure_record(store, resolved.identity)
    return TrainedRun(resolved, store.path(resolved.identity), outcome.status, metrics, outcome.message)


def _read(specification: RunSpec | Mapping[str, Any] | Path | str) -> RunSpec:
    if isinstance(specification, RunSpec):
        return specification
    if isinstance(specification, Mapping):
        return RunSpec.parse(specification)
    if not isinstance(specification, str | Path):
        required = "a RunSpec, a mapping or the path of a TOML file"
        raise fail_type("specification", required, type(specification).__name__, "pass one of these")
    return RunSpec.parse(read_toml(Path(specification)), source=str(specification))
