"""What the figures of a study show, from what its finished runs recorded."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, TypeVar

import torch
from torch import Tensor

from softtargets.analysis import class_means
from softtargets.measures import trace_run
from softtargets.measures.calibration import reliability_of
from softtargets.measures.gaps import gaps_of
from softtargets.measures.run import FAILURES, kept
from softtargets.measures.subject import Subject
from softtargets.runs.record import Predictions, read_predictions
from softtargets.runs.store import RunStore
from softtargets.studies.exact import loss_curves
from softtargets.studies.gather_plan import StudyPlan
from softtargets.studies.results import CellKey, CellRecord, ClassMeans, Curve, Density, Diagram, Projected, Trace

BINS = 40
SAMPLE = 1_000_000
# Examples of each class and split that a projection shows.
POINTS = 100
# Classes whose mean predictions are shown.
CLASSES = 100

Found = TypeVar("Found")


class Figures:
    """The figures of a plan. What could not be made of one run is left out; `problems` says why, by its identity."""

    def __init__(self, plan: StudyPlan, cells: Sequence[CellRecord], store: RunStore) -> None:
        self.plan, self.store = plan, store
        self.problems: dict[str, list[str]] = {}
        self._resolved = {resolved.identity: resolved for _, resolved in plan.runs}
        self._complete: dict[CellKey, list[CellRecord]] = {}
        for record in sorted(cells, key=lambda record: record.seed):
            if record.status == "complete":
                self._complete.setdefault(record.key, []).append(record)

    def curves(self) -> tuple[Curve, ...]:
        """Return exact curves of losses."""
        drawn = [output.noise for output in self.plan.shown("curves")]
        # the study holds rates alone where curves are drawn
        return tuple(curve for noise in drawn for curve in loss_curves(tuple(map(float, noise))))

    def densities(self) -> tuple[Density, ...]:
        """Return histograms over the pooled seeds of each cell."""
        pooled = ((key, metric, self._pooled(key, metric)) for key, metric in self._places("density"))
        return tuple(_histogram(key, metric, gaps) for key, metric, gaps in pooled if gaps is not None)

    def diagrams(self) -> tuple[Diagram, ...]:
        """Return reliability diagrams summed over the seeds of each cell."""
        return _present(self._diagram(key, metric) for key, metric in self._places("reliability"))

    def projections(self) -> tuple[Projected, ...]:
        """Return three classes on the plane of their templates, of the first seed of each cell."""
        places = self._places("projection", splits=("train", "test"))
        runs = ((self._complete[key][0], split) for key, split in places if key in self._complete)
        return _present(self._guarded(record, lambda r, s=split: self._projected(r, s)) for record, split in runs)

    def class_means(self) -> tuple[ClassMeans, ...]:
        """Return mean predictions of each class, mean over the seeds of each cell."""
        return _present(self._class_means(key, split) for key, split in self._places("classes", splits=("test",)))

    def traces(self) -> tuple[Trace, ...]:
        """Return numbers through training, over the seeds of each cell."""
        return _present(self._trace(key, metric) for key, metric in self._places("trace"))

    def _places(self, kind: str, splits: tuple[str, ...] | None = None) -> list[tuple[CellKey, str]]:
        """Return every cell, with every metric or split, that outputs of a kind show; each once."""
        found: dict[tuple[CellKey, str], None] = {}
        for output in self.plan.shown(kind):
            names = output.metrics if splits is None else output.splits or splits
            found.update(dict.fromkeys((key, name) for name, key in product(names, self.plan.cells(output))))
        return list(found)

    def _guarded(self, record: CellRecord, make: Callable[[CellRecord], Found]) -> Found | None:
        """Make something of one run; None where that fails, which may not cost the page of all others."""
        try:
            return make(record)
        except FAILURES as error:
            self.problems.setdefault(record.run_id, []).append(f"not shown: {error}")
            return None

    def _predictions(self, key: CellKey) -> Iterator[Predictions]:
        """Yield the predictions of the complete runs of a cell, one at a time."""
        for record in self._complete.get(key, []):
            yield read_predictions(self.store.path(record.run_id))

    def _pooled(self, key: CellKey, metric: str) -> Tensor | None:
        parts = [gaps_of(predictions, metric.removeprefix("gap.")) for predictions in self._predictions(key)]
        gaps = torch.cat(parts) if parts else None
        return None if gaps is None or len(gaps) == 0 else gaps.double()

    def _diagram(self, key: CellKey, metric: str) -> Diagram | None:
        each = [reliability_of(predictions, metric) for predictions in self._predictions(key)]
        bins = [one for one in each if one is not None]
        if not bins:
            return None
        return Diagram(
            key=key,
            metric=metric,
            edges=tuple(bins[0].edges.tolist()),
            count=_total([one.count for one in bins]),
            confidence=_total([one.confidence for one in bins]),
            correct=_total([one.correct for one in bins]),
            runs=len(bins),
        )

    def _projected(self, record: CellRecord, split: str) -> Projected:
        classes = self.plan.classes
        what = {"figure": "projection", "split": split, "classes": classes, "points": POINTS}
        found = self._kept(record, what, lambda subject: _points(subject, split))
        return Projected(
            key=record.key,
            seed=record.seed,
            split=split,
            classes=tuple(found["names"]),
            labels=tuple(found["labels"]),
            wrong=tuple(found["wrong"]),
            x=tuple(found["x"]),
            y=tuple(found["y"]),
            templates=tuple((x, y) for x, y in found["templates"]),
        )

    def _class_means(self, key: CellKey, split: str) -> ClassMeans | None:
        each = [
            class_means(predictions[f"{split}.logits"].double().softmax(-1), predictions[f"{split}.labels"])
            for predictions in self._predictions(key)
        ]
        if not each:
            return None
        mean = torch.stack(each).mean(0)
        # a class without an example has no mean
        present = (~mean.isnan().any(1)).nonzero()[:CLASSES, 0]
        names = self._guarded(self._complete[key][0], self._class_names) or tuple(map(str, range(len(mean))))
        return ClassMeans(
            key=key,
            split=split,
            classes=tuple(names[place] for place in present.tolist()),
            means=tuple(tuple(row) for row in mean[present][:, present].tolist()),
            runs=len(each),
        )

    def _class_names(self, record: CellRecord) -> tuple[str, ...]:
        return tuple(self._kept(record, {"figure": "class names"}, lambda subject: list(subject.class_names)))

    def _trace(self, key: CellKey, metric: str) -> Trace | None:
        def by_epoch(record: CellRecord) -> dict[int, float]:
            return trace_run(self._resolved[record.run_id], self.store, metric, self.plan.classes)

        each = [self._guarded(record, by_epoch) for record in self._complete.get(key, [])]
        runs = [one for one in each if one]
        epochs = sorted(set.intersection(*(set(one) for one in runs))) if runs else []
        if not epochs:
            return None
        values = [[one[epoch] for one in runs] for epoch in epochs]
        return Trace(
            key=key,
            metric=metric,
            epochs=tuple(epochs),
            mean=tuple(sum(row) / len(row) for row in values),
            low=tuple(map(min, values)),
            high=tuple(map(max, values)),
            runs=len(runs),
        )

    def _kept(self, record: CellRecord, what: dict[str, Any], make: Callable[[Subject], Any]) -> Any:
        """Return what was made of a run before, or open it, make it and keep it."""
        return kept(self._resolved[record.run_id], self.store, what, make, self.plan.classes)


def _present(found: "Iterator[Found | None]") -> tuple[Found, ...]:
    return tuple(one for one in found if one is not None)


def _points(subject: Subject, split: str) -> dict[str, Any]:
    """Return a projection as JSON data; labels are places among the three classes."""
    places = subject.of_classes(split, POINTS)
    found = subject.projected(split, places)
    wrong = subject.predictions[f"{split}.observed"][places] != found.labels
    return {
        "names": [subject.class_names[name] for name in subject.classes],
        "labels": [subject.classes.index(label) for label in found.labels.tolist()],
        "wrong": wrong.tolist(),
        "x": found.points[:, 0].tolist(),
        "y": found.points[:, 1].tolist(),
        "templates": found.templates.tolist(),
    }


def _total(sums: list[Tensor]) -> tuple:
    return tuple(torch.stack(sums).sum(0).tolist())


def _histogram(key: CellKey, metric: str, gaps: Tensor) -> Density:
    """Bin the middle 99 % of the gaps: an unbounded loss sends a few logits too far to draw."""
    sample = gaps[:: max(1, len(gaps) // SAMPLE)]
    low, high = torch.quantile(sample, sample.new_tensor([0.005, 0.995])).tolist()
    high = high if high > low else low + 1.0
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    inside = gaps[(gaps >= low) & (gaps <= high)]
    counts = torch.bincount(torch.bucketize(inside, edges[1:-1]), minlength=BINS).double()
    density = counts / len(gaps) * BINS / (high - low)
    return Density(key, metric, tuple(edges.tolist()), tuple(density.tolist()), float(gaps.mean()), len(gaps))
