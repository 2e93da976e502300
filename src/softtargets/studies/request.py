"""What the user asked of a study."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypedDict

from softtargets._errors import fail
from softtargets._storage import user_path


@dataclass(frozen=True)
class DataChoice:
    """A data set of the user's instead of the study's; `label` names its label column."""

    name: str
    label: str | None = None


class StudyOptions(TypedDict, total=False):
    """What may be said of a study beside its name and output; see :class:`StudyRequest`."""

    scale: str
    seeds: int | None
    data: str | Path | None
    label: str | None
    places: Mapping[str, str | Path]
    runs: str | Path
    reports: str | Path


@dataclass(frozen=True)
class StudyRequest:
    """What the user asked for.

    Args:
        study: name of a shipped study, or a folder with a ``study.toml``. Its ``study.py``, if it has one, is run.
        output: one table or figure, or a setting; None: all outputs that belong to no setting.
        scale: smoke, desk or paper.
        seeds: number of seeds; None: set by the scale.
        data: a data set instead of the study's: digits, a file or folder, or a hub name.
        label: the label column of `data`.
        places: where data sets lie, by the names that the study gives them.
        runs: folder of the run store.
        reports: folder of the pages.

    Raises:
        InputError: where a label is given without data, or seeds is not a whole number of at least 2.
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
            raise fail("--label", "given with --data", f"'{self.label}' alone", "name the data set too")
        if self.seeds is not None and (type(self.seeds) is not int or self.seeds < 2):
            raise fail("seeds", "a whole number of at least 2", repr(self.seeds), "intervals need two seeds or more")

    @classmethod
    def of(cls, study: str | Path, output: str | None, options: StudyOptions) -> Self:
        """Return a request from the arguments of a public function, which may be text for paths."""
        runs, reports = (user_path(name, options.get(name, getattr(cls, name))) for name in ("runs", "reports"))
        data = options.get("data")
        places = {name: str(place) for name, place in options.get("places", {}).items()}
        given = {"runs": runs, "reports": reports, "data": None if data is None else str(data), "places": places}
        return cls(str(study), output, **{**options, **given})

    @property
    def choice(self) -> DataChoice | None:
        """The user's data set, if one was chosen."""
        return None if self.data is None else DataChoice(self.data, self.label)

    @property
    def command(self) -> str:
        """The command that repeats this request, without folders: results are the same wherever they lie."""
        words = ["softtargets", "run", self.study, *([self.output] if self.output else []), "--scale", self.scale]
        words += ["--seeds", str(self.seeds)] if self.seeds is not None else []
        words += ["--data", self.data] if self.data is not None else []
        words += ["--label", self.label] if self.label is not None else []
        for name, place in self.places.items():
            words += ["--at", f"{name}={place}"]
        return shlex.join(words)
