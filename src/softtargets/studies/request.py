"""The arguments of a study command or function, validated."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypedDict

from softtargets._errors import fail, fail_type, unknown
from softtargets.report.encoding import printable
from softtargets.report.folders import read_folder

# More seeds would hardly narrow an interval, and the runs would take years.
MOST_SEEDS = 1_000


@dataclass(frozen=True)
class DataChoice:
    """A data set chosen by the user instead of the study's, and the name of its label column."""

    name: str
    label: str | None = None


class StudyOptions(TypedDict, total=False):
    """Keyword arguments of the study functions; see :class:`StudyRequest`."""

    scale: str
    seeds: int | None
    data: str | Path | None
    label: str | None
    places: Mapping[str, str | Path]
    runs: str | Path
    reports: str | Path


@dataclass(frozen=True)
class StudyRequest:
    """A study, and how to run it.

    Args:
        study: name of a shipped study, or a folder with a ``study.toml``. A ``study.py`` in that folder is executed.
        output: one table or figure, or a setting; None: all outputs that are not part of a setting.
        scale: "smoke", "desk" or "paper".
        seeds: number of seeds, from 2 to :data:`MOST_SEEDS`; None: set by the scale.
        data: data set to use instead of the study's: "digits", a file or folder, or a name on the Hugging Face Hub.
        label: label column of `data`.
        places: local paths of the study's data sets, by their names in the study.
        runs: folder of the run store.
        reports: folder for the pages.

    Raises:
        InputError: for a label without data, or a number of seeds that is out of range.
    """

    study: str
    output: str | None = None
    scale: str = "desk"
    seeds: int | None = None
    data: str | None = None
    label: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    runs: Path = Path("runs")
    reports: Path = Path("reports")

    def __post_init__(self) -> None:
        if self.label is not None and self.data is None:
            raise fail("--label", "given together with --data", f"'{self.label}' alone", "add --data")
        if self.seeds is not None and (type(self.seeds) is not int or self.seeds < 2):
            remedy = "give at least 2, because intervals need several seeds"
            raise fail("seeds", "a whole number of at least 2", repr(self.seeds), remedy)
        for name in ("runs", "reports"):
            object.__setattr__(self, name, read_folder(name, getattr(self, name)))

    @classmethod
    def of(cls, study: str | Path, output: str | None, options: StudyOptions) -> Self:
        """Return the request for the arguments of a public function, in which paths may be text."""
        for name in options:
            if name not in StudyOptions.__annotations__:
                raise unknown("keyword argument", name, StudyOptions.__annotations__)
        given: dict[str, Any] = {**options}
        if given.get("data") is not None:
            given["data"] = str(given["data"])
        places = given.get("places", {})
        if not isinstance(places, Mapping):
            remedy = "write {'name of the data set': 'path'}"
            raise fail_type("places", "a dictionary from names of data sets to paths", type(places).__name__, remedy)
        given["places"] = {name: str(place) for name, place in places.items()}
        return cls(str(study), output, **given)

    @property
    def choice(self) -> DataChoice | None:
        """The data set chosen by the user, or None."""
        return None if self.data is None else DataChoice(self.data, self.label)

    @property
    def command(self) -> str:
        """The command that repeats this request. It names no output folders, on which no result depends."""
        words = ["softtargets", "run", self.study, *([self.output] if self.output else []), "--scale", self.scale]
        words += ["--seeds", str(self.seeds)] if self.seeds is not None else []
        words += ["--data", self.data] if self.data is not None else []
        words += ["--label", self.label] if self.label is not None else []
        for name, place in self.places.items():
            words += ["--at", f"{name}={place}"]
        return printable(shlex.join(words))
