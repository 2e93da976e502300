"""Loading a study: reads its files, executes its code, and checks its names against measures and output kinds."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from softtargets._errors import InputError, fail, unknown
from softtargets.measures import MEASURES, TRACES
from softtargets.studies.catalog import STUDY, read_study
from softtargets.studies.extension import Extension, load_extension
from softtargets.studies.records import CellKey, Reported
from softtargets.studies.schema import Noise, Output, Study

REPORTED = "reported.csv"
COLUMNS = ("output", "dataset", "model", "arm", "level", "noise", "metric", "mean", "sd", "n", "unit", "source")


@dataclass(frozen=True)
class LoadedStudy:
    """A study, the numbers of the paper, and the extensions in the study's Python module."""

    study: Study
    reported: tuple[Reported, ...]
    extension: Extension


def load_study(folder: Path) -> LoadedStudy:
    """Read the files of a study and execute its ``study.py``, if it has one.

    Raises:
        InputError: an invalid study, with the file, the key and the nearest valid name.
    """
    study, extension = read_study(folder), load_extension(folder)
    try:
        for name, output in study.outputs.items():
            _check_output(f"outputs.{name}", output, study, extension)
        for claim in study.claims:
            if claim.exact is not None and claim.exact not in extension.exact:
                raise unknown(f"exact number of claim {claim.id}", claim.exact, extension.exact)
            for term in claim.terms:
                _check_name(f"claim {claim.id}", "metric", term.metric, MEASURES)
            needing = _needing_classes(term.metric for term in claim.terms)
            _check_classes(f"claim {claim.id}", needing, study.outputs[claim.output], study)
    except InputError as error:
        raise InputError(f"{folder / STUDY}: {error}") from None
    return LoadedStudy(study, read_reported(folder, study), extension)


def _check_output(place: str, output: Output, study: Study, extension: Extension) -> None:
    """Require that an output has the keys that its kind uses, and no others."""
    if output.kind not in extension.kinds:
        raise unknown(f"{place}.kind", output.kind, extension.kinds)
    kind = extension.kinds[output.kind]
    names = [*output.metrics, *([output.x] if output.x is not None else [])]
    for metric in names:
        _check_name(place, f"metric of a {output.kind}", metric, kind.metrics)
        if kind.per_run and metric not in MEASURES:
            required = f"measures of runs, since '{output.kind}' shows one number for each run"
            remedy = f"set per_run = False in the class {kind.__name__}"
            raise fail(f"{place}.metrics", required, f"'{metric}'", remedy)
    needing = _needing_classes(names) + ([kind.needs_classes] if kind.needs_classes else [])
    _check_classes(place, needing, output, study)
    for key in ("splits", "spread", "minus"):
        if getattr(output, key) and not getattr(kind, f"takes_{key}"):
            having = " or ".join(
                repr(name) for name, other in extension.kinds.items() if getattr(other, f"takes_{key}")
            )
            raise fail(f"{place}.{key}", f"used only with {having}", repr(output.kind), "remove this key")
    if kind.takes_x != (output.x is not None):
        having = " or ".join(repr(name) for name, other in extension.kinds.items() if other.takes_x)
        required = f"given with {having}, and only there"
        remedy = "name the metric of the horizontal axis" if kind.takes_x else "remove this key"
        raise fail(f"{place}.x", required, f"{output.x!r} with '{output.kind}'", remedy)
    kind.check(place, output, study)


def _check_name(place: str, argument: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise InputError(f"{place}: {unknown(argument, name, known)}")


def _needing_classes(metrics: Iterable[str]) -> list[str]:
    """Return the metrics that are measured on three classes. A kind can list metrics of its own, which are not."""
    known = MEASURES | TRACES
    return [f"'{metric}'" for metric in metrics if metric in known and known[metric].needs_classes]


def _check_classes(place: str, needing: list[str], output: Output, study: Study) -> None:
    """Require three classes at every scale if an output or a claim needs them."""
    if not needing or output.unavailable is not None:
        return
    for name, scale in study.scales_of(output).items():
        classes, data = scale.classes, scale.expects
        if classes is None:
            required = f"three classes at every scale, for {needing[0]}"
            raise fail(f"{place}: classes", required, f"none at '{name}'", "add the key 'classes' to this scale")
        if len(set(classes)) < 3 or min(classes) < 0 or (data is not None and max(classes) >= data.num_classes):
            remedy = "give the numbers of three classes of the data"
            raise fail(f"{place}: classes", "three different classes of the data", f"{classes} at '{name}'", remedy)


def read_reported(folder: Path, study: Study) -> tuple[Reported, ...]:
    """Read ``reported.csv``: the numbers printed in the paper, in their printed unit.

    Raises:
        InputError: an invalid file, with the row.
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
        raise InputError(f"{path}: the columns {', '.join(COLUMNS)}; got {reader.fieldnames}; fix the first line")
    found: dict[tuple, Reported] = {}
    for number, row in enumerate(reader):
        reported = _reported(row, f"{path}: row {number}", study)
        place = (reported.output, reported.dataset, reported.model, reported.key, reported.metric)
        if place in found:
            raise InputError(f"{path}: row {number}: each number once; got {place} again; remove one of them")
        found[place] = reported
    return tuple(found.values())


def _reported(row: dict[str, str], place: str, study: Study) -> Reported:
    _check_name(place, "output", row["output"], study.outputs)
    _check_name(place, "arm", row["arm"], study.arms)
    _check_name(place, "metric", row["metric"], study.outputs[row["output"]].metrics)
    try:
        scale = {"percent": 0.01, "fraction": 1.0, "factor": 1.0}[row["unit"]]
        level = float(row["level"])
        return Reported(
            output=row["output"],
            dataset=row["dataset"],
            model=row["model"],
            key=CellKey(study.arm_at(row["arm"], level), level, _noise(row["noise"], study)),
            metric=row["metric"],
            # rounded to the printed digits
            mean=round(_finite(row["mean"]) * scale, 10),
            sd=round(_finite(row["sd"]) * scale, 10) if row["sd"] else None,
            n=int(row["n"]) if row["n"] else None,
            source=row["source"],
        )
    except (KeyError, ValueError) as error:
        required = "numbers, and a unit of percent, fraction or factor"
        raise InputError(f"{place}: {required}; got {error}; fix that row") from None


def _noise(text: str, study: Study) -> Noise:
    return text if text in study.noises else float(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"'{text}'")
    return value
