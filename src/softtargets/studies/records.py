"""Records of runs, verdicts and data sets: the parts of the results of a study."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from softtargets.studies.schema import Claim, Noise

Status = Literal["complete", "failed", "missing"]
VerdictName = Literal["reproduced", "contradicted", "inconclusive", "exploratory", "not run"]
VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
FamilyName = Literal["", "primary", "secondary", "all"]
Leaning = Literal["", "towards the claim", "against the claim"]


class CellKey(NamedTuple):
    """A cell of a study: arm, level and noise. At level 0 of a swept key the arm is the study's baseline."""

    arm: str
    level: float
    noise: Noise


@dataclass(frozen=True)
class CellRecord:
    """One run of a study: a cell at one seed. Of an arm with members: the combination of their runs at that seed.

    Args:
        key: arm, level and noise, a rate or a name.
        seed: index of the repetition, from 0.
        run_id: identity of the run, or of the combination (SHA-256, hexadecimal).
        status: complete, failed or missing; `reason` states why.
        metrics: values by name; fractions and nats, never percent. Empty unless complete.
        seconds: training time of the run; of a combination, that of all its members.
        specification: the resolved run specification, as JSON data; empty for a combination.
        environment: versions and hardware of the machine that trained it; empty for a combination.
        members: identities of the runs that are combined; empty for a run.
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
    members: tuple[str, ...] = ()


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
    """Mean, standard deviation (n - 1), minimum and maximum of a metric over the complete seeds."""

    mean: float
    sd: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """The verdict of a claim.

    Args:
        claim: the claim.
        name: reproduced, contradicted, inconclusive, exploratory (estimated but not tested) or not run.
        estimate: mean of the contrast over seeds (None if not run).
        low, high: the interval on which the verdict is based: paired t over seeds at `confidence`.
        p: two-sided p-value of the distance to the nearest boundary of the claim.
        confidence: confidence of the interval after Holm's adjustment; not adjusted for an exploratory claim.
        n: number of seeds.
        reason: why the claim was not run or not tested; else empty text.
        leaning: side of the boundary on which an inconclusive or exploratory estimate lies; empty text if on neither.
        family: the family in which the claim is tested: primary or secondary; all: the setting has no primary claims.
            Empty for a claim that is computed exactly or that the study cannot run.
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
    family: FamilyName = ""


@dataclass(frozen=True)
class DataSummary:
    """A data set of the runs."""

    name: str
    fingerprint: str
    num_classes: int
    input_shape: tuple[int, ...]
    sizes: dict[str, int]
