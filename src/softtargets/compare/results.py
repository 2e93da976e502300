"""The results of a comparison: what the JSON file, the page, the terminal and Python show."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from softtargets._results import new_axes
from softtargets.compare.plan import ComparePlan
from softtargets.compare.verdict import MeasuredDifference, MethodVerdict
from softtargets.report.notebook import NotebookResult

Status = Literal["baseline", "recommended", "better", "undecided", "worse"]


@dataclass(frozen=True)
class ComparedMethodResult:
    """A method on the test split.

    Args:
        name: its name.
        label: the method with its chosen setting, in words.
        objective: the table `objective` of its specification.
        members: number of networks of one prediction.
        values: mean over the seeds by the name of the measure.
        temperatures: T of each seed, fitted on the validation split.
        seconds: mean time of training.
        cost: time of training as a multiple of that of cross entropy, of the fastest repetition of each.
        status: "better" is better than cross entropy beyond chance and not recommended.
        verdict: the differences from cross entropy.
        tried: other settings by label, with the NLL on the validation split after a temperature.
    """

    name: str
    label: str
    objective: Mapping[str, Any]
    members: int
    values: Mapping[str, float]
    temperatures: tuple[float, ...]
    seconds: float
    cost: float
    status: Status
    verdict: MethodVerdict
    tried: Mapping[str, float]


@dataclass(frozen=True)
class SkippedMethod:
    """A method that is not in the verdict, and why, as a clause."""

    name: str
    label: str
    reason: str


@dataclass(frozen=True)
class ComparedData:
    """The data set.

    Args:
        name: its name.
        rows: rows by split.
        class_names: names of the classes.
        network: the network, in words.
        votes: what the measures are against if labels are votes, as a clause; None for classes.
        noise: label noise that was added, in words; None: none.
        noise_estimate: the noise that was estimated on the validation split, in words.
        noisy: whether label noise was estimated.
    """

    name: str
    rows: Mapping[str, int]
    class_names: tuple[str, ...]
    network: str
    noise: str | None
    noise_estimate: str
    noisy: bool
    votes: str | None = None


@dataclass(frozen=True)
class CompareAdvice:
    """The recommendation.

    Args:
        method: name of the recommended method; "cross_entropy" if none is better beyond chance.
        temperature: whether a temperature is recommended too.
        headline: the recommendation with its numbers, one sentence.
        sentences: what else was found.
        rule: the rule, the same for every comparison.
    """

    method: str
    temperature: bool
    headline: str
    sentences: tuple[str, ...]
    rule: str


@dataclass(frozen=True)
class CompareProvenance:
    """How the comparison was made.

    Args:
        command: repeats it; None if it cannot be written as a command.
        plan: what was trained.
        protocol: what was fixed before any result, in sentences.
        limits: what cannot be concluded.
        seconds: training time of the runs of the verdict, the sum over all of them.
        versions: versions of the packages.
    """

    command: str | None
    plan: ComparePlan
    protocol: tuple[str, ...]
    limits: tuple[str, ...]
    seconds: float
    versions: Mapping[str, str]


@dataclass(frozen=True, eq=False, repr=False)
class CompareResults(NotebookResult):
    """The results of :func:`~softtargets.compare.compare_methods`.

    Args:
        data: the data set.
        methods: cross entropy, and the other methods in the order of the registry.
        skipped: methods that were not tested, or not to the end.
        advice: the recommendation.
        specification: of the recommended method, as TOML that `softtargets train` takes.
        provenance: how the comparison was made.
        page: path of the page; None if none was written.
    """

    data: ComparedData
    methods: tuple[ComparedMethodResult, ...]
    skipped: tuple[SkippedMethod, ...]
    advice: CompareAdvice
    specification: str
    provenance: CompareProvenance
    page: Path | None = None

    @property
    def baseline(self) -> ComparedMethodResult:
        """Cross entropy."""
        return self.methods[0]

    @property
    def recommended(self) -> ComparedMethodResult:
        """The recommended method."""
        return self.method(self.advice.method)

    def method(self, name: str) -> ComparedMethodResult:
        """Return the result of a method by its name."""
        return next(method for method in self.methods if method.name == name)

    def __repr__(self) -> str:
        return f"CompareResults({self.data.name}: {self.advice.headline})"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row for each method: its measures, the difference in accuracy with its interval, and its cost."""
        rows = []
        for method in self.methods:
            found = method.verdict.differences.get("accuracy")
            ends = (None, None, None) if found is None else (found.estimate, found.low, found.high)
            difference = dict(zip(("accuracy_difference", "low", "high"), ends, strict=True))
            own = {"method": method.name, "setting": method.label, "status": method.status}
            rows.append({**own, **method.values, **difference, "cost": method.cost})
        return rows

    def plot(self, ax: Any = None) -> Any:
        """Plot accuracy against ECE on the test split, one point for each method, both before a temperature."""
        ax = new_axes(ax)
        for method in self.methods:
            point = (method.values["ece"], method.values["accuracy"])
            ax.plot(*point, marker="s" if method is self.baseline else "o", linestyle="none")
            ax.annotate(method.name, point, xytext=(5, 3), textcoords="offset points", fontsize=7)
        ax.set(xlabel="ECE", ylabel="accuracy", title=self.data.name)
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return all results as numbers, strings, lists and dicts."""
        return {
            "data": asdict(self.data),
            "recommendation": asdict(self.advice),
            "methods": [_method(method) for method in self.methods],
            "skipped": [asdict(method) for method in self.skipped],
            "specification": self.specification,
            **asdict(self.provenance),
        }


def _method(method: ComparedMethodResult) -> dict[str, Any]:
    verdict = method.verdict
    kept = ("name", "label", "objective", "members", "values", "temperatures", "seconds", "cost", "status", "tried")
    return {
        **{name: getattr(method, name) for name in kept},
        "differences": {name: _difference(found) for name, found in verdict.differences.items()},
        "temperature": {name: _difference(found) for name, found in verdict.temperature.items()},
        "decided_by": verdict.decided_by,
        "worse_in": list(verdict.worse_in),
    }


def _difference(found: MeasuredDifference) -> dict[str, Any]:
    return {name: value for name, value in asdict(found).items() if name != "measure"}
