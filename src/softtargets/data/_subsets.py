"""Subsets of a data set: some classes, examples per class, a long tail, hidden labels."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from softtargets._errors import fail, unknown
from softtargets.data._content import Content
from softtargets.data.settings import LongTail
from softtargets.data.spec import DataSpec


def of_classes(content: Content, spec: DataSpec) -> Content:
    """Return the rows of the chosen classes, numbered again from 0 in their order; rows without a label are kept.

    Votes for other classes are left out.

    Raises:
        InputError: more classes than there are, or a class that does not exist.
    """
    assert spec.classes is not None
    names, generator = content.class_names, torch.Generator().manual_seed(spec.split_seed)
    if isinstance(spec.classes, int):
        if spec.classes > len(names):
            required = f"at most {len(names)}, the number of classes of '{spec.name}'"
            raise fail("classes", required, spec.classes, "give a smaller number")
        # the first of one order, so that a smaller number gives a subset
        chosen = torch.randperm(len(names), generator=generator)[: spec.classes].sort().values
    else:
        chosen = torch.tensor(sorted({_index(given, names) for given in spec.classes}))
        if len(chosen) < len(spec.classes):
            raise fail("classes", "each class once", list(spec.classes), "remove the repeated ones")
    number = torch.full((len(names),), -1)
    number[chosen] = torch.arange(len(chosen))
    labels = number[content.labels]
    keep = labels >= 0
    if content.labelled is not None:
        keep |= ~content.labelled
    rows = keep.nonzero().flatten()
    inputs = content.inputs
    return replace(
        content,
        inputs=inputs[rows] if isinstance(inputs, Tensor) else inputs.kept(rows),
        labels=labels[rows].clamp(min=0),
        origin=content.origin[rows],
        class_names=tuple(names[index] for index in chosen.tolist()),
        texts=None if content.texts is None else tuple(content.texts[row] for row in rows.tolist()),
        labelled=None if content.labelled is None else content.labelled[rows],
        numbers=rows,
        votes=None if content.votes is None else content.votes[rows][:, chosen],
    )


def _index(given: int | str, names: Sequence[str]) -> int:
    if isinstance(given, int):
        if not 0 <= given < len(names):
            raise fail("classes", f"at least 0 and below {len(names)}, the number of classes", given, "fix that index")
        return given
    if given not in names:
        raise unknown("classes", given, names)
    return names.index(given)


def training_subset(labels: Tensor, spec: DataSpec, class_names: Sequence[str], generator: torch.Generator) -> Tensor:
    """Choose rows of the training split: a number of each class, or a long tail.

    Args:
        labels: (n,) int64 of the training split.
        spec: what is chosen.
        class_names: the name of each class, for errors.
        generator: of the choice. A smaller number of a class keeps a subset of what a larger one keeps.

    Returns:
        (n,) bool.

    Raises:
        InputError: a long tail that leaves a class empty.
    """
    counts = labels.bincount(minlength=len(class_names))
    wanted = counts.clone()
    if spec.long_tail is not None:
        wanted = _tail(counts, spec.long_tail, torch.Generator().manual_seed(spec.split_seed), class_names)
    if spec.per_class is not None:
        wanted = wanted.clamp(max=spec.per_class)
    return of_each_class(labels, wanted, generator)


def of_each_class(labels: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """Choose `wanted` rows of each class, (K,) int64; the rows of a smaller number are among those of a larger one.

    Returns:
        (n,) bool.
    """
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for index, count in enumerate(wanted.tolist()):
        rows = torch.nonzero(labels == index).flatten()
        chosen[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return chosen


def _tail(counts: Tensor, tail: LongTail, generator: torch.Generator, class_names: Sequence[str]) -> Tensor:
    """Return the size of each class, (K,) int64; at most its number of examples."""
    largest = int(counts.max()) if tail.largest is None else tail.largest
    sizes = tail_sizes(tail, len(counts), largest)
    order = torch.arange(len(counts))
    if tail.order == "random":
        order = torch.randperm(len(counts), generator=generator)
    wanted = torch.empty_like(counts)
    wanted[order] = sizes
    empty = torch.nonzero(wanted == 0).flatten().tolist()
    if empty:
        others = f", nor of {len(empty) - 1} other classes" if len(empty) > 1 else ""
        shown = f"none of class {empty[0]} ('{class_names[empty[0]]}'){others}"
        remedy = "set smallest, raise largest, or use a flatter tail or fewer classes"
        raise fail("long_tail", "at least one training example of every class", shown, remedy)
    return torch.minimum(wanted, counts)


def tail_sizes(tail: LongTail, count: int, largest: int) -> Tensor:
    """Return the sizes of a long tail, largest first; see :class:`softtargets.data.settings.LongTail`.

    Args:
        tail: its kind.
        count: number of classes.
        largest: size of the first class.

    Returns:
        (count,) int64.
    """
    place = torch.arange(count, dtype=torch.float64)
    if tail.name == "pareto":
        power = 6.0 if tail.power is None else tail.power
        quantiles = ((count + 1) / (place + 1)) ** (1 / power) - 1
        shares = quantiles / quantiles[0]
    else:
        ratio = 100.0 if tail.ratio is None else tail.ratio
        shares = ratio ** (-place / max(1, count - 1))
    sizes = (largest * shares).round().to(torch.int64)
    return sizes if tail.smallest is None else sizes.clamp(min=tail.smallest)
