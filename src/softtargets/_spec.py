"""The base of every specification: a frozen value that refuses unknown keys and names the nearest valid one."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError

from softtargets._errors import InputError, fail, nearest, sentence, unknown

# Ranges of numbers that several specifications hold.
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
# Three classes that a projection shows: two alike, and one that is not.
Classes = tuple[int, int, int]

SHOWN = 80
TABLE = ("a table", "write keys and values under its name")
LIST = ("a list", "write it in square brackets")
# by pydantic's kind of error: what is required and what to do
TYPES = {
    "int_type": ("a whole number", "write it in digits, without quotes or a decimal point"),
    "float_type": ("a number", "write it in digits, without quotes"),
    "bool_type": ("true or false", "write one of the two, without quotes"),
    "string_type": ("text", "write it in quotes"),
    "tuple_type": LIST,
    "list_type": LIST,
    "dict_type": TABLE,
    "model_type": TABLE,
    "model_attributes_type": TABLE,
}
RANGES = {
    "finite_number": ("a finite number", "give another number"),
    "greater_than": ("above {gt}", "raise it"),
    "greater_than_equal": ("at least {ge}", "raise it"),
    "less_than": ("below {lt}", "lower it"),
    "less_than_equal": ("at most {le}", "lower it"),
    "too_short": ("a length of at least {min_length}", "add to it"),
    "too_long": ("a length of at most {max_length}", "shorten it"),
    "string_too_short": ("a length of at least {min_length}", "add to it"),
    "string_too_long": ("a length of at most {max_length}", "shorten it"),
}


class Spec(BaseModel):
    """A frozen, validated value; what it holds is data (numbers, names, tuples and other specifications)."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    error = unknown("key", str(key), cls.model_fields)
                    raise PydanticCustomError("unknown_key", "{message}", {"message": str(error)})
        return data

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @classmethod
    def parse(cls, data: Mapping[str, Any], source: str = "specification") -> Self:
        """Validate `data` as written: nothing is coerced, but for lists to tuples and whole numbers to floats.

        Raises:
            InputError: naming `source`, every bad key by its path, what is required and the nearest valid name.
        """
        try:
            return cls.model_validate(_plain(data, cls.__name__), strict=True)
        except ValidationError as error:
            text = " | ".join(_complaints(cls, error, data))
        except InputError as error:
            text = str(error)
        raise InputError(f"{source}: {text}")

    def changed(self, **values: Any) -> Self:
        """Return a validated copy with these fields replaced."""
        return type(self).model_validate({**{name: getattr(self, name) for name in type(self).model_fields}, **values})


class NamedSpec(Spec):
    """A specification that is selected by its name among others of its kind; :func:`register` sets the name."""

    name: str = ""


Named = TypeVar("Named", bound=NamedSpec)


def register(registry: dict[str, type[Any]], name: str) -> Callable[[type[Named]], type[Named]]:
    """Return a class decorator that adds the field `name` and enters the class into a registry.

    Args:
        registry: classes by name.
        name: the only value, and the default, of the field `name`.

    Raises:
        InputError: where the registry has another class of this name.

    Example:
        >>> shapes = {}
        >>> @register(shapes, "square")
        ... class Square(NamedSpec):
        ...     side: float = 1.0
        >>> Square(side=2.0), list(shapes)
        (Square(name='square', side=2.0), ['square'])
    """

    def add(cls: type[Named]) -> type[Named]:
        if name in registry:
            raise fail("name", "a name that is not registered yet", f"'{name}' for {cls.__name__}", "choose another")
        field: Any = (Literal[name], name)
        made = create_model(cls.__name__, __base__=cls, __module__=cls.__module__, __doc__=cls.__doc__, name=field)
        made.__qualname__ = cls.__qualname__  # so that it is pickled by reference
        registry[name] = made
        return made

    return add


def union_of(registry: Mapping[str, type[NamedSpec]]) -> Any:
    """Return the annotation of a field that holds any of the registered classes, selected by `name`."""
    return Annotated[Union[tuple(registry.values())], Field(discriminator="name")]  # noqa: UP007 (made at run time)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: where it does not exist or is not TOML, naming the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise fail("path", "an existing file", f"'{path}'", "fix the path") from None
    except IsADirectoryError:
        raise fail("path", "a TOML file", f"the folder '{path}'", "name a file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}; fix that place") from None


