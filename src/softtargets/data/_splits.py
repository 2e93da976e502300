"""Stratified splits and subsamples, the same on every machine."""

from collections.abc import Sequence

import torch
from torch import Tensor

from softtargets._errors import InputError, fail
from softtargets.data.dataset import SPLITS
from softtargets.data.spec import DataSpec, Fold

_STREAMS = {"validation": 0, "test": 1, "limit": 2}


def split(labels: Tensor, origin: Tensor, spec: DataSpec) -> dict[str, Tensor]:
    """Divide the rows into train, validation and test.

    A split that the set has of its own is kept. Otherwise test is a share of the rows that are not validation,
    and validation a share of the training rows that then remain. Limits are applied last. With a fold, the training
    rows that the limit keeps are dealt into folds, and validation is one of these.

    Args:
        labels: (N,) int64.
        origin: (N,) uint8, index into SPLITS: which of the set's own splits the row comes from.
        spec: The shares, the seed and the limits.

    Returns:
        (n,) int64 rows in ascending order for each name in SPLITS.

    Raises:
        InputError: a share above 0 that is less than half an example, or more folds than training rows.
    """
    rows = {name: torch.nonzero(origin == index).flatten() for index, name in enumerate(SPLITS)}
    own = {name for name in SPLITS if len(rows[name])}
    if spec.fold is not None:
        own.add("validation")
    for name, share in (("test", spec.test), ("validation", spec.validation)):
        if name in own or share == 0:
            continue
        train = rows["train"]
        chosen = _hold_out(labels[train], share, _generator(spec.split_seed, name))
        if not bool(chosen.any()):
            raise fail(
                name, "a share that holds out at least one example", f"{share:g} of {len(train)}", "give a larger share"
            )
        rows["train"], rows[name] = train[~chosen], train[chosen]
    if spec.limit is not None:
        for name in SPLITS:
            limit = getattr(spec.limit, name)
            if limit is not None:
                first = _spread(labels[rows[name]], _generator(spec.split_seed, "limit"))[:limit]
                rows[name] = rows[name][first.sort().values]
    if spec.fold is not None:
        held_out = _deal(len(rows["train"]), spec.fold, _generator(spec.split_seed, "validation"))
        rows["train"], rows["validation"] = rows["train"][~held_out], rows["train"][held_out]
    return rows


def missing_class(labels: Tensor, class_names: Sequence[str]) -> int | None:
    """Return the first class that has no example among `labels`, or None."""
    present = set(labels.unique().tolist())
    return next((index for index in range(len(class_names)) if index not in present), None)


def no_training_example(index: int, name: str, remedy: str) -> InputError:
    """Build the error of a class that cannot be learned."""
    shown = f"class {index}" if name == str(index) else f"class {index} ('{name}')"
    return fail("label", "at least one training example of every class", f"none of {shown}", remedy)


def _generator(seed: int, stream: str) -> torch.Generator:
    # A stream for each purpose: another validation share leaves the test rows as they are.
    return torch.Generator().manual_seed(seed * len(_STREAMS) + _STREAMS[stream])


def _deal(count: int, fold: Fold, generator: torch.Generator) -> Tensor:
    """Deal rows into folds whose sizes differ by one at most; say which rows, (count,) bool, are in this fold."""
    if fold.count > count:
        raise fail("fold", f"at most {count} folds, one for each training row", fold.count, "lower fold.count")
    held_out = torch.zeros(count, dtype=torch.bool)
    held_out[torch.randperm(count, generator=generator)[fold.index :: fold.count]] = True
    return held_out


def _hold_out(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Choose round(share * n) rows, per class by largest remainder, and never the last row of a class.

    Returns:
        (n,) bool. Fewer rows are chosen only where every class would lose its last one.
    """
    counts = labels.bincount().tolist()
    total = int(share * len(labels) + 0.5)
    # Whole numbers throughout: 0.2 * 15 is not 3 in floating point.
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
    """Order the rows so that every beginning of the order holds the classes in proportion.

    The r-th row of a class with n rows comes at (r + 1/2) / n (Sainte-Lague's divisors): unlike largest
    remainders these are monotone in the total, so that a smaller subsample lies within a larger one.
    """
    position = torch.empty(len(labels), dtype=torch.float64)
    for k in labels.unique().tolist():
        rows = torch.nonzero(labels == k).flatten()
        order = torch.randperm(len(rows), generator=generator)
        position[rows[order]] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
    return position.argsort(stable=True)
