"""The arguments of a comparison, validated."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softtargets._errors import InputError, fail, fail_type, shortened
from softtargets.report.encoding import printable
from softtargets.report.folders import read_folder

if TYPE_CHECKING:
    from softtargets.train.progress import Progress

# Repetitions of the verdict: by default, at least and at most.
SEEDS, LEAST_SEEDS, MOST_SEEDS = 5, 2, 100
RUNS = Path("runs")
OnStage = Callable[[str], None]
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)\s*", re.IGNORECASE)


class ComparisonFailedError(InputError):
    """A run of cross entropy failed, which all methods are compared with."""


@dataclass(frozen=True)
class CompareStage:
    """Progress of a comparison: its step, in words."""

    name: str


@dataclass(frozen=True)
class CompareOptions:
    """Settings of a comparison.

    Args:
        label: label column of the data set (default: "label").
        votes: columns of votes or of a distribution over the classes, in place of the label: the common part of columns
            such as votes_cat and votes_dog, their names separated by commas, or one column of lists. Networks are
            trained on the shares of votes, and all measures are against them.
        annotators: columns of the labels of several annotators, in place of the label.
        text: text column of the data set (default: detected, see :class:`~softtargets.data.DataSpec`).
        features: numeric columns of the data set (default: every column except the label).
        model: the network that every method trains: the name of one, such as "mlp", the import path of a function or
            class that returns one, "my_package.models:build", or the table `model` of a run specification (default: by
            the kind of data).
        specification: TOML file, or a mapping, with tables of a run specification, such as `model`, `optimizer`,
            `schedule`, `augmentation`, `training` and `noise`, that replace those of the default recipe.
        methods: names of the methods to compare with cross entropy (default: all that the data allow).
        budget: time for all training, as text such as "30m" or "1h 30m", or seconds (default: no limit).
        seeds: repetitions of each method in the verdict, 2 to 100 (default: 5; with a budget, at most 5).
        epochs: number of epochs of every run (default: chosen by the size of the data set).
        seed: first seed of all runs and seed of the splits, in [0, 2**31).
        reports: folder in which the page gets a folder named after the data, if `output` is not given (default: no page
            is written).
        runs: folder of the run store. Finished runs are not trained again.
        workers: number of worker processes for training (default: one per core).
        on_progress: called with each :class:`CompareStage`, and during training, from another thread, with a
            :class:`~softtargets.train.progress.Progress`.
    """

    label: str | None = None
    votes: str | None = None
    annotators: tuple[str, ...] = ()
    text: str | None = None
    features: tuple[str, ...] = ()
    model: str | Mapping[str, Any] | None = None
    specification: Path | str | Mapping[str, Any] | None = None
    methods: tuple[str, ...] | None = None
    budget: str | float | None = None
    seeds: int | None = None
    epochs: int | None = None
    seed: int = 0
    reports: Path | None = None
    runs: Path = RUNS
    workers: int | None = None
    on_progress: "Callable[[CompareStage | Progress], None]" = lambda state: None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seeds", LEAST_SEEDS, MOST_SEEDS),
            ("epochs", 1, 2**20),
            ("seed", 0, 2**31 - 1),
            ("workers", 1, 2**10),
        ):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not low <= value <= high):
                raise fail(name, f"a whole number from {low} to {high:,}", shortened(repr(value)), "choose another")
        if self.model is not None and not isinstance(self.model, str | Mapping):
            remedy = "pass a name or an import path, or write the network in a module of its own"
            raise fail_type("model", "text or a table", type(self.model).__name__, remedy)
        object.__setattr__(self, "methods", None if self.methods is None else tuple(self.methods))
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(self, "annotators", tuple(self.annotators))
        object.__setattr__(self, "budget", None if self.budget is None else read_budget(self.budget))
        object.__setattr__(self, "runs", read_folder("runs", self.runs))
        object.__setattr__(self, "reports", None if self.reports is None else read_folder("reports", self.reports))

    @property
    def seconds(self) -> float | None:
        """The budget in seconds."""
        return None if self.budget is None else float(self.budget)


@dataclass(frozen=True)
class CompareRequest:
    """The arguments of a comparison.

    Args:
        data: the data set.
        output: folder for the page and its files; None: see `CompareOptions.reports`.
        options: settings.
    """

    data: str
    output: Path | None
    options: CompareOptions

    @property
    def command(self) -> str | None:
        """The command that repeats the comparison; None if something was passed as a Python object."""
        options = self.options
        if isinstance(options.model, Mapping) or isinstance(options.specification, Mapping):
            return None
        named = {
            "label": options.label,
            "votes": options.votes,
            "annotators": ",".join(options.annotators) or None,
            "text": options.text,
            "model": options.model,
            "specification": options.specification,
            "methods": ",".join(options.methods) if options.methods else None,
            "budget": None if options.seconds is None else f"{options.seconds:g}s",
            "seeds": options.seeds,
            "epochs": options.epochs,
            "seed": options.seed or None,
            "output": self.output,
            "runs": None if options.runs == RUNS else options.runs,
        }
        words = ["softtargets", "compare", self.data]
        for name, value in named.items():
            words += [] if value is None else [f"--{name}", str(value)]
        for column in options.features:
            words += ["--features", column]
        return printable(shlex.join(words))


def read_budget(value: str | float) -> float:
    """Return a time in seconds.

    Args:
        value: seconds, or text such as "90s", "30m" or "1h 30m".

    Raises:
        InputError: for text without units or of another form, and for a time that is not positive.
        InputTypeError: for another type.

    Example:
        >>> read_budget("1h 30m"), read_budget("30min"), read_budget(90)
        (5400.0, 1800.0, 90.0)
    """
    required, remedy = "a time above 0 with its unit", "write it as 90s, 30m, 2h or 1h 30m"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise fail_type("budget", required, type(value).__name__, remedy)
    if isinstance(value, str):
        parts = _TIME.findall(value)
        whole = "".join(_TIME.sub("", value).split()) == ""
        seconds = sum(float(number) * _UNITS[unit.lower()] for number, unit in parts) if whole else 0.0
    else:
        seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise fail("budget", required, f"'{shortened(str(value))}'", remedy)
    return seconds
