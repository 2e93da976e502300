"""The noise rate from a few relabelled examples and the probabilities of all."""

import math
from dataclasses import dataclass

from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_floating, check_fraction, read_ids
from softtargets._errors import fail
from softtargets._results import TensorResult
from softtargets.noise.streaming.trusted import correct_rate

__all__ = ["TrustedNoiseRate", "trusted_noise_rate"]

# Fewest relabelled examples.
LEAST = 20


@dataclass(frozen=True, eq=False, repr=False)
class TrustedNoiseRate(TensorResult):
    """A noise rate that relabelled examples have corrected.

    Args:
        estimate: fraction of wrong labels.
        low: lower end of the interval.
        high: upper end.
        confidence: confidence of the interval, a fraction.
        num_trusted: number of relabelled examples.
        num_wrong: number of wrong labels among them.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    num_trusted: int
    num_wrong: int

    def __repr__(self) -> str:
        found = f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"
        return (
            f"TrustedNoiseRate({found}, {self.num_wrong} of {self.num_trusted} wrong, confidence={self.confidence:g})"
        )


@array_function
def trusted_noise_rate(
    wrong_probability: ArrayLike, rows: ArrayLike, wrong: ArrayLike, *, confidence: float = 0.95
) -> TrustedNoiseRate:
    """Estimate the noise rate from examples that were relabelled by hand, and predicted probabilities of all.

    rate = mean_trusted(w) + lambda (mean_all(P) - mean_trusted(P)),  lambda = cov(w, P) / var(P) in [0, 1]

    w is 1 for a label that is wrong, and P its predicted probability. The trusted examples remove the bias of P, and P
    removes a part of the sampling error of w: prediction-powered inference (Angelopoulos et al. 2023), or the
    regression estimator of survey sampling.

    Args:
        wrong_probability: (N,) float in [0, 1], probability that each label is wrong, of all examples.
        rows: (M,) integer rows of the relabelled examples, at least 20. They must be drawn uniformly at random.
        wrong: (M,) bool, whether the label of each of these is wrong.
        confidence: of the interval, in [0, 1).

    Returns:
        TrustedNoiseRate.

    Raises:
        ValueError: if a probability or the confidence is out of range, a row is out of range or occurs twice, there are
            fewer than 20 rows, or the shapes differ.
        TypeError: if wrong_probability is not floating-point, rows not integers or wrong not bool.

    Special cases:
        constant probabilities give the share of wrong labels among the trusted ones.

    Notes:
        The variance of the residuals is computed with two more squared residuals of 1, so that the interval covers
        also if no trusted label is wrong, as in the interval of Agresti and Coull.

    Complexity:
        One pass over the N probabilities.

    When to use:
        If :func:`estimate_noise_range` gives a wide range. About 200 relabelled examples narrow it to a few points.

    Limitations:
        Rows that were chosen because they look wrong give a rate that is far too high.

    Example:
        >>> probability = torch.full((1000,), 0.2)
        >>> found = trusted_noise_rate(probability, torch.arange(100), torch.arange(100) < 10)
        >>> round(found.estimate, 3), round(found.low, 2), round(found.high, 2)
        (0.1, 0.04, 0.16)
    """
    check_floating("wrong_probability", wrong_probability)
    if wrong_probability.ndim != 1:
        required, remedy = "shape (N,)", "pass one probability per example"
        raise fail("wrong_probability", required, tuple(wrong_probability.shape), remedy)
    check_fraction("wrong_probability", wrong_probability)
    check_fraction("confidence", confidence, high=math.nextafter(1, 0), remedy="choose a value such as 0.95")
    chosen = read_ids("rows", rows, len(wrong_probability)).to(wrong_probability.device)
    if chosen.ndim != 1 or len(chosen) < LEAST or len(chosen) != len(chosen.unique()):
        required = f"at least {LEAST} different rows"
        raise fail("rows", required, tuple(chosen.shape), "relabel more examples, each once")
    if not isinstance(wrong, Tensor) or str(wrong.dtype) != "torch.bool" or wrong.shape != chosen.shape:
        raise fail("wrong", f"bool, shape {tuple(chosen.shape)}", wrong, "pass one truth value per row")
    probability = wrong_probability.detach().double()
    predicted, truth = probability[chosen], wrong.to(chosen.device).double()
    mean, size = float(probability.mean()), len(probability)
    ends = correct_rate(predicted, truth, mean=mean, size=size, confidence=confidence)
    return TrustedNoiseRate(*ends, float(confidence), len(chosen), int(truth.sum()))
