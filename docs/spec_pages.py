"""The pages of run specifications, from their classes: all tables with their fields, and all objectives."""

import inspect
import math
import re
import types
from collections.abc import Container
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from docstrings import paragraphs, parse, prose
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from softtargets.objectives import OBJECTIVES, Objective
from softtargets.runs.spec import RunSpec

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

SPECIFICATION = """
What `softtargets train FILE.toml` and `softtargets.train.train_run` read. A field that is left out has its default, and
an unknown one is an error that names the nearest. [Objectives](objectives.md) have a page of their own.
[Training](../training.md) and [data](../data.md) explain the most used fields.
""".strip()


def objectives_page(made: str) -> str:
    """Return the page; `made` is the comment of generated files."""
    parts = [f"{made}# Objectives of `softtargets train`", INTRODUCTION]
    for name, kind in sorted(OBJECTIVES.items()):
        parts += [f"## `{name}`", *_description(name, kind)]
        parts += _fields(kind, kind.places, skip=("name",))
    return "\n\n".join([*parts, "[Index of all methods and names](README.md)"]) + "\n"


def specification_page(made: str) -> str:
    """Return the page of all tables except the objectives; `made` is the comment of generated files."""
    parts = [f"{made}# Run specifications", SPECIFICATION, *_text("RunSpec", RunSpec), *_fields(RunSpec)]
    for name, info in RunSpec.model_fields.items():
        kinds = _tables(info.annotation)
        if name == "objective" or RunSpec in kinds.values():
            continue
        for key, kind in kinds.items():
            parts.append(f"## `[{name}]`" if key is None else f'## `[{name}]` with `name = "{key}"`')
            parts += [*_text(name, kind), *_fields(kind, getattr(kind, "places", ()), skip=("name",) if key else ())]
    return "\n\n".join([*parts, "[Index of all methods and names](README.md)"]) + "\n"


def _tables(annotation: Any) -> dict[str | None, type[BaseModel]]:
    """Return the classes that a field of a run specification may have, by name where there are several."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    for kind in kinds:
        if (registry := getattr(kind, "registry", None)) is not None:
            return dict(sorted(registry.items()))
    return dict([(None, kind) for kind in kinds if issubclass(kind, BaseModel)][:1])


def _text(name: str, kind: type[BaseModel]) -> list[str]:
    doc = parse(name, inspect.getdoc(kind) or "")
    return [prose(doc.summary), *paragraphs([text for text in (doc.formula, *doc.paragraphs) if text])]


def _fields(kind: type[BaseModel], places: Container[str] = (), skip: Container[str] = ()) -> list[str]:
    """Return the table of the fields of a class, with their descriptions where its docstring has them."""
    described = _attributes(kind)
    own = kind is RunSpec  # its tables have sections of their own
    rows = []
    for field, info in kind.model_fields.items():
        if field in skip:
            continue
        accepted = _accepted(info.annotation, info.metadata)
        accepted = accepted.replace("text", "path", 1) if field in places else accepted
        accepted = re.sub(r"^(table|an objective).*", r"\1", accepted) if own else accepted
        cells = [f"`{field}`", accepted, _default(info), *([described.get(field, "")] if described else [])]
        rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return []
    head = ["field", "value", "default", *(["meaning"] if described else [])]
    return ["\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])]


def _attributes(kind: type[BaseModel]) -> dict[str, str]:
    """Return what the docstring says of each field."""
    section = parse(kind.__name__, inspect.getdoc(kind) or "").sections.get("Attributes", "")
    pieces = re.split(r"^(\w+): ", section, flags=re.MULTILINE)[1:]
    return {name: prose(text).replace("|", "\\|") for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


def _description(name: str, kind: type[Objective]) -> list[str]:
    parts = _text(name, kind)
    facts = [f"Method: {', '.join(f'[{slug}]({slug}.md)' for slug in kind.pages)}."]
    facts += ["It can be the `loss` of `mixup` and `cutmix`."] * kind.takes_soft_targets
    facts += ["It uses training rows without a label."] * kind.uses_unlabelled
    return [*parts, " ".join(facts)]


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default is None:
        return "none"
    if isinstance(info.default, BaseModel):
        return "its defaults"
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
    if annotation is RunSpec:
        return "run specification"
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
    """Return a description of several: `whole number above 0` becomes `whole numbers above 0`."""
    return re.sub(r"^(whole number|number|run specification|list|text|path|table)", r"\1s", accepted)


def _code(text: str) -> str:
    return f"`{text}`"


def _limit(limit: Any) -> str:
    """Return a bound as a number of few digits: 9223372036854775808 is 2^63."""
    power = round(math.log2(limit)) if limit > 0 else 0
    return (
        f"2^{power}" if power > 13 and limit == 2**power else f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
    )


def _range(metadata: list[Any]) -> str:
    """Describe the bounds of a number."""
    words = []
    for bound in metadata:
        match bound:
            case Ge(ge=limit):
                words.append(f"at least {_limit(limit)}")
            case Gt(gt=limit):
                words.append(f"above {_limit(limit)}")
            case Le(le=limit):
                words.append(f"at most {_limit(limit)}")
            case Lt(lt=limit):
                words.append(f"below {_limit(limit)}")
    return "".join(f" {word}" if place == 0 else f" and {word}" for place, word in enumerate(words))
