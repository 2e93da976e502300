"""Noise that depends on the input: what is seen decides how likely a label is wrong, and what it becomes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_fraction, check_labels, check_num_classes, first_bad
from softtargets._errors import fail
from softtargets.noise._rates import rounded, shuffled_by_class, with_mean

__all__ = ["InstanceTransitions", "instance_dependent"]

# entries of the inputs, or of the rows made of them, that are worked on at once
CHUNK = 2**22


@dataclass(frozen=True)
class InstanceTransitions:
    """A row of transition for each example, made when it is asked for: see :func:`instance_dependent`.

    Args:
        inputs: (N, D) float.
        labels: (N,) int64 clean labels.
        flip_rates: (N,) float64, how likely each label is to become another one.
        num_classes: K, at least 2.
        seed: of the (D, K) projections, one for each clean class; they are drawn anew each time, as K of them may be
            larger than the inputs.
    """

    inputs: Tensor
    labels: Tensor
    flip_rates: Tensor
    num_classes: int
    seed: int

    def rows(self, index: Tensor) -> Tensor:
        """Return the (M, K) float64 probabilities of the observed labels of the (M,) examples at `index`."""
        result = torch.zeros(len(index), self.num_classes, dtype=torch.float64)
        for places, shares in self._others(index):
            result[places] = shares.double() * self.flip_rates[index[places], None]
        return result.scatter_(1, self.labels[index, None], 1 - self.flip_rates[index, None])

    def draw(self, labels: Tensor, *, exact: bool, generator: torch.Generator | None) -> Tensor:
        """Return (N,) observed labels of the labels that this was made for.

        Args:
            labels: (N,) int64, the clean labels again.
            exact: round the flips of each class, and of the whole, to within one example of their expectation.
            generator: of the CPU.
        """
        if labels.shape != self.labels.shape or not torch.equal(labels, self.labels):
            raise fail("labels", "those that the noise was made for", "others", "call instance_dependent with these")
        if exact:
            order = shuffled_by_class(labels, self.num_classes, generator)
            flipped = order[rounded(self.flip_rates[order], generator) > 0]
        else:
            draws = torch.rand(len(labels), generator=generator, dtype=torch.float64)
            flipped = (draws < self.flip_rates).nonzero().flatten()
        noisy = labels.clone()
        draws = torch.rand(len(flipped), generator=generator, dtype=torch.float64)
        for places, shares in self._others(flipped):
            bounds = shares.double().cumsum(1)
            # a share of 0 is never met, and the last sum, 1 but for rounding, never exceeded
            found = torch.searchsorted(bounds, (draws[places] * bounds[:, -1])[:, None], right=True)
            noisy[flipped[places]] = found[:, 0]
        return noisy

    def _others(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield places in `index` and the shares of the other classes, given that the label flips: 0 for its own."""
        projections = torch.Generator().manual_seed(self.seed)
        width = self.inputs.shape[1]
        for label in range(self.num_classes):
            projection = torch.randn(width, self.num_classes, generator=projections)
            places = (self.labels[index] == label).nonzero().flatten()
            for part in places.split(max(1, CHUNK // max(width, self.num_classes))):
                scores = self.inputs[index[part]].float() @ projection
                scores[:, label] = -math.inf
                yield part, scores.softmax(1)


def instance_dependent(
    inputs: Tensor,
    labels: Tensor,
    rate: float,
    num_classes: int,
    *,
    spread: float = 0.1,
    generator: torch.Generator | None = None,
) -> InstanceTransitions:
    """Make noise that depends on the input, by a random projection of it for each class.

    q_i ~ N(rate, spread^2) within [0, 1]
    T_i[k] = q_i * softmax over k != labels_i of (inputs_i W[labels_i])_k;  T_i[labels_i] = 1 - q_i
    W ~ N(0, 1) of shape (K, D, K)        # Xia et al. 2020, Alg. 2, as their code has it, both from memory

    Args:
        inputs: (N, D) float, best standardised: the larger they are, the more an input has one class that it becomes.
        labels: (N,) int64 clean labels in [0, K).
        rate: mean of the flip rates, a fraction in [0, 1].
        num_classes: K, at least 2.
        spread: standard deviation of the flip rates before they are cut to [0, 1], in [0, 1].
        generator: of the CPU; draws the flip rates and the projections. None: torch's global one.

    Returns:
        InstanceTransitions, for :func:`corrupt`. They refer to the inputs and make rows when asked for them.

    Raises:
        ValueError: where shapes differ, an input is not finite, a label is out of range, or a rate is outside [0, 1].

    Special cases:
        rate=0 leaves every label; inputs of 0 and spread=0 give symmetric noise.

    Notes:
        the flip rates are then moved so that their mean is `rate`: scaled towards 0 where it is above, towards 1 where
        it is below. Theirs are not, and cutting leaves a mean of .101 at a rate of .05.

    Complexity:
        N D K multiplications and K D K random numbers for each time that labels are drawn; memory in chunks.

    When to use:
        methods are to be tried where noise is no matter of the class alone, and the truth is known.

    Limitations:
        the projections are random, so that similar inputs err alike but what they become has no meaning; a T by class,
        however well known, explains such noise in part only.

    Example:
        >>> inputs = torch.zeros(4, 2)
        >>> made = instance_dependent(inputs, torch.tensor([0, 1, 2, 2]), 0.5, 3, spread=0.0)
        >>> made.rows(torch.tensor([1])).tolist()
        [[0.25, 0.5, 0.25]]
    """
    check_num_classes(num_classes)
    check_floating("inputs", inputs)
    check_labels("labels", labels, num_classes)
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1]:
        got = f"{tuple(inputs.shape)} with labels {tuple(labels.shape)}"
        raise fail("inputs", "shape (N, D) with labels (N,)", got, "flatten each input, and give one label for each")
    check_fraction("rate", rate)
    check_fraction("spread", spread)
    inputs = inputs.detach().cpu()
    row = first_bad(~inputs.isfinite().all(1))
    if row is not None:
        raise fail("inputs", "finite numbers", f"another one in row {row[0]}", "fix or drop that example")
    seed = int(torch.randint(2**62, (), generator=generator))
    rates = _flip_rates(len(labels), rate, spread, generator)
    return InstanceTransitions(inputs, labels.long().cpu(), rates, num_classes, seed)


def _flip_rates(count: int, rate: float, spread: float, generator: torch.Generator | None) -> Tensor:
    draws = torch.rand(count, generator=generator, dtype=torch.float64)
    if spread == 0 or count == 0:
        return torch.full_like(draws, rate)
    # the distribution function of the normal distribution between the cuts, inverted
    low, high = torch.special.ndtr(torch.tensor([-rate / spread, (1 - rate) / spread], dtype=torch.float64))
    rates = (rate + spread * torch.special.ndtri(low + draws * (high - low))).clamp(0.0, 1.0)
    return with_mean(rates, torch.full_like(rates, 1 / count), rate)
