"""The results of an audit, as shown by the page, the files and the Python API."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.rows import AuditedRows
from softtargets.matrices import Transition
from softtargets.noise import NoiseMixture
from softtargets.report.encoding import finite
from softtargets.report.notebook import NotebookResult

if TYPE_CHECKING:
    from softtargets.audit.annotators import AnnotatorAudit

SCHEMA_VERSION = 1

Action = Literal["keep", "drop and relabel", "compare corrections", "get better predictions"]


@dataclass(frozen=True)
class AuditedLabels:
    """The audited labels.

    Args:
        name: name of the data set, or of the first file of predictions.
        labels: which labels, in words.
        predictions: source of the held-out probabilities, in words.
        row_order: the order in which rows are counted from 0, in words.
        num_rows: number of labels.
        class_names: one for each class.
        agreement: share of the labels that equal the class predicted by the held-out probabilities.
        reviewed: number of labels that people decided on. The suspects are others.
    """

    name: str
    labels: str
    predictions: str
    row_order: str
    num_rows: int
    class_names: tuple[str, ...]
    agreement: float
    reviewed: int = 0


@dataclass(frozen=True)
class TransitionEstimate:
    """One estimate of the transition.

    Args:
        name: name of the estimator.
        label: its name in words.
        transition: from clean to observed classes.
        noise_rate: share of wrong labels that it implies, given the class prior of the chosen estimator.
        condition: condition number of the transition.
        distance: for each clean class, total variation to the reference transition; None without a reference.
    """

    name: str
    label: str
    transition: Transition
    noise_rate: float
    condition: float
    distance: tuple[float, ...] | None = None

    @property
    def mean_distance(self) -> float | None:
        """Mean of `distance` over the classes."""
        return None if self.distance is None else sum(self.distance) / len(self.distance)


@dataclass(frozen=True)
class Confusion:
    """A pair of classes, and the estimated number of examples of class `clean` that are labelled `observed`."""

    clean: int
    observed: int
    count: IntervalEstimate


@dataclass(frozen=True)
class ReferenceLabels:
    """The share of the audited labels that differ from the reference labels, and the transition between them."""

    noise_rate: float
    transition: Transition


@dataclass(frozen=True)
class NoiseEstimate:
    """The estimated noise.

    Args:
        rate: estimated share of wrong labels, with the range that allows for errors of the model.
        told: whether the range is narrow enough to tell the rate.
        principles: estimates of the rate by the name of the principle.
        accuracy: estimated accuracy of the predictions on the clean labels.
        confidence: confidence of the intervals of T, a fraction.
        estimates: the estimates of all estimators.
        chosen: name of the estimator on which everything else is based.
        chosen_because: the reason, in words.
        confusions: the pairs of classes with the most wrong labels, in descending order.
        reference: noise according to the reference labels, which are used only to evaluate the estimates; or None.
        mixture: the mixture that gives the probability that a label is wrong, before it is calibrated to `rate`.
    """

    rate: IntervalEstimate
    told: bool
    principles: dict[str, float] = field(hash=False)
    accuracy: float
    confidence: float
    estimates: tuple[TransitionEstimate, ...]
    chosen: str
    chosen_because: str
    confusions: tuple[Confusion, ...]
    reference: ReferenceLabels | None = None
    mixture: NoiseMixture | None = field(default=None, repr=False)

    @property
    def estimate(self) -> TransitionEstimate:
        """The chosen estimate."""
        return next(estimate for estimate in self.estimates if estimate.name == self.chosen)


@dataclass(frozen=True)
class LabelScore:
    """A score, and how well it ranks the labels.

    Args:
        name: its column in the files.
        label: its name in words.
        describes: its definition, one sentence.
        auroc: AUROC of wrong labels according to the reference; None without one.
        precision: share of the first `precision_at` labels that differ from the reference; None without one.
    """

    name: str
    label: str
    describes: str
    auroc: float | None = None
    precision: float | None = None


@dataclass(frozen=True, eq=False)
class Suspects:
    """The labels whose inspection has the largest expected F1, most suspect first.

    Args:
        rows: (M,) int64, rows of the audited labels.
        given, suggested: (M,) int64 labels.
        wrong: (M,) float32, estimated probability that the given label is wrong.
        scores: (M,) float32 by name; low values indicate wrong labels.
        reference: (M,) int64 reference labels, or None.
    """

    rows: Tensor
    given: Tensor
    suggested: Tensor
    wrong: Tensor
    scores: dict[str, Tensor]
    reference: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class ExamplePreview:
    """Preview of an example: an image as PNG with its width, a text, or the first columns of a table."""

    picture: bytes | None = None
    width: int = 0
    text: str | None = None
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class RankCutoff:
    """The estimated number of wrong labels among the `first` most suspect ones, and the number by the reference."""

    first: int
    wrong: IntervalEstimate
    true: int | None = None


@dataclass(frozen=True, eq=False)
class LabelRanking:
    """The ranking of the labels.

    Args:
        scores: all scores, and how well they rank.
        ranked_by: name of the score by which the suspects are ranked.
        precision_at: number of first labels from which the precision of a score is computed.
        suspects: the suspects, most suspect first.
        previews: previews of the first suspects, one for each that the page shows.
        cutoffs: estimated number of wrong labels along the ranking of all labels.
    """

    scores: tuple[LabelScore, ...]
    ranked_by: str
    precision_at: int
    suspects: Suspects
    previews: tuple[ExamplePreview, ...]
    cutoffs: tuple[RankCutoff, ...]


@dataclass(frozen=True)
class ClassAudit:
    """Estimates for one class.

    Args:
        observed: number of examples with this label.
        clean: estimated number of examples that belong to this class.
        wrong: estimated share of the examples with this label that belong to another class.
        lost: estimated share of the examples of this class that have another label.
        suspects: number of suspects with this label.
    """

    observed: int
    clean: float
    wrong: float
    lost: float
    suspects: int


@dataclass(frozen=True)
class PairedCheck:
    """Whether training without the suspects helps, by nested cross-validation on the audited labels.

    Args:
        gain: accuracy without the suspects minus accuracy with them, on the audited labels of rows that were used
            neither for training nor for finding suspects, with its 95 % interval. Wrong labels among these rows make
            it smaller than it is on right labels.
        accuracy: accuracy of the models that were fitted to all rows, on the same labels.
        dropped: share of the rows of training that were left out.
        rows: number of rows that were predicted.
    """

    gain: IntervalEstimate
    accuracy: float
    dropped: float
    rows: int

    @property
    def helps(self) -> bool:
        """Whether the interval of the gain is above 0."""
        return self.gain.low > 0


@dataclass(frozen=True)
class Recommendation:
    """The recommended action, the reasons, the numbers behind it, and the decision rule (the same for every audit)."""

    action: Action
    reason: tuple[str, ...]
    evidence: dict[str, float] = field(hash=False)
    rule: str


@dataclass(frozen=True)
class CrossValidatedModel:
    """The cross-validated models: number of folds, description, and common specification."""

    folds: int
    describes: str
    specification: str


@dataclass(frozen=True)
class AuditProvenance:
    """How the audit was made.

    Args:
        command: repeats the audit; None for arrays.
        model: the cross-validated models; None if predictions were given.
        notes: remarks for the reader.
        versions: versions of the packages.
        settings: the arguments of the audit, from which it can be repeated.
    """

    command: str | None
    model: CrossValidatedModel | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict, hash=False)
    settings: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, eq=False, repr=False)
class AuditResults(NotebookResult):
    """The results of :func:`~softtargets.audit.audit_labels`.

    Args:
        audited: the audited labels.
        noise: the estimated noise.
        ranking: the ranking of the labels.
        classes: one for each class.
        recommendation: the recommended action.
        provenance: how the audit was made.
        check: whether training without the suspects helps; None if that was not checked.
        annotators: the annotators; None if their labels were not given.
        page: path of the page; None if none was written.
        rows: every row, for the files beside the page; None without them.
    """

    audited: AuditedLabels
    noise: NoiseEstimate
    ranking: LabelRanking
    classes: tuple[ClassAudit, ...]
    recommendation: Recommendation
    provenance: AuditProvenance
    check: PairedCheck | None = None
    annotators: "AnnotatorAudit | None" = None
    page: Path | None = None
    rows: AuditedRows | None = None

    @property
    def informative(self) -> bool:
        """Whether the held-out predictions are better than guessing. If not, the estimates are not valid."""
        return self.recommendation.action != "get better predictions"

    def __repr__(self) -> str:
        rate, suspects = self.noise.rate, len(self.ranking.suspects)
        ends = f"{100 * rate.low:.1f} % to {100 * rate.high:.1f} %"
        said = f"{100 * rate.estimate:.1f} % (range {ends})" if self.noise.told else f"cannot be told (range {ends})"
        found = (
            f"Estimated noise rate {said}, {suspects:,} suspect{'' if suspects == 1 else 's'}."
            if self.informative
            else "No finding: the predictions are not better than guessing."
        )
        return (
            f"AuditResults: {self.audited.num_rows:,} labels of {self.audited.name}, "
            f"{len(self.audited.class_names)} classes. {found} Recommended: {self.recommendation.action}."
        )

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row for each suspect, most suspicious first: its row, labels and probability of being wrong."""
        names, suspects = self.audited.class_names, self.ranking.suspects
        columns = (suspects.rows, suspects.given, suspects.suggested, suspects.wrong)
        return [
            {"row": row, "given": names[given], "suggested": names[suggested], "probability_wrong": wrong}
            for row, given, suggested, wrong in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def plot(self, ax: Any = None) -> Any:
        """Plot the estimated transition matrix: a row is a clean class, a column an observed one."""
        chosen = next(estimate for estimate in self.noise.estimates if estimate.name == self.noise.chosen)
        return chosen.transition.plot(ax, class_names=self.audited.class_names)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``audit.json``: plain numbers, text, lists and dictionaries.

        The suspects are not included; they have their own files. Numbers that are not finite are None.
        """
        audited, noise, ranking, provenance = self.audited, self.noise, self.ranking, self.provenance
        names, reference = audited.class_names, noise.reference
        data = {
            "schema_version": SCHEMA_VERSION,
            "name": audited.name,
            "labels": audited.labels,
            "predictions": audited.predictions,
            "command": provenance.command,
            "settings": provenance.settings,
            "versions": provenance.versions,
            "rows": audited.num_rows,
            "reviewed": audited.reviewed,
            "row_order": audited.row_order,
            "class_names": list(names),
            "held_out_agreement": audited.agreement,
            "confidence": noise.confidence,
            "noise_rate": asdict(noise.rate),
            "noise_rate_told": noise.told,
            "noise_rate_principles": noise.principles,
            "estimated_accuracy": noise.accuracy,
            "recommendation": asdict(self.recommendation),
            "paired_check": self.check and asdict(self.check),
            "chosen_estimator": noise.chosen,
            "estimates": [_estimate_as_dict(estimate) for estimate in noise.estimates],
            "reference": reference
            and {"noise_rate": reference.noise_rate, "transition": reference.transition.to_dense().tolist()},
            "confusions": [
                {"clean": names[pair.clean], "observed": names[pair.observed], **asdict(pair.count)}
                for pair in noise.confusions
            ],
            "ranking": ranking.ranked_by,
            "scores": [asdict(score) for score in ranking.scores],
            "classes": [{"name": name, **asdict(found)} for name, found in zip(names, self.classes, strict=True)],
            "suspects": len(ranking.suspects),
            "cuts": [
                {"first": cutoff.first, "true": cutoff.true, **asdict(cutoff.wrong)} for cutoff in ranking.cutoffs
            ],
            "model": provenance.model and asdict(provenance.model),
            "notes": list(provenance.notes),
            **({} if self.annotators is None else {"annotators": self.annotators.to_dict()}),
        }
        return finite(data)


def _estimate_as_dict(estimate: TransitionEstimate) -> dict[str, Any]:
    return {
        "name": estimate.name,
        "noise_rate": estimate.noise_rate,
        "condition": estimate.condition,
        "transition": estimate.transition.to_dense().tolist(),
        "distance_to_reference": estimate.distance and list(estimate.distance),
    }
