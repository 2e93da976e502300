"""The largest value of every row and its class in torch operations, each computed when it is first read."""

from functools import cached_property

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32, sum_of_rows

# In a row whose sum is 1 up to the rounding of half precision, no two entries are above this.
_NO_TIES = 0.52
_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


class Twin:
    """The numbers of the kernel, with the attributes of `Compiled`; nothing is checked.

    Args:
        values: (n, K) float, probabilities or logits.
        labels: (n,) int64.
        probs: whether the values are probabilities.
    """

    checked = False

    def __init__(self, values: Tensor, labels: Tensor, probs: bool) -> None:
        self._values, self._labels, self._probs = values, labels, probs

    @cached_property
    def largest(self) -> Tensor:
        """The largest value."""
        return at_least_float32(self._top).clamp(max=1.0) if self._probs else self._top.double()

    @cached_property
    def exponentials(self) -> Tensor:
        """exp(logits - largest)."""
        return exponentials_of(self._values, self.largest)

    @cached_property
    def sums(self) -> Tensor:
        """Their row sums."""
        return sum_of_rows(self.exponentials)

    @cached_property
    def predicted(self) -> Tensor:
        """The first class with the largest value."""
        return self._values.argmax(1)

    @cached_property
    def correct(self) -> Tensor:
        """Whether it is the label."""
        # amax is several times as fast as argmax. The two differ only for ties, and no row has a tie above one half.
        correct = self._values.gather(1, self._labels[:, None])[:, 0] == self._top
        limit = _NO_TIES if self._probs else torch.inf
        doubtful = (correct & (self._top < limit)).nonzero()[:, 0]
        rows, top = (part.index_select(0, doubtful) for part in (self._values, self._top))
        if int((rows == top[:, None]).count_nonzero()) > len(rows):
            correct[doubtful] = rows.argmax(1) == self._labels[doubtful]
        return correct

    @cached_property
    def _top(self) -> Tensor:
        if not self._probs or self._values.dtype not in _BITS:
            return self._values.amax(1)
        # Non-negative floats are ordered like their bits, and integers need no check for NaN.
        return self._values.view(_BITS[self._values.dtype]).amax(1).view(self._values.dtype)


def exponentials_of(logits: Tensor, largest: Tensor) -> Tensor:
    """Return exp(logits - largest), (n, K) float64."""
    return (logits.double() - largest[:, None]).exp_()
