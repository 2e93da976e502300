"""Finding studies and reading them: the shipped ones by name, the user's own by folder."""

import csv
import math
from importlib.resources import files
from pathlib import Path

from softtargets._errors import InputError, fail, unknown
from softtargets._spec import read_toml
from softtargets.studies.results import CellKey, Reported
from softtargets.studies.schema import Noise, Study
from softtargets.studies.templating import expand_templates

STUDY = "study.toml"
REPORTED = "reported.csv"
COLUMNS = ("output", "dataset", "model", "arm", "level", "noise", "metric", "mean", "sd", "n", "unit", "source")


def shipped() -> dict[str, Path]:
    """Return the folders of the studies that come with the package, by name."""
    root = Path(str(files("softtargets.studies")))
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{STUDY}"))}


def find(study: str) -> Path:
    """Return the folder of a study, by name or by path.

    Raises:
        InputError: naming the nearest study.
    """
    known = shipped()
    if study in known:
        return known[study]
    folder = Path(study)
    folder = folder.parent if folder.name == STUDY else folder
    if (folder / STUDY).is_file():
        return folder
    if folder.is_dir():
        raise fail("study", f"a folder with {STUDY}", f"'{study}'", f"write {STUDY}, or name one of {', '.join(known)}")
    raise unknown("study", study, known)


def read_study(folder: Path) -> Study:
    """Read ``study.toml`` and validate it as far as the schema goes; :func:`checks.check_study` does the rest.

    Raises:
        InputError: naming the file, the key and the nearest valid name.
    """
    return Study.parse(expand_templates(read_toml(folder / STUDY), folder / STUDY), source=str(folder / STUDY))


def read_reported(folder: Path, study: Study) -> tuple[Reported, ...]:
    """Read ``reported.csv``: the numbers printed in the paper, in the unit they are printed in.

    Raises:
        InputError: naming the file and the row.
    """
    path = folder / REPORTED
    if not path.exists():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: text in UTF-8; got {error}; save it as UTF-8") from None
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InputError(f"{path}: the columns {', '.join(COLUMNS)}; got {reader.fieldnames}; mend the first line")
    found: dict[tuple, Reported] = {}
    for number, row in enumerate(reader):
        reported = _reported(row, f"{path}: row {number}", study)
        place = (reported.output, reported.dataset, reported.model, reported.key, reported.metric)
        if place in found:
            raise InputError(f"{path}: row {number}: each number once; got {place} again; drop one of the two")
        found[place] = reported
    return tuple(found.values())


def _reported(row: dict[str, str], place: str, study: Study) -> Reported:
    if row["output"] not in study.outputs:
        raise InputError(f"{place}: {unknown('output', row['output'], study.outputs)}")
    if row["arm"] not in study.arms:
        raise InputError(f"{place}: {unknown('arm', row['arm'], study.arms)}")
    if row["metric"] not in study.outputs[row["output"]].metrics:
        known = study.outputs[row["output"]].metrics
        raise InputError(f"{place}: {unknown('metric', row['metric'], known)}")
    try:
        scale = {"percent": 0.01, "fraction": 1.0, "factor": 1.0}[row["unit"]]
        level = float(row["level"])
        return Reported(
            output=row["output"],
            dataset=row["dataset"],
            model=row["model"],
            key=CellKey(study.arm_at(row["arm"], level), level, _noise(row["noise"], study)),
            metric=row["metric"],
            # to the digits that are printed, and not one more
            mean=round(_finite(row["mean"]) * scale, 10),
            sd=round(_finite(row["sd"]) * scale, 10) if row["sd"] else None,
            n=int(row["n"]) if row["n"] else None,
            source=row["source"],
        )
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{place}: numbers, and a unit of percent, fraction or factor; got {error}; mend that row"
        ) from None


def _noise(text: str, study: Study) -> Noise:
    return text if text in study.noises else float(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"'{text}'")
    return value
