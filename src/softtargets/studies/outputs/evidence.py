"""The finished runs of a study by cell, from which kinds of output gather their data."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, TypeVar

from softtargets._errors import fail
from softtargets._spec import Classes
from softtargets.measures import combine_predictions, trace_run
from softtargets.measures.run import FAILURES, kept
from softtargets.measures.subject import Subject
from softtargets.runs.record import Predictions, read_predictions
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.studies.layout import cells
from softtargets.studies.records import CellKey, CellRecord
from softtargets.studies.schema import Output, Study

Found = TypeVar("Found")


class Evidence:
    """The finished runs of a study at a scale.

    Data that cannot be computed for a run are omitted; `problems` contains the reasons, by identity of the run.
    """

    def __init__(
        self, study: Study, scale: str, records: Sequence[CellRecord], store: RunStore, resolved: Iterable[ResolvedRun]
    ) -> None:
        self.study, self.scale, self.store = study, scale, store
        self.problems: dict[str, list[str]] = {}
        self._resolved = {run.identity: run for run in resolved}
        self._complete: dict[CellKey, list[CellRecord]] = {}
        for record in sorted(records, key=lambda record: record.seed):
            if record.status == "complete":
                self._complete.setdefault(record.key, []).append(record)

    @property
    def classes(self) -> Classes | None:
        """The three classes of the scale: two similar ones and a different one."""
        return self.study.scales[self.scale].classes  # pyright: ignore[reportArgumentType]

    def gathered(
        self, output: Output, names: Sequence[str], make: Callable[["Evidence", CellKey, str], Found | None]
    ) -> tuple[Found, ...]:
        """Return what `make` returns for each cell of an output and each name (of a metric or a split)."""
        places = product(names, cells(self.study, output, self.scale))
        return tuple(found for name, key in places if (found := make(self, key, name)) is not None)

    def complete(self, key: CellKey) -> list[CellRecord]:
        """Return the complete runs of a cell, ordered by seed."""
        return self._complete.get(key, [])

    def predictions(self, key: CellKey) -> Iterator[Predictions]:
        """Yield the predictions of the complete runs of a cell, one at a time."""
        for record in self.complete(key):
            parts = [read_predictions(self.store.path(name)) for name in record.members or (record.run_id,)]
            yield combine_predictions(parts) if record.members else parts[0]

    def trace(self, record: CellRecord, name: str) -> dict[int, float]:
        """Return a trace of a run, by epoch."""
        return trace_run(self._run(record), self.store, name, self.classes)

    def guarded(self, record: CellRecord, make: Callable[[CellRecord], Found]) -> Found | None:
        """Return what `make` returns for a run; None if it fails, so that the page is still written."""
        try:
            return make(record)
        except FAILURES as error:
            self.problems.setdefault(record.run_id, []).append(f"not shown: {error}")
            return None

    def kept(self, record: CellRecord, what: dict[str, Any], make: Callable[[Subject], Any]) -> Any:
        """Return a cached value of a run, or compute and cache it.

        Args:
            record: a complete run.
            what: everything besides the run that the value depends on; JSON data.
            make: returns JSON data.
        """
        return kept(self._run(record), self.store, what, make, self.classes)

    def _run(self, record: CellRecord) -> ResolvedRun:
        if record.members:
            raise fail("arm", "one with runs of its own", f"'{record.key.arm}'", "show its members")
        return self._resolved[record.run_id]
