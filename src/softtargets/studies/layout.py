"""The layout of an output: its axes, the cell and metric at each place, and the labels of the axes."""

from dataclasses import dataclass
from itertools import product
from typing import get_args

from softtargets.report import numbers
from softtargets.studies import labels
from softtargets.studies.arms import TEACHER, ZERO
from softtargets.studies.expand import cell
from softtargets.studies.records import CellKey
from softtargets.studies.schema import Axis, Noise, Output, Study

AXES: tuple[Axis, ...] = get_args(Axis)


@dataclass(frozen=True)
class Place:
    """One value on each axis."""

    arm: str
    level: float
    noise: Noise
    metric: str


def axis_values(study: Study, output: Output, scale: str) -> dict[Axis, tuple]:
    """Return the values of each axis of an output. An axis that the output does not name has one value or none.

    The metric on the horizontal axis of an "against" figure is one of the metrics.
    """
    arms = output.arms or (study.baseline,)
    return {
        "arm": arms,
        "level": tuple(dict.fromkeys(level for arm in arms for level in study.arm_levels(arm, output, scale))),
        "noise": output.noise or (ZERO,),
        "metric": output.metrics if output.x is None else (output.x, *output.metrics),
    }


def places(study: Study, output: Output, scale: str) -> list[Place]:
    """Return all places of an output."""
    values = axis_values(study, output, scale)
    every = (Place(*combination) for combination in product(*(values[axis] for axis in AXES)))
    return [place for place in every if place.level in study.arm_levels(place.arm, output, scale)]


def cells(study: Study, output: Output, scale: str) -> list[CellKey]:
    """Return all cells of an output without duplicates, whether or not it names metrics."""
    values = axis_values(study, output, scale)
    spots = product(values["arm"], values["level"], values["noise"])
    own = [spot for spot in spots if spot[1] in study.arm_levels(spot[0], output, scale)]
    return list(dict.fromkeys(cell(study, arm, level, noise) for arm, level, noise in own))


def arm_label(study: Study, arm: str) -> str:
    """Return the label of an arm, with its name if several arms share the label."""
    label = study.arms[arm].label
    shared = sum(other.label == label for other in study.arms.values()) > 1
    return f"{label} ({arm})" if shared else label


def cell_label(study: Study, key: CellKey) -> str:
    """Return the label of a cell in a sentence."""
    parts = [arm_label(study, key.arm)]
    if study.arms[key.arm].sweep is not None:
        parts.append(f"{study.level_name} {numbers.level(key.level)}")
    return " · ".join([*parts, f"noise {noise_label(study, key.noise)}"])


def noise_label(study: Study, noise: Noise) -> str:
    """Return the label of a kind of noise."""
    return study.noises[noise].label if isinstance(noise, str) else numbers.rate(noise)


def axis_label(study: Study, axis: Axis, value) -> str:
    """Return the label of a value on an axis whose name is shown elsewhere (a column, a row)."""
    if axis == "arm":
        return arm_label(study, value)
    if axis == "metric":
        return labels.heading(value)
    return numbers.level(value) if axis == "level" else noise_label(study, value)


def axis_title(study: Study, axis: Axis) -> str:
    """Return the name of an axis."""
    noise = study.noise_name if study.noises else "Noise rate"
    return {"arm": "Method", "level": study.level_name, "noise": noise, "metric": "Measure"}[axis]


def axis_phrase(study: Study, axis: Axis, value) -> str:
    """Return the label of a value with the name of its axis (a group, a panel)."""
    label = axis_label(study, axis, value)
    if axis in ("arm", "metric"):
        return label
    return label if value in study.noises else f"{axis_title(study, axis)} {'= ' if axis == 'level' else ''}{label}"


def level_note(study: Study, output: Output) -> str:
    """Return a sentence on which quantity the level is, for each arm if the arms differ."""
    swept = {arm: sweep for arm in output.arms if (sweep := study.arms[arm].sweep) is not None}
    names = list(dict.fromkeys(swept.values()))
    if not names:
        return ""
    if len(names) == 1:
        return "" if names[0] == study.level_name else f"{study.level_name} is {_quantity(names[0])}."
    each = [
        f"{_quantity(name)} for {', '.join(arm_label(study, a) for a, s in swept.items() if s == name)}"
        for name in names
    ]
    return f"{study.level_name} is {'; '.join(each)}."


def _quantity(swept: str) -> str:
    return "that of the teacher" if swept == TEACHER else f"the {swept.replace('_', ' ')}"