def _plain(data: Any, owner: str, path: tuple[str, ...] = ()) -> Any:
    # Tuples for lists, since strict validation takes no list for a tuple. Validating JSON instead would take one, but
    # not inside a class with a validator of mode "before", which every specification has.
    if isinstance(data, Mapping):
        return {key: _plain(value, owner, (*path, str(key))) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return tuple(_plain(value, owner, (*path, str(index))) for index, value in enumerate(data))
    if data is None or isinstance(data, str | int | float | Spec):
        return data
    required = "text, a number, true or false, a list or a table"
    raise fail(".".join(path) or owner, required, f"{type(data).__name__} {data}", "write it as one of these")


def _complaints(owner: type[Spec], error: ValidationError, data: Any) -> list[str]:
    items: list[dict[str, Any]] = [dict(item) for item in error.errors()]
    misnamed = [item["loc"][:-1] for item in items if item["loc"][-1:] == ("[key]",)]
    groups: dict[Any, list[dict[str, Any]]] = {}
    for item in items:
        loc = item["loc"]
        # what stands in a table of an unknown name is not worth a word
        if any(loc[: len(prefix)] == prefix and loc[-1] != "[key]" for prefix in misnamed):
            continue
        parts, item["annotation"] = _place(owner, loc)
        item["parts"] = _with_ids(parts, data)
        # each member of a union complains of the same value: one line says all that would do
        key = tuple(item["parts"]) if item["type"] in TYPES else len(groups)
        groups.setdefault(key, []).append(item)
    lists = {key[:end] for key in groups if isinstance(key, tuple) for end in range(1, len(key))}
    # a list that is right but for its entries is complained of by the other members of its union
    kept = [group for key, group in groups.items() if key not in lists]
    return list(dict.fromkeys(_describe(owner.__name__, group) for group in kept))


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
    got = _shown(item.get("input"))
    if kind in TYPES:
        return _wrong_type(path, got, [TYPES[each["type"]] for each in group])
    if kind == "union_tag_invalid":
        return _not_among(f"{path}.name", item["input"]["name"], list(tags(annotation)))
    if kind == "union_tag_not_found":
        return sentence(f"{path}.name", f"required, one of {', '.join(tags(annotation))}", "nothing", "add this key")
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
        path, f"one of {', '.join(known)}", _shown(got), f"did you mean '{close}'?" if close else "use one of these"
    )


def _limit(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _joined(parts: list[str], annotation: Any, error: str) -> str:
    """Put the path before the sentence of a validator, which names a field of its class, or the class's own place."""
    if not parts:
        return error
    argument, _, rest = error.partition(": ")
    path = ".".join(parts)
    if argument == parts[-1]:
        return f"{path}: {rest}"
    fields = annotation.model_fields if _is_spec(annotation) else {}
    return f"{path}.{error}" if argument in fields else f"{path}: {error}"


def _place(owner: type[Spec], loc: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """Return the path that the user wrote, without pydantic's own names for members of unions, and what it is for."""
    parts: list[str] = []
    current: Any = owner
    for part in loc:
        current = _bare(current)
        members = get_args(current) if get_origin(current) in (Union, UnionType) else ()
        if members:
            # pydantic names a member of a union by its tag, or else by its type
            named = tags(current) if all(map(_is_spec, members)) else {_label(member): member for member in members}
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
    """Name entries of lists by their id where they have one: the entry that a number counts may be hard to find."""
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
    if _is_spec(annotation):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if get_origin(annotation) is tuple else None


def _bare(annotation: Any) -> Any:
    """Take off metadata and "or None", neither of which pydantic puts into a path."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else Union[tuple(members)]  # noqa: UP007 (made at run time)
    return annotation


def _label(annotation: Any) -> str:
    bare = _bare(annotation)
    return bare.__name__ if isinstance(bare, type) and not get_args(bare) else str(bare)


def _is_spec(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Spec)


def _shown(value: Any) -> str:
    text = repr(_listed(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _listed(value: Any) -> Any:
    """Give back the lists that were written where there are now tuples."""
    if isinstance(value, tuple):
        return [_listed(entry) for entry in value]
    return {key: _listed(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def tags(union: Any) -> dict[str, type[Spec]]:
    """Return the classes of a discriminated union by the name that selects them."""
    members = get_args(_bare(union))
    return {member.model_fields["name"].default: member for member in members}


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `change` laid over it, table by table; a table with another `name` replaces the whole."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name"):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result
