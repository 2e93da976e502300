"""Drawing observed labels from clean ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_labels
from softtargets._errors import fail
from softtargets.matrices import Transition
from softtargets.noise._instance import InstanceTransitions
from softtargets.noise._rates import rounded, shuffled_by_class

__all__ = ["Corrupted", "corrupt"]


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
    labels: Tensor,
    transition: Transition | Tensor | InstanceTransitions,
    *,
    exact: bool = True,
    generator: torch.Generator | None = None,
) -> Corrupted:
    """Draw every observed label from its clean one, all at once.

    observed_i ~ T[labels_i, :],  or T_i[:] of the example itself where noise depends on the input

    Args:
        labels: (N,) int64 clean labels in [0, K).
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1, or what
            :func:`instance_dependent` made for these labels.
        exact: meet the rates instead of drawing independently: flips are rounded per class so that both each class
            and the whole are within one example of their rate, and spread over the other classes to within one. Of
            noise by instance the flips alone are so rounded.
        generator: of the CPU; the only source of randomness. None: torch's global one.

    Returns:
        Corrupted, with the realised transition and rate.

    Raises:
        ValueError: where a label is out of range, the rows of T do not sum to 1, or noise by instance was made for
            other labels.

    Special cases:
        no noise returns the labels.

    Notes:
        every label is drawn from the clean ones, once. Code that goes through the classes and overwrites labels as it
        goes flips some of them twice (ELR's of CIFAR-10, whose 40 % between cat and dog are 24 and 40).

    Complexity:
        O(N + K^2): a permutation, a sort by class and two passes; independent draws look N of them up in T. Beside the
        labels a few tensors of N and of K x K numbers, never N x K.

    When to use:
        noise of a known kind and rate is to be studied: exact rates leave one source less of variance between seeds.

    Limitations:
        noise by class is easier than that of people, who err where the input is ambiguous: see
        :func:`instance_dependent`, and labels that people gave.

    Example:
        >>> made = corrupt(torch.tensor([0, 0, 0, 0, 1]), torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
        >>> int(made.flipped.sum()), made.noise_rate, made.transition.to_dense().tolist()
        (2, 0.4, [[0.5, 0.5], [0.0, 1.0]])
    """
    if not isinstance(transition, InstanceTransitions):
        transition = Transition.wrap(transition)
    size = transition.num_classes
    check_labels("labels", labels, size)
    if labels.ndim != 1:
        raise fail("labels", "shape (N,)", tuple(labels.shape), "flatten them")
    clean = labels.long().cpu()
    if isinstance(transition, InstanceTransitions):
        noisy = transition.draw(clean, exact=exact, generator=generator)
        cells = _cells(clean, noisy, size)
        asked = Transition.identity(size)
    else:
        noisy, cells = (_exact if exact else _independent)(clean, transition, generator)
        asked = transition
    totals = cells.sum(1, keepdim=True)
    realised = cells / totals.clamp(min=1).double()
    if not bool(totals.all()):
        realised = torch.where(totals > 0, realised, asked.to_dense().detach().cpu())
    flipped = noisy != clean
    rate = int(flipped.sum()) / max(len(clean), 1)
    return Corrupted(noisy.to(labels.device), flipped.to(labels.device), Transition(size, matrix=realised), rate)


def _others(transition: Transition, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return the classes that each class may become, in a random order, and their shares: (K, W) both."""
    size = transition.num_classes
    if transition.others is not None and transition.shares is not None:
        order = torch.randperm(transition.others.shape[1], generator=generator)
        return transition.others.long().cpu()[:, order], transition.shares.detach().cpu().double()[:, order]
    # row k is k + 1, ..., k + K - 1, all but k: a view, of which one copy is made
    others = (torch.arange(2 * size) % size).unfold(0, size - 1, 1)[1 : size + 1]
    others = others.index_select(1, torch.randperm(size - 1, generator=generator))
    if transition.matrix is not None:
        return others, transition.matrix.detach().cpu().double().gather(1, others)
    return others, torch.full((), float(transition.redraw) / size, dtype=torch.float64).expand_as(others)


def _exact(clean: Tensor, transition: Transition, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Lay out how many labels of each class become which, and deal them out in a random order."""
    size = transition.num_classes
    counts = torch.bincount(clean, minlength=size)
    others, shares = _others(transition, generator)
    bounds = shares.cumsum(1)
    flips = rounded(counts * bounds[:, -1], generator).minimum(counts)  # rows may sum to a little more than 1
    # systematic sampling: evenly spaced draws, from an offset of each class's own, meet every share to within one
    bounds /= bounds[:, -1:].clamp(min=torch.finfo(torch.float64).tiny)
    bounds *= flips[:, None]
    # an offset next to 1 must not be rounded into one flip more
    bounds += torch.rand(size, 1, generator=generator, dtype=torch.float64) * (1 - 1e-9)
    cells = torch.diff(bounds.long(), prepend=torch.zeros(size, 1, dtype=torch.int64))
    labels = torch.cat([torch.arange(size)[:, None], others], 1)
    cells = torch.cat([(counts - flips)[:, None], cells], 1)
    dealt = labels.flatten().repeat_interleave(cells.flatten(), output_size=len(clean))
    noisy = torch.empty_like(clean).scatter_(0, shuffled_by_class(clean, size, generator), dealt)
    return noisy, torch.zeros(size, size, dtype=torch.int64).scatter_add_(1, labels, cells)


def _independent(clean: Tensor, transition: Transition, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Look each draw up among the running shares of all classes, one row after the other."""
    size = transition.num_classes
    others, shares = _others(transition, generator)
    stays = transition.diagonal().detach().cpu()[:, None]
    labels = torch.cat([torch.arange(size)[:, None], others], 1)
    bounds = torch.cat([stays, shares], 1).cumsum(1)
    bounds = bounds / bounds[:, -1:] + torch.arange(size)[:, None]
    # a draw next to 1 must not be rounded into the row that follows
    draws = torch.rand(len(clean), generator=generator, dtype=torch.float64).mul_(1 - 1e-9).add_(clean)
    noisy = labels.flatten()[torch.searchsorted(bounds.flatten(), draws, right=True)]
    return noisy, _cells(clean, noisy, size)


def _cells(clean: Tensor, noisy: Tensor, size: int) -> Tensor:
    return torch.bincount(clean * size + noisy, minlength=size * size).view(size, size)
