"""Stratified splits and subsamples, the same on every machine."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets.data._content import Content
from softtargets.data._subsets import of_each_class, training_subset
from softtargets.data.dataset import SPLITS
from softtargets.data.spec import DataSpec, Fold

# A share of more than one half must leave this many training examples per class.
KEPT_PER_CLASS = 5
_IN_NO_SPLIT = 255
_STREAMS = {"validation": 0, "test": 1, "limit": 2}


def split(labels: Tensor, origin: Tensor, spec: DataSpec, class_names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Divide the rows into train, validation and test.

    A split that the data set already has is kept. Otherwise test is a share of the rows that are not validation, and
    validation is a share of the remaining training rows. Limits are applied last, and then subsets of the training
    rows. With a fold, the training rows that are kept are divided into folds, and validation is one of them.

    Args:
        labels: (N,) int64.
        origin: (N,) uint8, index into SPLITS: the data set's own split that the row comes from. Rows with another
            number are in no split.
        spec: The shares, the seed, the limits and the subsets.
        class_names: The name of each class. Default: their numbers.

    Returns:
        (n,) int64 rows in ascending order for each name in SPLITS.

    Raises:
        InputError: a share above 0 that is less than half an example; a share above 1/2 that leaves fewer than 5
            training examples per class; more folds than training rows; a long tail that leaves a class empty.
    """
    rows = {name: torch.nonzero(origin == index).flatten() for index, name in enumerate(SPLITS)}
    _divide(rows, labels, spec)
    if spec.per_class is not None or spec.long_tail is not None:
        train = rows["train"]
        names = class_names or tuple(map(str, range(int(labels.max()) + 1)))
        subset = training_subset(labels[train], spec, names, _generator(spec.split_seed, "limit"))
        rows["train"] = train[subset]
    if spec.fold is not None:
        held_out = _deal(len(rows["train"]), spec.fold, _generator(spec.split_seed, "validation"))
        rows["train"], rows["validation"] = rows["train"][~held_out], rows["train"][held_out]
    return rows


def split_unlabelled(content: Content, spec: DataSpec) -> tuple[dict[str, Tensor], Tensor | None, Tensor | None]:
    """Divide the rows as :func:`split`; training rows without a label stay there, and labels are hidden.

    Returns:
        The splits; (N,) bool, which rows have a label that is not hidden; None if all have; and (N,) bool, which rows
        have a hidden label; None if none is hidden.
    """
    labelled = content.labelled
    origin = content.origin if labelled is None else content.origin.masked_fill(~labelled, _IN_NO_SPLIT)
    rows = split(content.labels, origin, spec, content.class_names)
    train = rows["train"]
    if labelled is not None:
        rows["train"] = torch.cat([train, torch.nonzero(~labelled).flatten()]).sort().values
    chosen = _hidden(content.labels[train], spec)
    if chosen is None:
        return rows, labelled, None
    hidden = torch.zeros(len(content.labels), dtype=torch.bool)
    hidden[train[chosen]] = True
    return rows, ~hidden if labelled is None else labelled & ~hidden, hidden


def _hidden(labels: Tensor, spec: DataSpec) -> Tensor | None:
    """Choose the training rows whose label is hidden, (n,) bool; None if no label is."""
    generator = _generator(spec.split_seed, "limit")
    if spec.labelled_per_class is not None:
        return ~of_each_class(labels, labels.bincount().clamp(max=spec.labelled_per_class), generator)
    return _hold_out(labels, spec.unlabelled, generator) if spec.unlabelled else None


