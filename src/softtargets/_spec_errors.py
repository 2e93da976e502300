"""Pydantic's validation errors as sentences that name keys as the user wrote them."""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from softtargets._errors import InputError, nearest, sentence

SHOWN = 80
TABLE = ("a table", "write keys and values under its name")
LIST = ("a list", "write it in square brackets")
WHOLE = ("a whole number", "write it in digits, without quotes or a decimal point")
NUMBER = ("a number", "write it in digits, without quotes")
SWITCH = ("true or false", "write one of the two, without quotes")
# pydantic's error type -> what is required, how to fix it
TYPES = {
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "bool_type": SWITCH,
    "bool_parsing": SWITCH,
    "string_type": ("text", "write it in quotes"),
    "tuple_type": LIST,
    "list_type": LIST,
    "dict_type": TABLE,
    "model_type": TABLE,
    "model_attributes_type": TABLE,
}
RANGES = {
    "finite_number": ("a finite number", "give another number"),
    "greater_than": ("above {gt}", "give a larger value"),
    "greater_than_equal": ("at least {ge}", "give a larger value"),
    "less_than": ("below {lt}", "give a smaller value"),
    "less_than_equal": ("at most {le}", "give a smaller value"),
    "too_short": ("a length of at least {min_length}", "add entries"),
    "too_long": ("a length of at most {max_length}", "remove entries"),
    "string_too_short": ("a length of at least {min_length}", "write a longer text"),
    "string_too_long": ("a length of at most {max_length}", "write a shorter text"),
    "string_unicode": ("text in Unicode", "rename the file, or write the text, in UTF-8"),
}


def complaints(owner: type[BaseModel], error: ValidationError, data: Any) -> list[str]:
    """Return one sentence for each thing that is wrong with `data` as a value of `owner`."""
    items: list[dict[str, Any]] = [dict(item) for item in error.errors()]
    misnamed = [item["loc"][:-1] for item in items if item["loc"][-1:] == ("[key]",)]
    groups: dict[Any, list[dict[str, Any]]] = {}
    for item in items:
        loc = item["loc"]
        # errors inside a table of an unknown name are not reported
        if any(loc[: len(prefix)] == prefix and loc[-1] != "[key]" for prefix in misnamed):
            continue
        parts, item["annotation"] = _place(owner, loc)
        item["parts"] = _with_ids(parts, data)
        # each member of a union reports the same value: one line lists all that is accepted
        key = tuple(item["parts"]) if item["type"] in TYPES else len(groups)
        groups.setdefault(key, []).append(item)
    lists = {key[:end] for key in groups if isinstance(key, tuple) for end in range(1, len(key))}
    # a number out of range is of a right type, so what other members of the union are is of no use
    ranged = {tuple(group[0]["parts"]) for key, group in groups.items() if isinstance(key, int)}
    # the other members of a union reject a list whose entries alone are wrong
    kept = [group for key, group in groups.items() if key not in lists and key not in ranged]
    return list(dict.fromkeys(_describe(owner.__name__, group) for group in kept))


def members(union: Any) -> dict[str, type[BaseModel]]:
    """Return the classes of a field that is selected by name, by that name; of other annotations nothing."""
    return getattr(_bare(union), "registered", dict)()


def shown(value: Any) -> str:
    """Return a value as the user wrote it, shortened."""
    try:
        text = repr(_listed(value))
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        text = f"a {type(value).__name__} that is too long to print"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _wrong_type(path: str, got: str, choices: list[tuple[str, str]]) -> str:
    *others, last = [required for required, _ in choices]
    remedy = "write it as one of these" if others else choices[0][1]
    return sentence(path, f"{', '.join(others)} or {last}" if others else last, got, remedy)


