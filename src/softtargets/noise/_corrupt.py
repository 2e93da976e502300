"""Drawing observed labels from clean ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import read_labels
from softtargets._errors import fail
from softtargets._native.noisy_labels import OtherClasses, deal_labels, draw_labels
from softtargets._results import TensorResult
from softtargets.matrices import Transition
from softtargets.noise._instance import InstanceTransitions
from softtargets.noise._rates import check_generator, rounded

__all__ = ["Corrupted", "corrupt"]


@dataclass(frozen=True, eq=False, repr=False)
class Corrupted(TensorResult):
    """Labels after noise.

    Args:
        noisy_labels: (N,) int64, observed labels.
        flipped: (N,) bool, True where the observed label differs from the clean one.
        transition: the realised transition: observed frequencies; a class without examples keeps its row of the given
            transition.
        noise_rate: realised fraction of labels that differ.
    """

    noisy_labels: Tensor
    flipped: Tensor
    transition: Transition
    noise_rate: float

    def __repr__(self) -> str:
        counts = f"{int(self.flipped.sum()):,} of {len(self.flipped):,} labels flipped"
        return f"Corrupted({counts}, noise_rate={self.noise_rate:.4g}, {self.transition.num_classes} classes)"


@array_function
def corrupt(
    labels: ArrayLike,
    transition: Transition | InstanceTransitions | ArrayLike,
    *,
    exact: bool = True,
    generator: torch.Generator | None = None,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> Corrupted:
    """Draw an observed label for every clean label.

    observed_i ~ T[labels_i, :],  or T_i[:] of the example itself if the noise depends on the input

    Args:
        labels: (N,) integer clean labels in [0, K).
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1, or the result of
            :func:`instance_dependent` for these labels.
        exact: match the rates exactly, up to rounding, instead of drawing independently. The number of flips in each
            class, in total, and to each other class is within one example of its expectation. For instance-dependent
            noise only the number of flips is rounded.
        generator: on the CPU; the only source of randomness. None: torch's global one.
        ignore_index: label of examples to leave out: they keep it.
        mask: (N,) bool, False for examples to leave out, which keep their label; None: include all.

    Returns:
        Corrupted, with the realised transition and noise rate of the examples that are not left out.

    Raises:
        ValueError: if a label is out of range, the rows of T do not sum to 1, or instance-dependent noise was made for
            other labels.
        TypeError: if labels are not integers, T is not floating-point, or generator is not a torch.Generator.

    Special cases:
        no noise returns the labels.

    Notes:
        Every observed label is drawn once, from its clean label. Code that loops over the classes and overwrites labels
        in place flips some of them twice (ELR's for CIFAR-10, where the 40 % between cat and dog become 24 % and 40 %).

    Complexity:
        O(N + K^2): a permutation, a sort by class and two passes; independent draws look up N of them in T. A few
        tensors of N and of K x K numbers besides the labels, never N x K.

    When to use:
        To study noise of a known kind and rate. Exact rates remove one source of variance between seeds.

    Limitations:
        Class-dependent noise is easier than human label noise, since people err on ambiguous inputs: see
        :func:`instance_dependent`, and data sets with human labels.

    Aliases:
        generate_noisy_labels; noisify

    Example:
        >>> made = corrupt(torch.tensor([0, 0, 0, 0, 1]), torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
        >>> int(made.flipped.sum()), made.noise_rate, made.transition.to_dense().tolist()
        (2, 0.4, [[0.5, 0.5], [0.0, 1.0]])
    """
    if not isinstance(transition, InstanceTransitions):
        transition = Transition.wrap(transition)
    check_generator(generator)
    size = transition.num_classes
    whole, left_out = read_labels("labels", labels, num_classes=size, ignore_index=ignore_index, mask=mask)
    if whole.ndim != 1:
        column = whole.ndim == 2 and whole.shape[1] == 1
        remedy = "use labels.squeeze(-1)" if column else "use labels.flatten()"
        raise fail("labels", "shape (N,)", tuple(whole.shape), remedy)
    kept = slice(None) if left_out is None else ~left_out.cpu()
    every = whole.cpu()
    clean = every[kept]
    if isinstance(transition, InstanceTransitions):
        noisy = transition.draw(every, exact=exact, generator=generator)[kept]
        cells = _cells(clean, noisy, size)
        asked = Transition.identity(size)
    else:
        noisy, cells = (_exact if exact else _independent)(clean, transition, generator)
        asked = transition
    totals = cells.sum(1, keepdim=True)
    realised = cells / totals.clamp(min=1).double()
    if not bool(totals.all()):
        realised = torch.where(totals > 0, realised, asked.to_dense().detach().cpu())
    given = labels.long().cpu()
    result = noisy
    if left_out is not None:
        result = given.clone()
        result[kept] = noisy
    flipped = result != given
    rate = int(flipped.sum()) / max(len(clean), 1)
    device = labels.device
    return Corrupted(result.to(device), flipped.to(device), Transition(size, matrix=realised), rate)


def _others(transition: Transition, generator: torch.Generator | None) -> OtherClasses:
    """Return the classes that each class can become, in random order, and their shares."""
    size = transition.num_classes
    if transition.others is not None and transition.shares is not None:
        order = torch.randperm(transition.others.shape[1], generator=generator)
        others = transition.others.long().cpu()[:, order]
        return OtherClasses(size, transition.shares.detach().cpu().double()[:, order], others)
    shift = torch.randperm(size - 1, generator=generator)
    if transition.matrix is not None:
        return OtherClasses(size, transition.matrix.detach().cpu().double(), shift=shift, from_matrix=True)
    share = torch.full((), float(transition.redraw) / size, dtype=torch.float64)
    return OtherClasses(size, share.expand(size, size - 1), shift=shift)


def _exact(clean: Tensor, transition: Transition, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Fix how many labels of each class become which class, and assign them in random order."""
    size = transition.num_classes
    counts = torch.bincount(clean, minlength=size)
    others = _others(transition, generator)
    flips = rounded(counts * others.sums(), generator).minimum(counts)  # rounding may make a row sum to more than 1
    # an offset close to 1 must not be rounded up to one more flip
    offsets = torch.rand(size, 1, generator=generator, dtype=torch.float64)[:, 0] * (1 - 1e-9)
    order = torch.randperm(len(clean), generator=generator, dtype=torch.int32)
    return deal_labels(clean, others, counts, flips, offsets, order)


def _independent(clean: Tensor, transition: Transition, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    others = _others(transition, generator)
    # a draw close to 1 must not be rounded up into the next class
    draws = torch.rand(len(clean), generator=generator, dtype=torch.float64).mul_(1 - 1e-9).add_(clean)
    return draw_labels(clean, others, transition.diagonal().detach().cpu().double(), draws)


def _cells(clean: Tensor, noisy: Tensor, size: int) -> Tensor:
    return torch.bincount(clean * size + noisy, minlength=size * size).view(size, size)