def _divide(rows: dict[str, Tensor], labels: Tensor, spec: DataSpec) -> None:
    """Hold out the splits that are missing from `rows`, and apply the limits."""
    own = {name for name in SPLITS if len(rows[name])}
    if spec.fold is not None and spec.fold.within is None:
        own.add("validation")
    for name, share in (("test", spec.test), ("validation", spec.validation)):
        if name in own or share == 0:
            continue
        train = rows["train"]
        _check_share(name, share, labels[train], spec.name)
        chosen = _hold_out(labels[train], share, _generator(spec.split_seed, name))
        if not bool(chosen.any()):
            got = f"{share:g} of {len(train)} in '{spec.name}'"
            raise fail(name, "a share that holds out at least one example", got, "give a larger share")
        rows["train"], rows[name] = train[~chosen], train[chosen]
    if spec.limit is not None:
        for name in SPLITS:
            limit = getattr(spec.limit, name)
            if limit is not None:
                first = _spread(labels[rows[name]], _generator(spec.split_seed, "limit"))[:limit]
                rows[name] = rows[name][first.sort().values]


def _check_share(name: str, share: float, labels: Tensor, data: str) -> None:
    """Require that a share above one half leaves enough examples to train on."""
    count, classes = len(labels), len(labels.unique())
    held_out, least = int(share * count + 0.5), KEPT_PER_CLASS * classes
    if share <= 0.5 or count - held_out >= least:
        return
    largest = max(0.5, math.floor(1000 * (count - least) / count) / 1000)
    required = f"a share that leaves at least {least} training examples, {KEPT_PER_CLASS} per class"
    got = f"{share:g} of {count} in '{data}', which leaves {count - held_out}"
    raise fail(name, required, got, f"use at most {largest:g}")


def missing_class(labels: Tensor, class_names: Sequence[str]) -> int | None:
    """Return the first class without an example in `labels`, or None."""
    present = set(labels.unique().tolist())
    return next((index for index in range(len(class_names)) if index not in present), None)


def no_training_example(index: int, name: str, data: str, remedy: str) -> InputError:
    """Build the error of a class without a training example; `data` is the file or data set."""
    shown = f"class {index}" if name == str(index) else f"class {index} ('{name}')"
    return fail("label", "at least one training example of every class", f"none of {shown} in {data}", remedy)


def _generator(seed: int, stream: str) -> torch.Generator:
    # One stream per purpose, so that changing the validation share does not change the test rows.
    return torch.Generator().manual_seed(seed * len(_STREAMS) + _STREAMS[stream])


def _deal(count: int, fold: Fold, generator: torch.Generator) -> Tensor:
    """Divide rows at random into folds whose sizes differ by at most 1; return the (count,) bool mask of this fold."""
    if fold.count > count:
        raise fail("fold.count", f"at most {count}, the number of training rows", fold.count, "use fewer folds")
    held_out = torch.zeros(count, dtype=torch.bool)
    held_out[torch.randperm(count, generator=generator)[fold.index :: fold.count]] = True
    return held_out


def _hold_out(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Choose round(share * n) rows, stratified by largest remainder, and never the last row of a class.

    Returns:
        (n,) bool. Fewer rows are chosen only if every class would otherwise lose its last one.
    """
    counts = labels.bincount().tolist()
    total = int(share * len(labels) + 0.5)
    # integers throughout, since 0.2 * 15 is not 3 in floating point
    quotas = [min(total * count // len(labels), max(count - 1, 0)) for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda k: -(total * counts[k] % len(labels)))
    spare = [k for k in by_remainder if quotas[k] + 1 < counts[k]]
    for k in spare[: total - sum(quotas)]:
        quotas[k] += 1
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for k, quota in enumerate(quotas):
        rows = torch.nonzero(labels == k).flatten()
        chosen[rows[torch.randperm(len(rows), generator=generator)[:quota]]] = True
    return chosen


def _spread(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Order the rows so that every prefix of the order is stratified.

    The r-th row of a class with n rows is placed at (r + 1/2) / n (Sainte-Lague's divisors). Unlike largest remainders
    these are monotone in the total, so a smaller subsample is a subset of a larger one.
    """
    position = torch.empty(len(labels), dtype=torch.float64)
    for k in labels.unique().tolist():
        rows = torch.nonzero(labels == k).flatten()
        order = torch.randperm(len(rows), generator=generator)
        position[rows[order]] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
    return position.argsort(stable=True)