def _describe(owner: str, group: list[dict[str, Any]]) -> str:
    item = group[0]
    parts, annotation = item["parts"], item["annotation"]
    path = ".".join(parts) or owner
    context = item.get("ctx") or {}
    kind = item["type"]
    got = shown(item.get("input"))
    if kind in TYPES:
        return _wrong_type(path, got, [TYPES[each["type"]] for each in group])
    if kind == "union_tag_invalid":
        return _not_among(f"{path}.name", item["input"]["name"], list(members(annotation)))
    if kind == "union_tag_not_found":
        return sentence(f"{path}.name", f"required, one of {', '.join(members(annotation))}", "nothing", "add this key")
    if kind == "literal_error":
        if item["loc"][-1:] == ("[key]",):
            path = ".".join(parts[:-1]) or owner
        return _not_among(path, item["input"], [str(value) for value in get_args(annotation)])
    if kind == "unknown_key":
        return f"{path}: {context['message']}" if parts else str(context["message"])
    if kind == "missing":
        return sentence(path, "required", "nothing", "add this key")
    if kind in RANGES:
        required, remedy = RANGES[kind]
        return sentence(path, required.format(**{key: _limit(value) for key, value in context.items()}), got, remedy)
    error = context.get("error")
    if isinstance(error, InputError):
        return _joined(parts, annotation, str(error))
    message = str(error or item["msg"])
    return sentence(path, f"{message[0].lower()}{message[1:]}", got, "fix this value")


def _not_among(path: str, got: Any, known: list[str]) -> str:
    close = nearest(str(got), known)
    return sentence(
        path, f"one of {', '.join(known)}", shown(got), f"did you mean '{close}'?" if close else "use one of these"
    )


def _limit(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _joined(parts: list[str], annotation: Any, error: str) -> str:
    """Put the path before a validator's sentence, which begins with a field of its class or with the class itself."""
    if not parts:
        return error
    argument, _, rest = error.partition(": ")
    path = ".".join(parts)
    if argument == parts[-1]:
        return f"{path}: {rest}"
    fields = annotation.model_fields if _is_model(annotation) else {}
    return f"{path}.{error}" if argument in fields else f"{path}: {error}"


def _place(owner: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """Return the path that the user wrote, without pydantic's names for members of unions, and its annotation."""
    parts: list[str] = []
    current: Any = owner
    for part in loc:
        current = _bare(current)
        choices = get_args(current) if get_origin(current) in (Union, UnionType) else ()
        named: Mapping[str, Any] = members(current) or {_label(choice): choice for choice in choices}
        if named:
            # pydantic names a member of a union by its tag, or else by its type
            current = named.get(str(part))
            continue
        if part == "[key]":
            # the key itself, whose value the walk has just stepped to
            current = get_args(_bare(_place(owner, loc[:-2])[1]))[0]
            continue
        parts.append(str(part))
        current = _inside(current, part)
    return parts, _bare(current)


def _with_ids(parts: list[str], data: Any) -> list[str]:
    """Name entries of lists by their id where they have one, since an index may be hard to find."""
    named: list[str] = []
    for part in parts:
        if isinstance(data, list | tuple) and part.isdigit():
            data = data[int(part)]
            named.append(str(data["id"]) if isinstance(data, Mapping) and "id" in data else part)
        else:
            data = data.get(part) if isinstance(data, Mapping) else None
            named.append(part)
    return named


def _inside(annotation: Any, part: int | str) -> Any:
    if _is_model(annotation):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if get_origin(annotation) is tuple else None


def _bare(annotation: Any) -> Any:
    """Remove metadata and "or None", neither of which pydantic puts into a path."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        choices = [choice for choice in get_args(annotation) if choice is not type(None)]
        return _bare(choices[0]) if len(choices) == 1 else Union[tuple(choices)]  # noqa: UP007 (made at run time)
    return annotation


def _label(annotation: Any) -> str:
    bare = _bare(annotation)
    return bare.__name__ if isinstance(bare, type) and not get_args(bare) else str(bare)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _listed(value: Any) -> Any:
    """Return lists where parsing has put tuples."""
    if isinstance(value, tuple):
        return [_listed(entry) for entry in value]
    return {key: _listed(entry) for key, entry in value.items()} if isinstance(value, dict) else value
