"""The page of all objectives of `softtargets train`: what each minimises, and its fields with their values."""

import inspect
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from docstrings import paragraphs, parse, prose
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from softtargets.objectives import OBJECTIVES, Objective

INTRODUCTION = """
A run minimises one objective, which `[objective]` selects by its name. A field that is left out has its default.

```toml
[data]
name = "digits"

[model]
name = "mlp"

[objective]
name = "cutmix"
smoothing = 0.1
loss = { name = "focal", gamma = 2.0 }

[training]
epochs = 20
```

A path is resolved from the working directory. The content of the file, not its path, is part of the run's identity. The
[index of methods](README.md) describes the losses and target rules as functions.
""".strip()


def objectives_page(made: str) -> str:
    """Return the page; `made` is the comment of generated files."""
    parts = [f"{made}# Objectives of `softtargets train`", INTRODUCTION]
    for name, kind in sorted(OBJECTIVES.items()):
        parts += [f"## `{name}`", *_description(name, kind)]
        rows = []
        for field, info in kind.model_fields.items():
            accepted = _accepted(info.annotation, info.metadata)
            accepted = accepted.replace("text", "path", 1) if field in kind.places else accepted
            rows += [f"| `{field}` | {accepted} | {_default(info)} |"] * (field != "name")
        if rows:
            parts.append("\n".join(["| field | value | default |", "|---|---|---|", *rows]))
    return "\n\n".join([*parts, "[Index of all methods and names](README.md)"]) + "\n"


def _description(name: str, kind: type[Objective]) -> list[str]:
    doc = parse(name, inspect.getdoc(kind) or "")
    parts = [prose(doc.summary), *paragraphs([text for text in (doc.formula, *doc.paragraphs) if text])]
    facts = [f"Method: {', '.join(f'[{slug}]({slug}.md)' for slug in kind.pages)}."]
    facts += ["It can be the `loss` of `mixup` and `cutmix`."] * kind.takes_soft_targets
    facts += ["It uses training rows without a label."] * kind.uses_unlabelled
    return [*parts, " ".join(facts)]


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default is None:
        return "none"
    return f"`{str(info.default).lower() if isinstance(info.default, bool) else repr(info.default)}`".replace("'", '"')


def _accepted(annotation: Any, metadata: list[Any]) -> str:
    """Describe the values of a field."""
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        metadata = [item for part in inner for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
    if get_origin(annotation) in (Union, types.UnionType):
        choices = [choice for choice in get_args(annotation) if choice is not type(None)]
        return " or ".join(dict.fromkeys(_accepted(choice, metadata) for choice in choices))
    if get_origin(annotation) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_plural(_accepted(get_args(annotation)[0], []))}"
    if annotation in (int, float):
        return f"{'whole number' if annotation is int else 'number'}{_range(metadata)}"
    if annotation is bool:
        return "`true` or `false`"
    if annotation is str:
        return "text"
    registry = getattr(annotation, "registry", None)
    if registry is not None:
        return "an objective" if registry is OBJECTIVES else f"table with a `name`: {', '.join(map(_code, registry))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {name: info for name, info in annotation.model_fields.items() if name != "name"}
        return "table: " + "; ".join(
            f"`{name}` ({_accepted(info.annotation, info.metadata)})" for name, info in fields.items()
        )
    return "path or tables"


def _plural(accepted: str) -> str:
    first, space, rest = accepted.partition(" ")
    return f"{first}s{space}{rest}"


def _code(text: str) -> str:
    return f"`{text}`"


def _range(metadata: list[Any]) -> str:
    """Describe the bounds of a number."""
    words = []
    for bound in metadata:
        match bound:
            case Ge(ge=limit):
                words.append(f"at least {limit:g}")
            case Gt(gt=limit):
                words.append(f"above {limit:g}")
            case Le(le=limit):
                words.append(f"at most {limit:g}")
            case Lt(lt=limit):
                words.append(f"below {limit:g}")
    return "".join(f" {word}" if place == 0 else f" and {word}" for place, word in enumerate(words))
