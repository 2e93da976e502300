"""The mean of numbers that depend on a seed and on an example, with an uncertainty that counts both.

`level` is a significance level, as in :mod:`softtargets.metrics.statistics`.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.metrics.statistics import paired_t, paired_t_p_value

__all__ = ["CrossedMean", "crossed_mean"]


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and examples.

    Args:
        mean: the mean of all numbers.
        standard_error: of the mean, for new seeds and new examples.
        freedom: degrees of freedom of the standard error, at least 1.
    """

    mean: float
    standard_error: float
    freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided t interval of confidence 1 - level."""
        return paired_t(self.mean, self.standard_error, self.freedom + 1, level)

    def p_value(self) -> float:
        """Return the two-sided p-value of a mean of 0."""
        return paired_t_p_value(abs(self.mean), self.standard_error, self.freedom + 1)


def crossed_mean(values: Tensor) -> CrossedMean:
    """Mean of values[s, i] of seed s and example i, when both are samples of a population.

    values[s, i] = mean + seed_s + example_i + rest_si                       # two-way layout without replication
    standard_error^2 = max(A + B - R, A, B) / (S N)
    freedom = standard_error^4 / (A^2 / (S - 1) + B^2 / (N - 1) + R^2 / ((S - 1) (N - 1))) (S N)^2,  at least S - 1

    A, B and R are the mean squares of seeds, of examples and of the rest. A + B - R is without bias (Searle, Casella &
    McCulloch 1992, Ch. 4); as it can be too small by chance, it is replaced by A or B where one of them is larger. The
    degrees of freedom are those of Satterthwaite 1946. A standard error over the seeds alone would treat the examples
    as the whole population, and one over the examples alone would treat the seeds so.

    For a quantity that is no mean over examples, such as a calibration error, `values` are the pseudo-values of the
    jackknife.

    Args:
        values: (S, N) float, S at least 2, N at least 2: differences of two methods, paired by seed and example.

    Returns:
        CrossedMean.

    Raises:
        ValueError: for another shape, or a number that is not finite.
        TypeError: if `values` is not a floating-point tensor.

    Special cases:
        values that do not depend on the seed give the standard error of the mean of N numbers; values that do not
        depend on the example that of S numbers.

    Limitations:
        With three seeds whose effects are large beside those of the examples, intervals of confidence 99.5 % cover
        about 98.5 %; those of 95 % cover 95 %.

    Example:
        >>> found = crossed_mean(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))        # A = 4, B = 1, R = 0
        >>> found.mean, round(found.standard_error**2, 10), round(found.freedom, 3)
        (1.5, 1.25, 1.471)
    """
    if not isinstance(values, Tensor) or not values.is_floating_point():
        got = str(values.dtype) if isinstance(values, Tensor) else type(values).__name__
        raise fail_type("values", "a floating-point tensor", got, "pass differences of (seeds, examples)")
    if values.ndim != 2 or min(values.shape) < 2:
        remedy = "pass one row for each seed and one column for each example"
        raise fail("values", "at least 2 seeds and 2 examples, (S, N)", tuple(values.shape), remedy)
    values = values.detach().double()
    if not bool(values.isfinite().all()):
        raise fail("values", "finite numbers", "one that is not", "leave out runs that diverged")
    seeds, examples = values.shape
    mean = values.mean()
    of_seeds, of_examples = values.mean(1) - mean, values.mean(0) - mean
    rest = values - mean - of_seeds[:, None] - of_examples[None, :]
    square_seeds = examples * float(of_seeds.square().sum()) / (seeds - 1)
    square_examples = seeds * float(of_examples.square().sum()) / (examples - 1)
    square_rest = float(rest.square().sum()) / ((seeds - 1) * (examples - 1))
    total = max(square_seeds + square_examples - square_rest, square_seeds, square_examples)
    spread = square_seeds**2 / (seeds - 1) + square_examples**2 / (examples - 1)
    spread += square_rest**2 / ((seeds - 1) * (examples - 1))
    freedom = max(total**2 / spread, seeds - 1) if spread > 0 else seeds - 1
    return CrossedMean(float(mean), math.sqrt(total / (seeds * examples)), float(freedom))
