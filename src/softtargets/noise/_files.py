"""Transitions in files."""

import csv
import io
import math
import os
from collections.abc import Sequence

import torch

from softtargets._errors import fail, nearest
from softtargets._storage import read_regular, user_path
from softtargets.matrices import Transition

__all__ = ["load_transition"]

# Rows may miss a sum of 1 by this much, as numbers in files are rounded.
_ROUNDING = 1e-3
# What a spreadsheet would read as a formula is written with a quote before it.
_FORMULA = ("'=", "'+", "'-", "'@")


def load_transition(path: str | os.PathLike[str], *, class_names: Sequence[str] | None = None) -> Transition:
    """Read a transition from a CSV file, such as the ``transition.csv`` of an audit.

    The first line is "clean" and the names of the classes as observed labels. Every other line is the name of a clean
    class and its K probabilities. Lines may be in another order than columns.

    Args:
        path: of the file.
        class_names: K names; the transition is returned in their order. Default: the order of the columns.

    Returns:
        Transition; rows: clean classes, columns: observed labels. Rows are divided by their sums to undo rounding.

    Raises:
        ValueError: if the file does not exist or has another form; a class is missing, or is named twice; an entry is
            not a number in [0, 1]; or a row does not sum to 1 (first bad line named).

    Example:
        >>> import tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "transition.csv")
        >>> with open(path, "w") as file:
        ...     _ = file.write("clean,cat,dog\\ncat,0.9,0.1\\ndog,0.2,0.8\\n")
        >>> load_transition(path, class_names=["dog", "cat"]).to_dense().tolist()
        [[0.8, 0.2], [0.1, 0.9]]
    """
    place = user_path("path", path)
    try:
        lines = list(csv.reader(io.StringIO(read_regular(place).decode("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        remedy = "give the transition.csv of an audit"
        raise fail("path", "a CSV file that can be read", f"{place}: {error}", remedy) from None
    rows = {number: line for number, line in enumerate(lines, 1) if line}
    header = rows.pop(1, [])
    names = [_unquoted(name) for name in header[1:]]
    if len(names) < 2 or len(set(names)) < len(names):
        got = f"{', '.join(header) or 'nothing'} in {place}"
        raise fail("path", "a first line of 'clean' and K different class names, K >= 2", got, "fix the first line")
    wanted = names if class_names is None else list(class_names)
    for name in (*(name for name in wanted if name not in names), *(name for name in names if name not in wanted)):
        whose, close = ("a column for", nearest(name, names)) if name in wanted else ("no column for", None)
        remedy = f"did you mean '{close}'?" if close else "give the transition of these classes"
        raise fail("path", f"the {len(wanted)} classes {_some(wanted)}", f"{whose} '{name}' in {place}", remedy)
    found: dict[str, list[float]] = {}
    for number, line in rows.items():
        name = _unquoted(line[0])
        if name not in names or name in found:
            got = f"'{name}'{' twice' if name in found else ''} in {place}, line {number}"
            raise fail("path", "one line for each class", got, "fix that line")
        found[name] = _probabilities(line[1:], len(names), f"{place}, line {number}")
    absent = next((name for name in names if name not in found), None)
    if absent is not None:
        raise fail("path", "one line for each class", f"none for '{absent}' in {place}", "add it")
    matrix = torch.tensor([found[name] for name in wanted], dtype=torch.float64)
    return Transition.wrap(matrix[:, torch.tensor([names.index(name) for name in wanted])])


def _probabilities(cells: Sequence[str], size: int, place: str) -> list[float]:
    required, remedy = f"{size} numbers in [0, 1] that sum to 1", "fix that line; rows are clean classes"
    try:
        values = [float(cell) for cell in cells]
    except ValueError as error:
        raise fail("path", required, f"{error} in {place}", remedy) from None
    if len(values) != size or not all(0 <= value <= 1 for value in values):
        raise fail("path", required, f"{', '.join(cells[:10])} in {place}", remedy)
    total = math.fsum(values)
    if abs(total - 1) > _ROUNDING:
        raise fail("path", required, f"a sum of {total:g} in {place}", remedy)
    return [value / total for value in values]


def _unquoted(name: str) -> str:
    return name[1:] if name.startswith(_FORMULA) else name


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:10], *(["..."] if len(names) > 10 else [])])
