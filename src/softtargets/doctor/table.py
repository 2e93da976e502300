"""The table of targets and minimisers: all classes if they are few, otherwise those that differ."""

import torch
from torch import Tensor

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.results import TargetRow
from softtargets.doctor.targets import minimiser, targets_of

# Up to this number of classes, every entry is shown.
MOST_SHOWN = 8
# Numbers in results are rounded to so many decimals, since targets are computed in binary.
DECIMALS = 9


def table_of(criterion: Criterion) -> tuple[tuple[str, ...], tuple[TargetRow, ...]]:
    """Return the names of the columns, and the rows. A loss whose targets are given has no table."""
    if criterion.kind == "divergence":
        return (), ()
    labels = _shown_labels(criterion)
    dense = targets_of(criterion, labels)
    columns = _columns(criterion, int(labels[0]))
    rows = [_row(criterion, int(label), target) for label, target in zip(labels, dense, strict=True)]
    return columns, tuple(rows)


def _shown_labels(c: Criterion) -> Tensor:
    """Return the labels of the rows: all if they are few, those of least and largest weight, or any one."""
    if c.num_classes == 1:
        return torch.tensor([0, 1])
    kept = [k for k in range(min(c.num_classes, MOST_SHOWN + 1)) if k not in (c.padding, c.ignored_class)]
    if c.num_classes <= MOST_SHOWN:
        return torch.tensor(kept)
    if c.weights_differ:
        weight = torch.tensor(c.weight)
        return torch.stack([weight.argmin(), weight.argmax()])
    return torch.tensor(kept[:1])


def _columns(c: Criterion, label: int) -> tuple[str, ...]:
    if c.num_classes == 1:
        return ("the output",)
    if c.num_classes <= MOST_SHOWN:
        return tuple(f"class {k}" for k in range(c.num_classes))
    named = ["least of the others", "largest of the others"] if c.weights_differ else ["each other class"]
    padding = [] if _left_out(c) is None else [f"class {_left_out(c)}, never a label"]
    return ("the label", *named, *padding)


def _left_out(c: Criterion) -> int | None:
    return c.padding if c.padding is not None else c.ignored_class


def _others(c: Criterion, label: int) -> Tensor:
    left_out = [k for k in {label, _left_out(c)} if k is not None]
    keep = torch.ones(c.num_classes, dtype=torch.bool)
    keep[left_out] = False
    return keep.nonzero().flatten()


def _row(c: Criterion, label: int, target: Tensor) -> TargetRow:
    best = minimiser(c, target)
    single = c.num_classes > MOST_SHOWN and not c.weights_differ
    return TargetRow(
        label=None if single else label,
        total=_rounded(target.sum()),
        target=_entries(c, label, target),
        minimiser=None if best is None else _entries(c, label, best),
    )


def _entries(c: Criterion, label: int, values: Tensor) -> tuple[float, ...]:
    if c.num_classes <= MOST_SHOWN:
        return tuple(map(_rounded, values))
    others = values[_others(c, label)]
    shown = [others.min(), others.max()] if c.weights_differ else [others[0]]
    left_out = _left_out(c)
    return tuple(map(_rounded, [values[label], *shown, *([] if left_out is None else [values[left_out]])]))


def _rounded(value: Tensor) -> float:
    return round(float(value), DECIMALS)
