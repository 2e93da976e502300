"""What an audit found: what its page, its files and the Python API show."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from softtargets.matrices import Transition

SCHEMA_VERSION = 1

Action = Literal["keep", "smooth", "correct with T", "drop and relabel", "get better predictions"]


@dataclass(frozen=True)
class IntervalEstimate:
    """An estimated rate or count, and the ends of its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class AuditedLabels:
    """What was audited.

    Args:
        name: of the data set, or of the first file of predictions.
        labels: which labels, in words.
        predictions: where the held-out probabilities come from, in words.
        row_order: the order in which rows are counted, from 0, in words.
        num_rows: number of labels.
        class_names: one for each class.
        agreement: share of the labels that equal the class predicted by the held-out probabilities.
    """

    name: str
    labels: str
    predictions: str
    row_order: str
    num_rows: int
    class_names: tuple[str, ...]
    agreement: float


@dataclass(frozen=True)
class TransitionEstimate:
    """One estimate of the transition.

    Args:
        name: of the estimator.
        label: its name in words.
        transition: clean -> observed.
        noise_rate: share of wrong labels that it implies, given the class shares of the chosen estimator.
        condition: condition number of the transition.
        distance: per clean class, total variation to the reference's transition; None without a reference.
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
    """A pair of classes: how many examples of `clean` are estimated to be labelled `observed`."""

    clean: int
    observed: int
    count: IntervalEstimate


@dataclass(frozen=True)
class ReferenceLabels:
    """What the reference labels say: the share of the audited labels that differ, and the transition between them."""

    noise_rate: float
    transition: Transition


@dataclass(frozen=True)
class NoiseEstimate:
    """How many labels are wrong, and how.

    Args:
        rate: share of wrong labels by the chosen estimator, with its interval.
        confidence: of all intervals, a fraction.
        estimates: by every estimator.
        chosen: name of the estimator that everything else is computed with.
        chosen_because: why, in words.
        confusions: the pairs of classes with the most wrong labels, most first.
        reference: of labels that a user would not have. They judge the estimates and enter none.
    """

    rate: IntervalEstimate
    confidence: float
    estimates: tuple[TransitionEstimate, ...]
    chosen: str
    chosen_because: str
    confusions: tuple[Confusion, ...]
    reference: ReferenceLabels | None = None

    @property
    def estimate(self) -> TransitionEstimate:
        """The chosen estimate."""
        return next(estimate for estimate in self.estimates if estimate.name == self.chosen)


@dataclass(frozen=True)
class LabelScore:
    """How one score ranks the labels.

    Args:
        name: its column in the files.
        label: its name in words.
        describes: one sentence.
        auroc: against the reference; None without one.
        precision: share of the first `precision_at` whose label differs from the reference's; None without one.
    """

    name: str
    label: str
    describes: str
    auroc: float | None = None
    precision: float | None = None


@dataclass(frozen=True, eq=False)
class Suspects:
    """The labels that are more likely wrong than right, most suspect first.

    Args:
        rows: (M,) int64, rows of what was audited.
        given, suggested: (M,) int64 labels.
        wrong: (M,) float32, estimated probability that the given label is wrong.
        scores: (M,) float32 by name; low is suspect, whatever the score.
        reference: (M,) int64, or None.
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
    """What an example looks like: a picture as PNG with its width, a text, or the first columns of its row."""

    picture: bytes | None = None
    width: int = 0
    text: str | None = None
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class RankCutoff:
    """How many of the `first` most suspect labels are estimated to be wrong, and how many are by the reference."""

    first: int
    wrong: IntervalEstimate
    true: int | None = None


@dataclass(frozen=True, eq=False)
class LabelRanking:
    """Which labels are suspect.

    Args:
        scores: every score, and how well it ranks.
        ranked_by: name of the score that the suspects are ranked by.
        precision_at: how many of the first labels the precision of a score is computed from.
        suspects: most suspect first.
        previews: of the first suspects, one for each that the page shows.
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
    """What is estimated of one class.

    Args:
        observed: examples that carry its label.
        clean: examples that are estimated to belong to it.
        wrong: share of those that carry its label and are estimated to belong to another class.
        lost: share of those that belong to it and are estimated to carry another label.
        suspects: of those that carry its label.
    """

    observed: int
    clean: float
    wrong: float
    lost: float
    suspects: int


@dataclass(frozen=True)
class Recommendation:
    """What to do, why, the numbers that decided, and the decision rule, which is the same for every audit."""

    action: Action
    reason: tuple[str, ...]
    evidence: dict[str, float]
    rule: str


@dataclass(frozen=True)
class CrossValidatedModel:
    """The cross-validated models: their number, what they are in words, and the specification that they share."""

    folds: int
    describes: str
    specification: str


@dataclass(frozen=True)
class AuditProvenance:
    """How the audit was made.

    Args:
        command: repeats it; None where arrays were given.
        model: None where predictions were given.
        notes: what a reader must know.
        versions: of the packages.
    """

    command: str | None
    model: CrossValidatedModel | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class AuditResults:
    """Everything that an audit found.

    Args:
        audited: what was audited.
        noise: how many labels are wrong, and how.
        ranking: which labels are suspect.
        classes: one for each class.
        recommendation: what to do.
        provenance: how the audit was made.
        page: where the page was written; None where it was not.
    """

    audited: AuditedLabels
    noise: NoiseEstimate
    ranking: LabelRanking
    classes: tuple[ClassAudit, ...]
    recommendation: Recommendation
    provenance: AuditProvenance
    page: Path | None = None

    @property
    def informative(self) -> bool:
        """Whether the held-out predictions know more of the labels than a guess. If not, no other number is valid."""
        return self.recommendation.action != "get better predictions"

    def __repr__(self) -> str:
        rate, suspects = self.noise.rate, len(self.ranking.suspects)
        found = (
            f"Estimated noise rate {100 * rate.estimate:.1f} % ({100 * self.noise.confidence:g} % interval "
            f"{100 * rate.low:.1f} % to {100 * rate.high:.1f} %), {suspects:,} suspect{'' if suspects == 1 else 's'}."
            if self.informative
            else "No finding: the predictions are no better than a guess."
        )
        return (
            f"AuditResults: {self.audited.num_rows:,} labels of {self.audited.name}, "
            f"{len(self.audited.class_names)} classes. {found} Recommended: {self.recommendation.action}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``audit.json``: everything but the suspects, which have files of their own."""
        audited, noise, ranking, provenance = self.audited, self.noise, self.ranking, self.provenance
        names, reference = audited.class_names, noise.reference
        return {
            "schema_version": SCHEMA_VERSION,
            "name": audited.name,
            "labels": audited.labels,
            "predictions": audited.predictions,
            "command": provenance.command,
            "versions": provenance.versions,
            "rows": audited.num_rows,
            "row_order": audited.row_order,
            "class_names": list(names),
            "held_out_agreement": audited.agreement,
            "confidence": noise.confidence,
            "noise_rate": asdict(noise.rate),
            "recommendation": asdict(self.recommendation),
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
        }


def _estimate_as_dict(estimate: TransitionEstimate) -> dict[str, Any]:
    return {
        "name": estimate.name,
        "noise_rate": estimate.noise_rate,
        "condition": estimate.condition,
        "transition": estimate.transition.to_dense().tolist(),
        "distance_to_reference": estimate.distance and list(estimate.distance),
    }
