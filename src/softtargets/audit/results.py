"""What an audit found, as the page and its files show it."""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from softtargets.matrices import Transition

Action = Literal["keep", "smooth", "correct with T", "drop and relabel", "get better predictions"]


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """One estimate of the transition.

    Args:
        name: of the estimator.
        label: for people.
        transition: clean -> observed.
        noise_rate: share of wrong labels that it implies, with the clean shares of the classes by the chosen one.
        condition: condition number of the transition.
        distance: per clean class, total variation to the reference's transition; None without a reference.
    """

    name: str
    label: str
    transition: Transition
    noise_rate: float
    condition: float
    distance: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Score:
    """How one score ranks the labels.

    Args:
        name: its column in the files.
        label: for people.
        describes: one sentence.
        auroc: against the reference; None without one.
        precision: share of the first `precision_at` whose label differs from the reference's; None without one.
    """

    name: str
    label: str
    describes: str
    auroc: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Confusion:
    """A pair of classes: how many examples of `clean` are estimated to be labelled `observed`."""

    clean: int
    observed: int
    count: Interval


@dataclass(frozen=True)
class ClassRow:
    """One class.

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
class Exhibit:
    """What a suspect looks like: a picture as PNG with its width, a text, or the first columns of its row."""

    picture: bytes | None = None
    width: int = 0
    text: str | None = None
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Cut:
    """How many of the `first` most suspect labels are estimated to be wrong, and how many are by the reference."""

    first: int
    wrong: Interval
    true: int | None = None


@dataclass(frozen=True)
class Recommendation:
    """What to do, why in a few sentences, the numbers that were looked at, and the rule, the same for every audit."""

    action: Action
    reason: tuple[str, ...]
    evidence: dict[str, float]
    rule: str


@dataclass(frozen=True)
class Reference:
    """What the reference labels say: the share of the audited labels that differ, and the transition between them."""

    noise_rate: float
    transition: Transition


@dataclass(frozen=True)
class Model:
    """The cross-validated models: their number, what they are in words, and the specification that they share."""

    folds: int
    describes: str
    specification: str


@dataclass(frozen=True, eq=False)
class AuditResults:
    """Everything that the page and its files say.

    Args:
        name: of what was audited.
        labels: which labels were audited, in words.
        predictions: where the held-out probabilities come from, in words.
        command: does this again.
        row_order: in which rows are counted, from 0, in words.
        num_rows: how many labels were audited.
        class_names: one for each class.
        accuracy: share of labels that the held-out prediction agrees with.
        noise_rate: share of wrong labels by the chosen estimator, with its interval.
        confidence: of the intervals, a fraction.
        estimates: by every estimator, and `chosen`, the name of the one that everything else goes by, because.
        confusions: the pairs most confused, most first.
        scores: by every score, and `ranking`, the name of the one that suspects are ranked by.
        precision_at: how many of the first suspects their precision is of.
        classes: one for each class.
        suspects: most suspect first.
        exhibits: of the first suspects, one for each that is shown on the page.
        cuts: estimates along the ranking.
        recommendation: what to do.
        reference: of labels that a user would not have; it judges the estimates and enters none.
        model: None where predictions were given.
        notes: what a reader must know.
        versions: of the packages.
    """

    name: str
    labels: str
    predictions: str
    command: str
    row_order: str
    num_rows: int
    class_names: tuple[str, ...]
    accuracy: float
    noise_rate: Interval
    confidence: float
    estimates: tuple[Estimate, ...]
    chosen: str
    chosen_because: str
    confusions: tuple[Confusion, ...]
    scores: tuple[Score, ...]
    ranking: str
    precision_at: int
    classes: tuple[ClassRow, ...]
    suspects: Suspects
    exhibits: tuple[Exhibit, ...]
    cuts: tuple[Cut, ...]
    recommendation: Recommendation
    reference: Reference | None = None
    model: Model | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether the held-out prediction knows more of the labels than a guess, without which nothing here holds."""
        return self.recommendation.action != "get better predictions"

    @property
    def estimate(self) -> Estimate:
        """The chosen estimate."""
        return next(estimate for estimate in self.estimates if estimate.name == self.chosen)
