"""Drawing observed labels from clean ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_labels
from softtargets._errors import fail
from softtargets.matrices import Transition


@dataclass(frozen=True)
class Corrupted:
    """Labels after noise.

    Args:
        noisy_labels: (N,) int64, observed.
        flipped: (N,) bool, where the observed label differs from the clean one.
        transition: the realised transition: observed frequencies; a class without examples keeps the asked-for row.
        noise_rate: realised share of labels that differ, a fraction.
    """

    noisy_labels: Tensor
    flipped: Tensor
    transition: Transition
    noise_rate: float


def corrupt(
    labels: Tensor, transition: Transition | Tensor, *, exact: bool = True, generator: torch.Generator | None = None
) -> Corrupted:
    """Draw every observed label from its clean one, all at once.

    observed_i ~ T[labels_i, :]

    Args:
        labels: (N,) int64 clean labels in [0, K).
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.
        exact: meet the rates instead of drawing independently: flips are rounded per class so that both each class
            and the whole are within one example of their rate, and spread over the other classes to within one.
        generator: of the CPU; the only source of randomness. None: torch's global one.

    Returns:
        Corrupted, with the realised transition and rate.

    Raises:
        ValueError: where a label is out of range or the rows of T do not sum to 1.

    Limits:
        no noise returns the labels.
    """
    transition = Transition.wrap(transition)
    size = transition.num_classes
    check_labels("labels", labels, size)
    if labels.ndim != 1:
        raise fail("labels", "shape (N,)", tuple(labels.shape), "flatten them")
    clean = labels.long().cpu()
    matrix = transition.to_dense().cpu()
    noisy = _exact(clean, matrix, generator) if exact else _independent(clean, matrix, generator)
    counts = torch.bincount(clean * size + noisy, minlength=size * size).view(size, size).double()
    totals = counts.sum(1, keepdim=True)
    realised = torch.where(totals > 0, counts / totals.clamp(min=1), matrix)
    flipped = noisy != clean
    rate = float(flipped.double().mean()) if len(clean) else 0.0
    noisy, flipped = noisy.to(labels.device), flipped.to(labels.device)
    return Corrupted(noisy, flipped, Transition(size, matrix=realised), rate)


def _independent(clean: Tensor, matrix: Tensor, generator: torch.Generator | None) -> Tensor:
    draws = torch.rand(len(clean), generator=generator, dtype=torch.float64)
    return _place(matrix[clean].cumsum(1), draws)


def _exact(clean: Tensor, matrix: Tensor, generator: torch.Generator | None) -> Tensor:
    size = len(matrix)
    noisy = clean.clone()
    off = matrix.clone()
    off.fill_diagonal_(0)
    # Rounding the running total, from a random offset, leaves every class within one of its share and so the whole.
    counts = torch.bincount(clean, minlength=size)
    wanted = (counts * off.sum(1)).cumsum(0)
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    # 1e-9 keeps a total that is whole but for rounding from losing an example
    flips = torch.diff(torch.floor(wanted + offset + 1e-9), prepend=torch.zeros(1, dtype=torch.float64)).long()
    # rows of T sum to 1 but for rounding: no class may lose more than it has
    flips = flips.minimum(counts)
    order = torch.randperm(len(clean), generator=generator)
    order = order[torch.argsort(clean[order], stable=True)]
    start = 0
    for label, count in enumerate(counts.tolist()):
        chosen = order[start : start + int(flips[label])]
        start += count
        if len(chosen) == 0:
            continue
        # Systematic sampling: evenly spaced draws meet every other class's share to within one.
        columns = torch.randperm(size, generator=generator)
        shares = off[label, columns].cumsum(0)
        spaced = torch.arange(len(chosen), dtype=torch.float64)
        spaced = (spaced + torch.rand((), generator=generator, dtype=torch.float64)) / len(chosen)
        noisy[chosen] = columns[_place((shares / shares[-1]).expand(len(chosen), -1), spaced)]
    return noisy


def _place(cumulative: Tensor, draws: Tensor) -> Tensor:
    """Return the class whose share each draw falls in; a class without share is never met."""
    found = torch.searchsorted(cumulative.contiguous(), draws[:, None], right=True)[:, 0]
    # rounding can leave the last sum below a draw: the last class that has a share takes it
    last = (cumulative < cumulative[:, -1:]).sum(1)
    return torch.minimum(found, last)
