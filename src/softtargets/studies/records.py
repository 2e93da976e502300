"""What is known of single runs, claims and data sets: the parts of the results of a study."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from softtargets.studies.schema import Claim, Noise

Status = Literal["complete", "failed", "missing"]
VerdictName = Literal["reproduced", "contradicted", "inconclusive", "not run"]
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
Leaning = Literal["", "towards the claim", "against the claim"]


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
        leaning: on which side of its boundary an inconclusive estimate lies; empty where on neither.
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
    leaning: Leaning = ""


@dataclass(frozen=True)
class DataSummary:
    """A data set that runs used."""

    name: str
    fingerprint: str
    num_classes: int
    input_shape: tuple[int, ...]
    sizes: dict[str, int]
