"""The base of every specification: a frozen value that refuses unknown keys and names the nearest valid one."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from softtargets._errors import InputError, nearest, sentence, unknown


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
        """Validate `data`.

        Raises:
            InputError: naming `source`, every bad key by its path, what is required and the nearest valid name.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [_describe(cls.__name__, dict(item)) for item in error.errors()]
            raise InputError(f"{source}: " + " | ".join(lines)) from None

    def changed(self, **values: Any) -> Self:
        """Return a validated copy with these fields replaced."""
        return type(self).model_validate({**{name: getattr(self, name) for name in type(self).model_fields}, **values})


def _describe(owner: str, item: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in item["loc"]) or owner
    context = item.get("ctx") or {}
    kind = item["type"]
    if kind == "union_tag_invalid":
        # pydantic quotes the tags: "'mlp', 'resnet'"
        known = [tag.strip().strip("'\"") for tag in str(context["expected_tags"]).split(",")]
        return f"{path}.{unknown('name', str(context['tag']), known)}"
    if kind == "literal_error":
        known = [tag.strip().strip("'\"") for tag in str(context["expected"]).replace(" or ", ", ").split(",")]
        close = nearest(str(item["input"]), known)
        remedy = f"did you mean '{close}'?" if close else "use one of these"
        return sentence(path, f"one of {', '.join(known)}", repr(item["input"]), remedy)
    if kind == "unknown_key":
        return f"{path}: {context['message']}" if item["loc"] else str(context["message"])
    if kind == "missing":
        return sentence(path, "required", "nothing", "add this key")
    error = context.get("error")
    if isinstance(error, InputError):
        return f"{path}.{error}" if item["loc"] else str(error)
    message = str(error or item["msg"])
    return f"{path}: {message[0].lower()}{message[1:]}; got {item.get('input')!r}"


def tags(union: Any) -> dict[str, type[Spec]]:
    """Return the classes of a discriminated union by the name that selects them."""
    members = get_args(get_args(union)[0])
    return {member.model_fields["name"].default: member for member in members}
