"""The result of an evaluation, as shown by the page, the JSON file and the Python API."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from softtargets._results import new_axes, unit_square
from softtargets.evaluate.confusion import ConfusionTable
from softtargets.evaluate.curves import ConfidenceHistogram, ReliabilityDiagram, RiskCurve
from softtargets.evaluate.sets.results import SetEvaluation
from softtargets.evaluate.tokens.results import TokenEvaluation
from softtargets.evaluate.values import IntervalEnds, MetricDifference, MetricValue
from softtargets.evaluate.votes.results import VoteEvaluation, VoteRows
from softtargets.report.encoding import finite
from softtargets.report.notebook import NotebookResult
from softtargets.report.numbers import count

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FittedTemperature:
    """The effect of temperature scaling. Each fold is scaled by the temperature fitted on the other folds.

    Args:
        temperatures: one for each fold.
        converged: for each fold, whether the search converged.
        metrics: after scaling: the core metrics of `METRICS`, and overconfidence.
        changes: after minus before, for some of these.
        reliability: after scaling.
    """

    temperatures: tuple[float, ...]
    converged: tuple[bool, ...]
    metrics: tuple[MetricValue, ...]
    changes: tuple[MetricValue, ...]
    reliability: ReliabilityDiagram

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(self.temperatures)

    def metric(self, name: str) -> MetricValue | None:
        """Return a metric after scaling; None if it was not computed."""
        return _find(self.metrics, name)

    def change(self, name: str) -> MetricValue | None:
        """Return the change of a metric; None if it was not computed."""
        return _find(self.changes, name)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, with the metrics by name."""
        return {
            "temperatures": list(self.temperatures),
            "converged": list(self.converged),
            "metrics": _by_name(self.metrics),
            "changes": _by_name(self.changes),
            "reliability": asdict(self.reliability),
        }


@dataclass(frozen=True)
class ClassEvaluation:
    """One class.

    Args:
        labels: number of rows labelled as this class.
        predicted: number of rows predicted as this class.
        right: number of rows that are both.
        recall: right / labels; None without labels.
        recall_interval: Wilson interval of the recall.
        confidence: mean confidence of the rows predicted as this class; None without any.
        ece: calibration error of the probability of the class over all rows, in the bins of the class-wise ECE.
        significantly_worse: whether its recall is significantly below that of the other rows, by `classes_rule`.
    """

    labels: int
    predicted: int
    right: int
    recall: float | None
    recall_interval: IntervalEnds | None
    confidence: float | None
    ece: float
    significantly_worse: bool = False

    @property
    def precision(self) -> float | None:
        """right / predicted; None if no row is predicted as this class."""
        return self.right / self.predicted if self.predicted else None


