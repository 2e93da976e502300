"""The fields that a search chooses: a path in the specification and a range."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from softtargets._errors import InputError, fail, unknown
from softtargets._spec import Spec
from softtargets.runs.spec import RunSpec

# Tables that may be searched. Others change the data, their noise or the draws, and with them what runs are judged by.
TABLES = ("model", "objective", "optimizer", "schedule", "augmentation", "training")
_FORM = "TABLE.FIELD=LOW:HIGH or TABLE.FIELD=LOW:HIGH:log, such as objective.smoothing=0:0.3"


@dataclass(frozen=True)
class SearchField:
    """A numeric field of a run specification, and the range that its value is chosen from.

    Args:
        path: names of tables and of the field with dots, such as "objective.smoothing".
        low: smallest value.
        high: largest value.
        log: whether the logarithm of the value is searched, for example of a learning rate; `low` is then above 0.
        whole: whether the value is a whole number; set by :func:`check_fields`.

    Example:
        >>> SearchField.parse("optimizer.learning_rate=1e-3:1e-1:log")
        SearchField(path='optimizer.learning_rate', low=0.001, high=0.1, log=True, whole=False)
    """

    path: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @classmethod
    def parse(cls, text: str) -> "SearchField":
        """Read a field and its range from text.

        Raises:
            InputError: text of another form, a number that is not finite, or an empty range.
        """
        path, sign, span = text.partition("=")
        low, *rest = span.split(":")
        if not (path.strip() and sign) or len(rest) not in (1, 2) or rest[1:] not in ([], ["log"]):
            raise fail("field", _FORM, f"'{text}'", "write the field, '=', and its smallest and largest value")
        try:
            bounds = float(low), float(rest[0])
        except ValueError:
            raise fail("field", _FORM, f"'{text}'", "write the two ends of the range in digits") from None
        field = cls(path.strip(), *bounds, log=len(rest) == 2)
        field.check()
        return field

    def check(self) -> None:
        """Require a range, and a table that may be searched."""
        ends = f"{self.low:g}:{self.high:g}"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise fail(f"field {self.path}", "a smallest value below the largest", ends, "write LOW:HIGH")
        if self.log and self.low <= 0:
            raise fail(f"field {self.path}", "values above 0 with log", ends, "raise the smallest value, or drop :log")
        table, _, name = self.path.partition(".")
        if table not in TABLES:
            raise unknown("field: its table", table, TABLES)
        if not name:
            raise fail("field", _FORM, f"'{self.path}'", "name a field of the table")

    def value_in(self, content: Mapping[str, Any]) -> float | None:
        """Return the value that a specification has for the field; None if it has none."""
        found: Any = content
        for key in self.path.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, int | float) and not isinstance(found, bool) else None

    def put(self, content: Mapping[str, Any], value: float) -> dict[str, Any]:
        """Return a specification with this value."""
        changed = copy.deepcopy(dict(content))
        *tables, last = self.path.split(".")
        table = changed
        for key in tables:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                raise fail(f"field {self.path}", f"a table '{key}'", f"{inner!r}", "give the path of a number")
            table = inner
        table[last] = int(value) if self.whole else float(value)
        return changed


def content_of(run: RunSpec) -> dict[str, Any]:
    """Return a run specification as plain data, without the settings that are left out."""
    return run.model_dump(mode="json", exclude_none=True)


def with_values(run: RunSpec, fields: Sequence[SearchField], values: Mapping[str, float]) -> RunSpec:
    """Return a run with the values of the fields, by their paths.

    Raises:
        InputError: if the specification refuses a value.
    """
    content = content_of(run)
    for field in fields:
        if field.path in values:
            content = field.put(content, values[field.path])
    return RunSpec.parse(content, source="tune")


def check_fields(run: RunSpec, fields: Sequence[SearchField]) -> tuple[SearchField, ...]:
    """Return the fields, marked as whole numbers where the specification takes no others; require valid ends of ranges.

    Raises:
        InputError: no field, one twice, one that the specification does not have, or an end that it refuses.
    """
    if not fields:
        raise fail("field", "at least one field to choose", "none", "add --field objective.smoothing=0:0.3")
    paths = [field.path for field in fields]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise fail("field", "each field once", f"'{path}' twice", "remove one of them")
    return tuple(_checked(run, field) for field in fields)


def _checked(run: RunSpec, field: SearchField) -> SearchField:
    field.check()
    if not _is_number(run, field.path):
        remedy = "choose another field, such as optimizer.learning_rate"
        raise fail(f"field {field.path}", "a field whose values are a range of numbers", "one of other values", remedy)
    between = field.low + 0.381 * (field.high - field.low)  # no whole number, and no special value
    whole = field.low == int(field.low) and field.high == int(field.high) and not _takes(run, field, between)
    field = replace(field, whole=whole)
    for end in (field.low, field.high):
        with_values(run, [field], {field.path: end})
    return field


def _takes(run: RunSpec, field: SearchField, value: float) -> bool:
    try:
        with_values(run, [field], {field.path: value})
    except InputError:
        return False
    return True


def _is_number(run: RunSpec, path: str) -> bool:
    """Return whether a field takes numbers; True also if there is no such field, which the specification refuses."""
    *tables, last = path.split(".")
    table: Any = run
    for key in tables:
        table = getattr(table, key, None)
    known = type(table).model_fields if isinstance(table, Spec) else {}
    return last not in known or _takes_numbers(known[last].annotation)


def _takes_numbers(annotation: Any) -> bool:
    inner = get_args(annotation) if get_origin(annotation) in (Union, UnionType, Annotated) else ()
    return annotation in (int, float) or any(_takes_numbers(each) for each in inner)
