"""The base of every specification: a frozen, validated value that refuses unknown keys and suggests valid ones."""

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from softtargets._errors import InputError, fail, unknown
from softtargets._spec_errors import complaints, shown
from softtargets._storage import MAX_DEPTH, UnfitFileError, check_depth, read_regular, too_many_digits, user_path

# Types of numbers that several specifications use.
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
# A setting that is off by default. False is stored as None, which is not part of the identity of a run.
Switch = Annotated[bool | None, AfterValidator(lambda on: on or None)]
# Every seed fits into 63 bits, and so into JSON readers and torch.
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# Three classes that a projection shows: two similar ones, and one that differs.
Classes = tuple[int, int, int]

# What tells the validators inside a specification that values are taken as written; see `Spec.parse`.
_STRICT = {"strict": True}


class Spec(BaseModel):
    """A frozen, validated value that holds data only: numbers, names, tuples and other specifications."""

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
        """Validate `data` as written.

        Lists become tuples, whole numbers become floats where floats are required, and paths, NumPy numbers and NumPy
        arrays become text, numbers and tuples. Nothing else is converted.

        Raises:
            InputError: naming `source`, every bad key by its path, what is required and the nearest valid name.
        """
        try:
            return cls.model_validate(_plain(data, cls.__name__), strict=True, context=_STRICT)
        except ValidationError as error:
            text = " | ".join(complaints(cls, error, data))
        except InputError as error:
            text = str(error)
        raise InputError(f"{source}: {text}")

    def changed(self, **values: Any) -> Self:
        """Return a validated copy with these fields replaced.

        Raises:
            InputError: for an unknown field or a bad value.
        """
        content = {**{name: getattr(self, name) for name in type(self).model_fields}, **values}
        try:
            return type(self).model_validate(content)
        except ValidationError as error:
            raise InputError(" | ".join(complaints(type(self), error, content))) from None


class NamedSpec(Spec):
    """A specification that is selected by its name among others of its kind. :func:`register` sets the name."""

    name: str = ""


Named = TypeVar("Named", bound=NamedSpec)


def register(registry: dict[str, type[Any]], name: str) -> Callable[[type[Named]], type[Named]]:
    """Return a class decorator that adds the field `name` and enters the class into a registry.

    Args:
        registry: classes by name.
        name: the only value, and the default, of the field `name`.

    Raises:
        InputError: if the registry has another class of this name.

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


class _Registered:
    """The annotation of a field that takes any class of a registry; the registry is read at validation."""

    registry: ClassVar[Mapping[str, type[NamedSpec]]]
    _known: ClassVar[tuple[type[NamedSpec], ...]]
    _adapter: ClassVar[TypeAdapter[Any]]

    @classmethod
    def registered(cls) -> dict[str, type[NamedSpec]]:
        """Return the classes that the field takes, by name."""
        return dict(cls.registry)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # serialised as what it is, with the fields of the registered class
        return core_schema.with_info_after_validator_function(cls._validated, core_schema.any_schema())

    @classmethod
    def _validated(cls, value: Any, info: ValidationInfo) -> Any:
        known = tuple(cls.registry.values())
        if known != getattr(cls, "_known", None):
            union: Any = Annotated[Union[known], Field(discriminator="name")]  # noqa: UP007 (made at run time)
            cls._known, cls._adapter = known, TypeAdapter(union)
        strict = True if info.context is _STRICT else None
        return cls._adapter.validate_python(value, strict=strict, context=info.context)


def union_of(registry: Mapping[str, type[NamedSpec]]) -> Any:
    """Return the annotation of a field that takes any registered class, selected by `name`.

    Classes that are registered later are taken too.
    """
    return type("Registered", (_Registered,), {"registry": registry})


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file; ``~`` in the path is expanded.

    Raises:
        InputError: if the file does not exist, is not a regular file of at most 64 MiB, or is not valid TOML (with
            the line).
    """
    path = user_path("path", path)
    try:
        content = tomllib.loads(read_regular(path).decode("utf-8"))
        check_depth(content)
        return content
    except FileNotFoundError:
        raise fail("path", "an existing file", f"'{path}'", "give the path of an existing file") from None
    except UnfitFileError as error:
        raise fail("path", "a TOML file", f"'{path}', {error}", "give the path of a TOML file") from None
    except RecursionError:
        raise InputError(f"{path}: invalid TOML: nested more than {MAX_DEPTH} levels deep; use fewer levels") from None
    # tomllib's own error, undecodable bytes, an integer with too many digits, too many levels
    except ValueError as error:
        raise InputError(f"{path}: invalid TOML: {too_many_digits(error) or error}; fix that line") from None


def write_toml(content: Mapping[str, Any]) -> str:
    """Return a specification as TOML; :func:`read_toml` reads it. Tables inside of tables are written inline.

    Example:
        >>> print(write_toml({"model": {"name": "mlp", "hidden": (8, 8)}, "init_head": "new"}))
        init_head = "new"
        <BLANKLINE>
        [model]
        name = "mlp"
        hidden = [8, 8]
        <BLANKLINE>
    """
    tables = {name: values for name, values in content.items() if isinstance(values, Mapping)}
    rest = {name: value for name, value in content.items() if name not in tables}
    blocks = [([f"[{name}]"], values) for name, values in tables.items()]
    return "\n".join(
        "\n".join([*head, *(f"{_toml_key(key)} = {toml_value(value)}" for key, value in values.items()), ""])
        for head, values in ([([], rest)] if rest else []) + blocks
    )


def toml_value(value: Any) -> str:
    """Return a text, a number, a truth value, a list or an inline table as TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml_key(key)} = {toml_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    # JSON strings and numbers are TOML, except that TOML has no surrogate escapes, which ensure_ascii=False avoids
    return json.dumps(value, ensure_ascii=False, default=str)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `change`, table by table; a table with another `name` replaces the whole."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name"):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


def _plain(data: Any, owner: str, path: tuple[str, ...] = ()) -> Any:
    # Tuples for lists, since strict validation takes no list for a tuple. Validating JSON instead would take one, but
    # not inside a class with a validator of mode "before", which every specification has.
    place = ".".join(path) or owner
    if len(path) > MAX_DEPTH:
        got = f"more under '{'.'.join(path[:3])}...'"
        raise fail(owner, f"at most {MAX_DEPTH} levels of lists and tables", got, "use fewer levels")
    if isinstance(data, Mapping):
        return {key: _plain(value, owner, (*path, str(key))) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return tuple(_plain(value, owner, (*path, str(index))) for index, value in enumerate(data))
    if isinstance(data, os.PathLike):
        return os.fspath(data)
    if type(data).__module__ == "numpy" and hasattr(data, "tolist"):
        return _plain(data.tolist(), owner, path)
    if isinstance(data, int) and not -(2**63) <= data < 2**63:
        raise fail(place, "an integer of at most 64 bits", shown(data), "give a smaller number")
    if data is None or isinstance(data, str | int | float | Spec):
        return data
    required = "text, a number, true or false, a list or a table"
    raise fail(place, required, f"{type(data).__name__} {data}", "write it as one of these")