@dataclass(frozen=True)
class EvaluatedModel:
    """The evaluation of one set of predictions.

    Args:
        name: unique name.
        files: files of the predictions; empty for arrays.
        kind: kind of the values.
        num_rows: number of rows; of sequences, number of evaluated tokens.
        metrics: those of `METRICS` that apply, in that order; always includes accuracy.
        zero_rows: number of rows whose label has probability 0.
        reliability: before temperature scaling.
        temperature: None if none was fitted; `no_temperature` then states the reason.
        histogram: histogram of the confidences.
        risk_coverage: risk-coverage curve, at most a few hundred points.
        classes: one for each class.
        no_temperature: a sentence, or empty text.
        notes: remarks on these predictions.
        tokens: the tokens by position and frequency if the rows are the tokens of sequences, else None.
        votes: scores against votes; None for hard labels. All other fields are those of the most frequent class of each
            row.
        confusion: the confusion matrix; None for tokens, and for more than 1,000 classes.
        sets: prediction sets; None if none were asked for.
    """

    name: str
    files: tuple[str, ...]
    kind: Literal["logits", "probs"]
    num_rows: int
    metrics: tuple[MetricValue, ...]
    zero_rows: int
    reliability: ReliabilityDiagram
    temperature: FittedTemperature | None
    histogram: ConfidenceHistogram
    risk_coverage: RiskCurve
    classes: tuple[ClassEvaluation, ...]
    no_temperature: str = ""
    notes: tuple[str, ...] = ()
    tokens: TokenEvaluation | None = None
    votes: VoteEvaluation | None = None
    confusion: ConfusionTable | None = None
    sets: SetEvaluation | None = None

    def metric(self, name: str) -> MetricValue | None:
        """Return a metric; None if it was not computed."""
        return _find(self.metrics, name)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, with the metrics by name."""
        return {
            "name": self.name,
            "files": list(self.files),
            "kind": self.kind,
            "rows": self.num_rows,
            "rows_with_probability_zero": self.zero_rows,
            "metrics": _by_name(self.metrics),
            "reliability": asdict(self.reliability),
            "temperature": self.temperature and self.temperature.to_dict(),
            "no_temperature": self.no_temperature,
            "histogram": asdict(self.histogram),
            "risk_coverage": asdict(self.risk_coverage),
            "confusions": self.confusion and self.confusion.to_dict(),
            "classes": [{**asdict(row), "precision": row.precision} for row in self.classes],
            "notes": list(self.notes),
            **({} if self.tokens is None else {"tokens": self.tokens.to_dict()}),
            **({} if self.votes is None else {"votes": self.votes.to_dict()}),
            **({} if self.sets is None else {"prediction_sets": self.sets.to_dict()}),
        }


@dataclass(frozen=True)
class Finding:
    """One answer.

    Args:
        tone: "reproduced" (good), "contradicted" (bad), "inconclusive" or "not-run": the colour on the page.
        title: the answer, a sentence.
        sentences: the numbers behind it.
    """

    tone: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class EvaluationResults(NotebookResult):
    """The result of :func:`~softtargets.evaluate.evaluate_predictions`.

    Args:
        command: repeats this evaluation; empty text for arrays, and for file names that no command can express.
        findings: whether the main model is calibrated, whether temperature scaling helps, and the comparison with each
            other model.
        models: the main model, then those it is compared with; all have the same classes.
        num_classes: K.
        confidence: confidence of every interval, a fraction.
        bins: number of bins of every binned metric.
        intervals: how the intervals were computed, in sentences.
        classes_rule: when a class is called significantly worse, in a sentence.
        calibration_rule: when a model is called calibrated, in sentences.
        tokens_rule: when tokens of a range are called over-confident, in sentences; empty for single examples.
        class_names: one for each class; empty if unknown.
        differences: for each other model, the metrics in the order of `METRICS`; empty for one model.
        notes: assumptions that a reader must know.
        versions: versions of the packages.
        vote_rows: what ``votes.csv`` lists for each row; None for hard labels.
        page: path of the page; None if none was written.
    """

    command: str
    findings: tuple[Finding, ...]
    models: tuple[EvaluatedModel, ...]
    num_classes: int
    confidence: float
    bins: int
    intervals: tuple[str, ...]
    classes_rule: str
    calibration_rule: str
    tokens_rule: str = ""
    class_names: tuple[str, ...] = ()
    differences: tuple[MetricDifference, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict, hash=False)
    vote_rows: VoteRows | None = field(default=None, compare=False)
    page: Path | None = None

    def __repr__(self) -> str:
        found = " ".join(" ".join((finding.title, *finding.sentences)) for finding in self.findings)
        return f"EvaluationResults: {self.size} of {self.main.name}, {self.num_classes:,} classes. {found}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row for each metric of each model: model, metric, label, value, and the ends of its interval."""
        return [
            {
                "model": model.name,
                "metric": value.name,
                "label": value.definition.label,
                "value": value.value,
                "low": None if value.interval is None else value.interval[0],
                "high": None if value.interval is None else value.interval[1],
            }
            for model in self.models
            for value in model.metrics
        ]

    def plot(self, ax: Any = None) -> Any:
        """Plot the reliability diagram of the evaluated model, with 95 % intervals of the accuracy in each bin."""
        ax = unit_square(new_axes(ax), x="confidence", y="accuracy")
        for one in self.main.reliability.width:
            if one.accuracy is not None and one.interval is not None:
                ax.plot([one.confidence, one.confidence], one.interval, color="C0")
                ax.plot(one.confidence, one.accuracy, marker="o", markersize=4, color="C0")
        ax.set_title(self.main.name)
        return ax

    @property
    def row_noun(self) -> str:
        """What a row is, "row" or "token"."""
        return "row" if self.main.tokens is None else "token"

    @property
    def size(self) -> str:
        """The number of rows, or of tokens and sequences, in words."""
        rows = count(self.main.num_rows, self.row_noun)
        tokens = self.main.tokens
        return rows if tokens is None else f"{rows} of {count(tokens.sequences, 'sequence')}"

    @property
    def main(self) -> EvaluatedModel:
        """The evaluated model."""
        return self.models[0]

    @property
    def others(self) -> tuple[EvaluatedModel, ...]:
        """The models that it is compared with."""
        return self.models[1:]

    def class_name(self, index: int) -> str:
        """Return the name of a class, or its index if classes have no names."""
        return self.class_names[index] if self.class_names else str(index)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``evaluation.json``: plain numbers, text, lists and dictionaries.

        Numbers that are not finite are None.
        """
        data = {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "versions": self.versions,
            "confidence": self.confidence,
            "bins": self.bins,
            "num_classes": self.num_classes,
            "class_names": list(self.class_names),
            "findings": [asdict(finding) for finding in self.findings],
            "models": [model.to_dict() for model in self.models],
            "differences": [difference.to_dict() for difference in self.differences],
            "intervals": list(self.intervals),
            "classes_rule": self.classes_rule,
            "calibration_rule": self.calibration_rule,
            "tokens_rule": self.tokens_rule,
            "notes": list(self.notes),
        }
        return finite(data)


def _find(metrics: tuple[MetricValue, ...], name: str) -> MetricValue | None:
    return next((metric for metric in metrics if metric.name == name), None)


def _by_name(metrics: Iterable[MetricValue]) -> dict[str, Any]:
    return {metric.name: metric.to_dict() for metric in metrics}
