"""What is known of a study: one record per cell, the verdicts, and nothing that must still be computed."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from softtargets.studies.schema import Claim, Noise, Study

if TYPE_CHECKING:
    from softtargets.studies.exact_gaussians import Separator

Status = Literal["complete", "failed", "missing"]
VerdictName = Literal["reproduced", "contradicted", "inconclusive", "not run"]


class CellKey(NamedTuple):
    """The place of a run in a study. At level 0 of a swept key the arm is the study's baseline."""

    arm: str
    level: float
    noise: Noise


@dataclass(frozen=True)
class CellRecord:
    """One run of a study: a cell at one seed.

    Args:
        key: arm, level and noise, a rate or a name.
        seed: number of the repetition, from 0.
        run_id: identity of the run (SHA-256, hexadecimal).
        status: complete, failed (`reason` says how) or missing.
        metrics: name -> value; fractions and nats, never percent. Empty unless complete.
        seconds: training time of the run.
        specification: the resolved run specification, as JSON data.
        environment: versions and hardware of the machine that trained it.
    """

    key: CellKey
    seed: int
    run_id: str
    status: Status
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    specification: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reported:
    """A number printed in the paper's text or tables."""

    output: str
    dataset: str
    model: str
    key: CellKey
    metric: str
    mean: float
    sd: float | None
    n: int | None
    source: str


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (n - 1) of a metric over the seeds that are complete."""

    mean: float
    sd: float
    n: int


@dataclass(frozen=True)
class Verdict:
    """A claim held against the runs.

    Args:
        claim: what was claimed.
        name: reproduced, contradicted, inconclusive or not run.
        estimate: mean of the contrast over seeds (None if not run).
        low, high: the interval the verdict comes from: paired t over seeds at `confidence`.
        p: two-sided p-value of the distance to the nearest boundary of the claim.
        confidence: level of the interval after Holm's adjustment within the study.
        n: seeds that entered.
        reason: why it was not run; else empty.
    """

    claim: Claim
    name: VerdictName
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    confidence: float | None = None
    n: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Density:
    """A histogram as a density, pooled over the seeds of a cell: `edges` (B + 1), `density` (B).

    Half a percent at either end lies outside the edges; `mean` and `count` are of everything.
    """

    key: CellKey
    metric: str
    edges: tuple[float, ...]
    density: tuple[float, ...]
    mean: float
    count: int


@dataclass(frozen=True)
class Diagram:
    """The bins that a calibration error is made of, summed over the runs of a cell that have it.

    Args:
        key: arm, level and noise.
        metric: name of the calibration error.
        edges: (B + 1) confidences from 0 to 1.
        count: (B) predictions in each bin.
        confidence: (B) sums of their confidences.
        correct: (B) how many of them are right.
        runs: how many were summed.
    """

    key: CellKey
    metric: str
    edges: tuple[float, ...]
    count: tuple[int, ...]
    confidence: tuple[float, ...]
    correct: tuple[int, ...]
    runs: int


@dataclass(frozen=True)
class Curve:
    """An exact curve: one loss of one example as a function of a logit."""

    arm: str
    noise: float
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Projected:
    """Activations of three classes on the plane through their templates (Müller et al. 2019, Sec. 2), of one run.

    Args:
        key: arm, level and noise.
        seed: of the run that is shown.
        split: train, validation or test.
        classes: names of the three classes: two that are alike, and a third that is not.
        labels: (M) place of each example's label among the three.
        wrong: (M) whether its observed label is not the true one.
        x, y: (M) coordinates.
        templates: the three classes' rows of the last layer on the same plane.
    """

    key: CellKey
    seed: int
    split: str
    classes: tuple[str, str, str]
    labels: tuple[int, ...]
    wrong: tuple[bool, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    templates: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ClassMeans:
    """Mean predicted probabilities of the examples of each class of a split, mean over the seeds of a cell.

    `means` has a row for each of the first `len(classes)` classes; `runs` is how many seeds entered.
    """

    key: CellKey
    split: str
    classes: tuple[str, ...]
    means: tuple[tuple[float, ...], ...]
    runs: int


@dataclass(frozen=True)
class Trace:
    """A number through training: its mean over the seeds of a cell, and their smallest and largest, by epoch."""

    key: CellKey
    metric: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    runs: int


@dataclass(frozen=True)
class DataSummary:
    """A data set that runs used."""

    name: str
    fingerprint: str
    num_classes: int
    input_shape: tuple[int, ...]
    sizes: dict[str, int]


@dataclass(frozen=True)
class StudyResults:
    """Everything a page shows.

    `scale` and `command` say how to get it again, `outputs` are those asked for, `data` the data sets of their runs,
    none where nothing is trained; `differs` says what is not as in the paper.
    """

    study: Study
    scale: str
    outputs: tuple[str, ...]
    command: str
    data: tuple[DataSummary, ...]
    differs: tuple[str, ...]
    cells: tuple[CellRecord, ...]
    verdicts: tuple[Verdict, ...]
    reported: tuple[Reported, ...]
    densities: tuple[Density, ...] = ()
    diagrams: tuple[Diagram, ...] = ()
    curves: tuple[Curve, ...] = ()
    projections: tuple[Projected, ...] = ()
    class_means: tuple[ClassMeans, ...] = ()
    traces: tuple[Trace, ...] = ()
    separators: "tuple[Separator, ...]" = ()

    def records(self, key: CellKey) -> list[CellRecord]:
        """Return the runs of one cell, by seed."""
        return sorted((cell for cell in self.cells if cell.key == key), key=lambda cell: cell.seed)

    def summary(self, key: CellKey, metric: str) -> Summary | None:
        """Summarise a metric over the complete runs of a cell; None where there is none or one lacks the metric."""
        complete = [cell for cell in self.records(key) if cell.status == "complete"]
        if not complete or any(metric not in cell.metrics for cell in complete):
            return None
        values = [cell.metrics[metric] for cell in complete]
        mean = sum(values) / len(values)
        spread = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0
        return Summary(mean, spread, len(values))

    def find_reported(self, output: str, key: CellKey, metric: str) -> list[Reported]:
        """Return the paper's numbers for a cell of an output, one per data set and model."""
        return [r for r in self.reported if (r.output, r.key, r.metric) == (output, key, metric)]
