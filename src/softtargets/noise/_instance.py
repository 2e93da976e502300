"""Noise that depends on the input: the input decides how likely a label is wrong, and which class it becomes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_floating, check_fraction, check_num_classes, first_bad, read_ids, read_labels
from softtargets._errors import fail
from softtargets._results import TensorResult
from softtargets.noise._rates import check_generator, check_rate, rounded, shuffled_by_class, with_mean

__all__ = ["InstanceTransitions", "instance_dependent"]

# Entries of the inputs, or of the rows computed from them, that are processed at a time.
CHUNK = 2**22


@dataclass(frozen=True, eq=False, repr=False)
class InstanceTransitions(TensorResult):
    """One transition row per example, computed on request: see :func:`instance_dependent`.

    Args:
        inputs: (N, D) float.
        labels: (N,) int64 clean labels; 0 for an example that is left out.
        flip_rates: (N,) float64, probability that each label becomes a different one; 0 for an example that is left
            out.
        num_classes: K, at least 2.
        seed: seed of the (D, K) projections, one for each clean class. They are redrawn each time instead of stored,
            because together they may be larger than the inputs.
    """

    inputs: Tensor
    labels: Tensor
    flip_rates: Tensor
    num_classes: int
    seed: int

    def __repr__(self) -> str:
        size, rate = len(self.labels), float(self.flip_rates.double().mean()) if len(self.labels) else 0.0
        return f"InstanceTransitions({size:,} examples, {self.num_classes} classes, mean flip rate {rate:.4g})"

    @array_function
    def rows(self, index: ArrayLike) -> Tensor:
        """Return the probabilities of the observed labels of some examples, (M, K) float64.

        Args:
            index: (M,) integer ids of the examples, or (N,) bool, True for the examples.
        """
        size = len(self.labels)
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            if tuple(index.shape) != (size,):
                raise fail(
                    "index",
                    f"a mask of shape ({size},), or integer ids",
                    tuple(index.shape),
                    "pass one entry per example",
                )
            index = index.nonzero().flatten()
        index = read_ids("index", index, size).cpu()
        if index.ndim != 1:
            raise fail("index", "shape (M,)", tuple(index.shape), "use index.flatten()")
        result = torch.zeros(len(index), self.num_classes, dtype=torch.float64)
        for places, shares in self._others(index):
            result[places] = shares.double() * self.flip_rates[index[places], None]
        return result.scatter_(1, self.labels[index, None], 1 - self.flip_rates[index, None])

    def draw(self, labels: Tensor, *, exact: bool, generator: torch.Generator | None) -> Tensor:
        """Return (N,) observed labels for the labels that this noise was made for.

        Args:
            labels: (N,) int64, the same clean labels.
            exact: make the number of flips, in each class and in total, equal to its expectation up to rounding to a
                whole example.
            generator: on the CPU.
        """
        if labels.shape != self.labels.shape or not torch.equal(labels, self.labels):
            remedy = "call instance_dependent with these labels"
            raise fail("labels", "the labels that the noise was made for", "other labels", remedy)
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
            # scaling by the last sum, which is 1 up to rounding, keeps a draw within the row
            found = torch.searchsorted(bounds, (draws[places] * bounds[:, -1])[:, None], right=True)
            noisy[flipped[places]] = found[:, 0]
        return noisy

    def _others(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield places in `index`, and the probabilities of the other classes given that the label flips."""
        projections = torch.Generator().manual_seed(self.seed)
        width = self.inputs.shape[1]
        for label in range(self.num_classes):
            projection = torch.randn(width, self.num_classes, generator=projections)
            places = (self.labels[index] == label).nonzero().flatten()
            for part in places.split(max(1, CHUNK // max(width, self.num_classes))):
                scores = self.inputs[index[part]].float() @ projection
                scores[:, label] = -math.inf
                yield part, scores.softmax(1)


@array_function
def instance_dependent(
    inputs: ArrayLike,
    labels: ArrayLike,
    rate: float,
    num_classes: int,
    *,
    spread: float = 0.1,
    generator: torch.Generator | None = None,
    ignore_index: int = -100,
    mask: ArrayLike | None = None,
) -> InstanceTransitions:
    """Make noise that depends on the input, by one random projection per class.

    q_i ~ N(rate, spread^2) within [0, 1]
    T_i[k] = q_i * softmax over k != labels_i of (inputs_i W[labels_i])_k;  T_i[labels_i] = 1 - q_i
    W ~ N(0, 1) of shape (K, D, K)        # Xia et al. 2020, Alg. 2, as in their code; not checked

    Args:
        inputs: (N, D) float, preferably standardised: large inputs concentrate the noise on a single wrong class.
        labels: (N,) integer clean labels in [0, K).
        rate: mean of the flip rates, a fraction in [0, 1].
        num_classes: K, at least 2.
        spread: standard deviation of the flip rates before truncation to [0, 1], in [0, 1].
        generator: on the CPU; draws the flip rates and the projections. None: torch's global one.
        ignore_index: label of examples to leave out: their labels never flip.
        mask: (N,) bool, False for examples to leave out; None: include all.

    Returns:
        InstanceTransitions, for :func:`corrupt`. They refer to the inputs and compute rows on request.

    Raises:
        ValueError: if shapes differ, an input is not finite, a label is out of range, or a rate is outside [0, 1].
        TypeError: if inputs are not floating-point, labels not integers or generator not a torch.Generator.

    Special cases:
        rate=0 leaves every label unchanged; inputs of 0 and spread=0 give symmetric noise.

    Notes:
        After truncation, the flip rates are rescaled so that their mean is `rate`: towards 0 if the mean is too high,
        towards 1 if it is too low. The authors' code does not do this, and truncation gives a mean of .101 at a rate of
        .05.

    Complexity:
        N D K multiplications and K D K random numbers each time that labels are drawn; memory in chunks.

    When to use:
        To test methods where noise does not depend on the class alone, and the truth is known.

    Limitations:
        The projections are random: similar inputs get similar errors, but the wrong classes are arbitrary.
        A class-dependent T, however well estimated, explains such noise only in part.

    Example:
        >>> inputs = torch.zeros(4, 2)
        >>> made = instance_dependent(inputs, torch.tensor([0, 1, 2, 2]), 0.5, 3, spread=0.0)
        >>> made.rows(torch.tensor([1])).tolist()
        [[0.25, 0.5, 0.25]]
    """
    check_num_classes(num_classes)
    check_floating("inputs", inputs)
    if inputs.ndim != 2:
        raise fail("inputs", "shape (N, D)", tuple(inputs.shape), "flatten each input")
    clean, left_out = read_labels(
        "labels", labels, num_classes=num_classes, shape=inputs.shape[:1], ignore_index=ignore_index, mask=mask
    )
    check_rate(rate)
    check_fraction("spread", spread)
    check_generator(generator)
    inputs, clean = inputs.detach().cpu(), clean.cpu()
    kept = torch.ones(len(clean), dtype=torch.bool) if left_out is None else ~left_out.cpu()
    row = first_bad(~inputs.isfinite().all(1) & kept)
    if row is not None:
        raise fail(
            "inputs", "finite numbers", f"a number that is not finite in row {row[0]}", "fix or drop that example"
        )
    seed = int(torch.randint(2**62, (), generator=generator))
    rates = torch.zeros(len(clean), dtype=torch.float64)
    rates[kept] = _flip_rates(int(kept.sum()), float(rate), float(spread), generator)
    return InstanceTransitions(inputs, clean, rates, int(num_classes), seed)


def _flip_rates(count: int, rate: float, spread: float, generator: torch.Generator | None) -> Tensor:
    draws = torch.rand(count, generator=generator, dtype=torch.float64)
    if spread == 0 or count == 0:
        return torch.full_like(draws, rate)
    # inverse of the distribution function of a truncated normal distribution
    low, high = torch.special.ndtr(torch.tensor([-rate / spread, (1 - rate) / spread], dtype=torch.float64))
    rates = (rate + spread * torch.special.ndtri(low + draws * (high - low))).clamp(0.0, 1.0)
    return with_mean(rates, torch.full_like(rates, 1 / count), rate)
