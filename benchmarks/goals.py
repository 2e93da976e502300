"""The goals, the measurements that a section holds against them, and the table at the top of RESULTS.md."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Goal:
    """One row of the table.

    Args:
        what: what is measured, and in which cases.
        limit: the required value.
        unit: unit of the values, as printed after them.
        part: the section that measures it.
        least: whether the limit is a minimum; otherwise it is a maximum.
        least_rounds: number of rounds that a median needs; fewer are marked.
    """

    what: str
    limit: float
    unit: str
    part: str
    least: bool = False
    least_rounds: int = 9

    def met(self, value: float) -> bool:
        """Return whether a value reaches the limit."""
        return value >= self.limit if self.least else value <= self.limit

    def required(self) -> str:
        """Return the limit as text."""
        return f"{'≥' if self.least else '≤'} {self.limit:g}{self.unit}"


@dataclass(frozen=True)
class Measured:
    """A value that is held against a goal.

    Args:
        goal: key of GOALS.
        case: shape, dtype, contender or whatever distinguishes it from the other values for this goal.
        value: the median, in the unit of the goal; None if it could not be measured.
        n: number of rounds; 1 for a quantity that is not random, such as peak memory.
    """

    goal: str
    case: str
    value: float | None
    n: int

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        return "met" if GOALS[self.goal].met(self.value) else "missed"


SHAPES = "(65536,10), (65536,100), (8192,1000), (2048,32000), (512,128000), float32 and bf16"
LINEAR = "linear layer and loss, (4096,512,32000) and (4096,512,128000), float32 and bf16"
GOALS = {
    "small": Goal(
        "loss + gradient at (32,10), (128,10), (128,100), (256,1000), labels smoothed, 1 and 2 threads",
        0.5,
        "× torch",
        "losses",
    ),
    "small-hard": Goal("loss + gradient at the same shapes, hard labels", 0.5, "× torch", "losses"),
    "large": Goal(f"loss + gradient at {SHAPES}", 0.35, "× torch", "losses"),
    "large-inplace": Goal("loss + gradient at the same shapes, in place", 0.2, "× torch", "losses"),
    "compile": Goal("loss + gradient at the same shapes, out of place and in place", 1.0, "× torch.compile", "losses"),
    "busy": Goal("loss + gradient at the same shapes, one core kept busy by another process", 1.0, "× torch", "losses"),
    "memory": Goal("extra memory, K ≥ 100, float32 and bf16", 1.02, " buffers", "losses", least_rounds=1),
    "memory-inplace": Goal(
        "extra memory in place, K ≥ 100, float32 and bf16", 0.02, " buffers", "losses", least_rounds=1
    ),
    "linear": Goal(LINEAR, 0.6, "× torch", "losses"),
    "linear-memory": Goal("extra memory of linear layer and loss", 0.2, " buffers", "losses", least_rounds=1),
    "ece-torchmetrics": Goal("ECE-15 of 10 M × 10", 8, "× as fast as torchmetrics", "ece", least=True),
    "ece-netcal": Goal("ECE-15 of 10 M × 10", 30, "× as fast as netcal", "ece", least=True, least_rounds=3),
    "confident": Goal("confident joint and ranking of 1 M × 100", 8, "× as fast as cleanlab", "confident", least=True),
    "confident-memory": Goal(
        "memory of confident joint and ranking", 1.05, " of the probabilities", "confident", least_rounds=1
    ),
    "smooth-ece": Goal("smooth ECE of 1 M", 8, "× as fast as relplot", "smooth-ece", least=True),
    "evaluate": Goal("`evaluate` of 10 M × 10, CPU time", 15, " s", "jobs", least_rounds=1),
    "evaluate-memory": Goal("`evaluate` of 10 M × 10, peak memory", 500, " MB", "jobs", least_rounds=1),
    "audit": Goal("`audit` of 1 M × 100, CPU time", 8, " s", "jobs", least_rounds=1),
    "audit-memory": Goal("`audit` of 1 M × 100, peak memory", 500, " MB", "jobs", least_rounds=1),
    "step": Goal("one step of an MLP 64-256-256-10, batch of 128, CPU time", 1.15, "× the loop over tensors", "sweep"),
    "sweep-mlp": Goal(
        "sweep of 20 MLP runs", 2, "× as fast as the DataLoader loop", "sweep", least=True, least_rounds=1
    ),
    "sweep-mlp-tensor": Goal(
        "sweep of 20 MLP runs", 1, "× as fast as the tensor loop", "sweep", least=True, least_rounds=1
    ),
    "sweep-resnet": Goal(
        "sweep of 4 ResNet-8 runs", 1.5, "× as fast as the DataLoader loop", "sweep", least=True, least_rounds=1
    ),
    "corrupt": Goal("`corrupt` of 1.3 M labels, K = 1000", 0.05, " s", "corrupt"),
    "correction": Goal("forward and backward correction, 8192 × 1000", 0.25, "× the common implementation", "losses"),
    "temperature": Goal(
        "temperature scaling of 1 M × 100", 3, "× as fast as L-BFGS with line search", "temperature", least=True
    ),
    "temperature-slow": Goal(
        "temperature scaling of 1 M × 100, recorded on the date of its section",
        3,
        "× as fast as L-BFGS without line search",
        "temperature-slow",
        least=True,
        least_rounds=3,
    ),
}


def write(parts: Path, part: str, found: Iterable[Measured], machine: Mapping[str, str]) -> None:
    """Write what a section measured to `<part>.goals.json` beside it."""
    found = list(found)
    for one in found:
        if one.goal not in GOALS:
            raise ValueError(f"goal: must be one of {', '.join(GOALS)}; got '{one.goal}'")
    content = {"machine": dict(machine), "goals": [asdict(one) for one in found]}
    (parts / f"{part}.goals.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def read(parts: Path) -> tuple[list[Measured], dict[str, dict[str, str]]]:
    """Return what all sections measured, and the machine of each section."""
    found, machines = [], {}
    for path in sorted(parts.glob("*.goals.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found += [Measured(**one) for one in content["goals"]]
        machines[path.name.removesuffix(".goals.json")] = content["machine"]
    return found, machines


def table(found: Sequence[Measured], titles: Mapping[str, str]) -> list[str]:
    """Return one line per goal: the worst of its values, and how many reach the limit.

    Args:
        found: what was measured.
        titles: title of each existing section, by its name.
    """
    lines = ["| quantity | goal | worst case | n | verdict | section |", "|---|---|---|---:|---|---|"]
    for key, goal in GOALS.items():
        mine = [one for one in found if one.goal == key]
        cells = [goal.what, goal.required(), *_cells(goal, mine)]
        title = titles.get(goal.part)
        where = "–" if title is None else f"[{title.split(',')[0]}](#{_anchor(title)})"
        lines.append(f"| {' | '.join([*cells, where])} |")
    return lines


def line(found: Sequence[Measured]) -> str:
    """Return the values of a section and whether they reach their goals, in one line."""
    words = {"missed": "**missed**"}
    parts = [
        f"{one.case}: {GOALS[one.goal].required()}, {_shown(one)}: {words.get(one.verdict, one.verdict)}"
        for one in found
    ]
    return f"Goals: {'; '.join(parts)}."


def details(found: Sequence[Measured]) -> list[str]:
    """Return a line for each value that does not reach its goal."""
    lines = []
    for word in ("missed", "not measured"):
        lines += [
            f"- {word}: {GOALS[one.goal].part}, {one.case}: {GOALS[one.goal].required()}, {_shown(one)}"
            for one in found
            if one.verdict == word
        ]
    return lines


def _shown(one: Measured) -> str:
    return "no value" if one.value is None else f"measured {one.value:.3g}"


def _cells(goal: Goal, mine: Sequence[Measured]) -> list[str]:
    known = [(one.value, one) for one in mine if one.value is not None]
    if not known:
        return ["–", "–", "not measured"]
    value, worst = (min if goal.least else max)(known, key=lambda pair: pair[0])
    reached = sum(one.verdict == "met" for one in mine)
    verdict = "met" if reached == len(mine) else "**missed**"
    rounds = sorted({one.n for one in mine})
    few = "" if rounds[0] >= goal.least_rounds else " (few)"
    shown = f"{value:.3g}{goal.unit.split(' as ')[0]} ({worst.case})"
    count = f"{rounds[0]}–{rounds[-1]}" if len(rounds) > 1 else f"{rounds[0]}"
    return [shown, f"{count}{few}", verdict if len(mine) == 1 else f"{verdict}, {reached} of {len(mine)} cases"]


def _anchor(title: str) -> str:
    """Return GitHub's anchor of a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
