"""Sequences whose log-probabilities another program computed."""

import math
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.distill.cache.plan import Plan
from softtargets.distill.cache.sequences import Ragged

# float32 log-probabilities do not tell a smaller mass of the other classes from rounding
LEAST_TAIL = 1e-6
ROUNDING = 1e-3


def paths_of(files: object) -> list[Path]:
    """Return the paths of one or more files, which must exist."""
    several = [files] if isinstance(files, str | PathLike) else files
    if not isinstance(several, Sequence) or not all(isinstance(one, str | PathLike) for one in several) or not several:
        raise fail_type("files", "a path or a list of paths", type(files).__name__, "pass the path of a file")
    paths = [Path(one) for one in several]
    for path in paths:
        if not path.is_file():
            raise fail("files", "files that exist", f"'{path}'", "fix the path")
    return paths


def sequence_of(
    number: int, tokens: list[int], rows: list[tuple[int, Tensor, Tensor]], plan: Plan, place: str
) -> Ragged:
    """Return one sequence.

    Args:
        number: its id.
        tokens: all its tokens.
        rows: position of the token that is predicted, classes (m,) and log-probabilities (m,), m >= k.
        plan: what to keep.
        place: the file and the record, for errors.
    """
    size, k = plan.source.num_classes, plan.k or 0
    for position, token in enumerate(tokens):
        if not 0 <= token < size:
            raise _beyond(place, token, position, size)
    if not tokens or not rows:
        got = f"{len(tokens)} tokens and {len(rows)} rows"
        raise fail(
            place, "tokens and log-probabilities", got, "ask the teacher for log-probabilities of every sequence"
        )
    classes, log_probs = (
        torch.empty((len(rows), k), dtype=torch.int64),
        torch.empty((len(rows), k), dtype=torch.float64),
    )
    for row, (position, given, values) in enumerate(rows):
        if not 0 <= position < len(tokens):
            remedy = "positions count the tokens of the sequence from 0"
            raise fail(place, f"positions below {len(tokens)}, the number of tokens", position, remedy)
        if len(given) < k:
            remedy = f"ask the teacher for {k} log-probabilities, or use a smaller k"
            raise fail(place, f"{k} log-probabilities, k", f"{len(given)} at position {position}", remedy)
        if len(given) and not (int(given.min()) >= 0 and int(given.max()) < size):
            raise _beyond(place, int(given.max()), position, size)
        if bool(values.isnan().any()) or float(values.logsumexp(0)) > ROUNDING:
            got = f"a sum of {float(values.exp().sum()):g} at position {position}"
            raise fail(place, "logarithms of probabilities whose sum is at most 1", got, "pass natural logarithms")
        log_probs[row], order = values.topk(k)
        classes[row] = given[order]
    positions = torch.tensor([position for position, _, _ in rows])
    if bool((positions.diff() <= 0).any()):
        raise fail(place, "positions in ascending order, each once", positions.tolist(), "sort the rows")
    return Ragged(
        torch.tensor([number]),
        torch.tensor([len(tokens)]),
        torch.tensor(tokens, dtype=torch.int32),
        torch.tensor([len(rows)]),
        positions.int(),
        _columns(classes, log_probs, plan),
    )


def _columns(classes: Tensor, log_probs: Tensor, plan: Plan) -> dict[str, Tensor]:
    """Return the columns of the k largest classes of each row, in the dtypes of the plan."""
    top = log_probs.amax(-1, keepdim=True)
    if plan.complete:
        columns = {"logits": torch.full_like(log_probs, -torch.inf).scatter(-1, classes, log_probs) - top}
    else:
        left = (1 - log_probs.exp().sum(-1, keepdim=True)).clamp(min=LEAST_TAIL)
        columns = {"logits": torch.cat([log_probs, left.log()], -1) - top, "classes": classes}
    return {name: columns[name].to(dtype) for name, (dtype, _) in plan.columns().items()}


def _beyond(place: str, token: int, position: int, size: int) -> Exception:
    remedy = "set num_classes to the size of the teacher's vocabulary"
    return fail(place, f"tokens below {size}, num_classes", f"{token} at position {position}", remedy)


def natural(values: Sequence[float]) -> Tensor:
    """Return log-probabilities as (m,) float64; a row of -inf stays one."""
    return torch.tensor([float(value) if value is not None else math.nan for value in values], dtype=torch.float64)


Sequences = Iterator[Ragged]
