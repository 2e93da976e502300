"""The labels of several annotators: reading them, counting votes, and resampling items."""

from collections.abc import Iterator

import torch
from torch import Tensor

from softtargets._checks import check_count, check_fraction, first_bad
from softtargets._errors import fail, fail_type


def vote_counts(labels: Tensor, num_classes: int) -> Tensor:
    """Return the number of labels of each class, (N, K) float64."""
    counts = torch.zeros(len(labels), num_classes, dtype=torch.float64)
    return counts.scatter_add_(1, labels.clamp(min=0), (labels >= 0).double())


def percentiles(draws: Tensor, confidence: float) -> Tensor:
    """Return the ends of the percentile interval of draws along the first axis."""
    tails = draws.new_tensor([(1 - confidence) / 2, (1 + confidence) / 2])
    return draws.nanquantile(tails, dim=0)


def resampled(place: Tensor, patterns: int, n_draws: int, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Yield how often each pattern occurs among items drawn with replacement, (P,) float64, for every draw.

    Args:
        place: (N,) int64, the pattern of each item.
        patterns: P.
        n_draws: number of draws.
        generator: random generator of the draws.
    """
    for _ in range(n_draws):
        drawn = torch.randint(len(place), (len(place),), generator=generator)
        yield place[drawn].bincount(minlength=patterns).double()


def check_confidence(confidence: object) -> None:
    check_fraction("confidence", confidence)
    if not 0 < float(confidence) < 1:  # pyright: ignore[reportArgumentType]
        raise fail("confidence", "above 0 and below 1", confidence, "0.95 is usual")


def read_annotators(labels: object, num_classes: int | None, missing: int) -> tuple[Tensor, int]:
    """Return (N, A) int64 labels, -1 where there is none, and K."""
    required = "integer labels of shape (N, A), one column for each of at least 2 annotators"
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
        got = f"dtype {labels.dtype}" if isinstance(labels, Tensor) else type(labels).__name__
        raise fail_type("labels", required, got, "pass class indices, and `missing` where there is no label")
    if labels.ndim != 2 or labels.shape[1] < 2 or not len(labels):
        raise fail("labels", required, tuple(labels.shape), "pass one row per item and one column per annotator")
    whole = labels.cpu().long()
    absent = whole == missing
    size = max(2, int(whole.masked_fill(absent, 0).max()) + 1) if num_classes is None else num_classes
    check_count("num_classes", size, least=2, remedy="pass the number of classes")
    index = first_bad(((whole < 0) | (whole >= size)) & ~absent)
    if index is not None:
        classes = f"labels of at least 0 and below {size}, or {missing} for none"
        got = f"{int(whole[index])} at row {index[0]}, annotator {index[1]}"
        raise fail("labels", classes, got, "fix that label")
    return whole.masked_fill(absent, -1), size
