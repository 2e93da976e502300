"""Label noise separated from the confusions of a model: clean classes as a mixture, fitted to observed labels."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._numerics import accumulating
from softtargets._results import TensorResult
from softtargets.matrices import Transition
from softtargets.noise._confident import confident_joint

__all__ = ["NoiseMixture"]

ROUNDS = 30
# Probabilities below FLOOR / K are not told apart.
FLOOR = 1e-4
# Pseudo-counts with which each row of T is drawn to symmetric noise of the common rate.
PSEUDO_COUNTS = 5.0
# Mean of the largest clean probability at the start: nearly all disagreement is noise there.
_SHARP_START = 0.97
_MOST_SCALE = 100.0


@dataclass(frozen=True, eq=False, repr=False)
class NoiseMixture(TensorResult):
    """Clean classes given a prediction, and observed labels given the clean class.

    P(clean = k | x) = softmax_k(scale log p_k + bias_k),  P(observed = j | clean = k) = T[k, j]

    Args:
        scale: factor of the logarithms of the predicted probabilities; above 1, clean labels are more certain than the
            predictions.
        bias: (K,) float64.
        transition: T, row = clean, column = observed.
        noise_rate: mean probability that a label is wrong.
    """

    scale: float
    bias: Tensor
    transition: Transition
    noise_rate: float

    def __repr__(self) -> str:
        return f"NoiseMixture({len(self.bias)} classes, scale={self.scale:.3g}, noise_rate={self.noise_rate:.4g})"

    def wrong(self, probs: Tensor, labels: Tensor) -> Tensor:
        """Return the probability that each label is wrong.

        Args:
            probs: (n, K) float, out-of-sample probabilities.
            labels: (n,) int64 observed labels.

        Returns:
            (n,) float32, or float64 if probs are, in [0, 1].
        """
        features = _features(probs)
        clean = features.mul_(self.scale).add_(self.bias.to(features)).softmax(1)
        joint = clean.mul_(self.transition.to_dense(clean.dtype).T[labels])
        right = joint.gather(1, labels[:, None])[:, 0]
        # the sum of the others is accurate also where nearly every label is right
        others = joint.scatter_(1, labels[:, None], 0.0).sum(1)
        return others / (others + right).clamp(min=torch.finfo(joint.dtype).tiny)


def fit_mixture(probs: Tensor, labels: Tensor, *, entropy: float = 0.0, rounds: int = ROUNDS) -> NoiseMixture:
    """Fit a mixture by expectation-maximisation, from the end at which nearly all disagreement is noise.

    maximise  sum_i log sum_k q_ik T[k, y_i]  -  entropy * sum_i H(q_i)

    The likelihood alone cannot tell noise that the model has learned (probabilities of 0.7 and 0.3 everywhere) from
    classes that overlap. A penalty on the entropy of the clean classes chooses noise: the sharp end of the solutions.

    Args:
        probs: (N, K) float, out-of-sample probabilities.
        labels: (N,) int64 observed labels.
        entropy: weight of the penalty, at least 0.
        rounds: number of steps.
    """
    probs = probs.double()
    features, size = _features(probs), probs.shape[1]
    joint = confident_joint(probs, labels).joint.cpu() * len(labels)
    transition = _drawn_to_symmetric(joint)
    scale, bias = _start(features), torch.zeros(size, dtype=torch.float64)
    for _ in range(rounds):
        clean = (scale * features + bias).softmax(1)
        found = clean * transition.T[labels]
        found /= found.sum(1, keepdim=True).clamp(min=1e-300)
        counts = torch.zeros(size, size, dtype=torch.float64).index_add_(0, labels, found).T
        transition = _drawn_to_symmetric(counts)
        scale, bias = _step(features, clean, found, scale, bias, entropy)
    fitted = NoiseMixture(scale, bias, Transition.wrap(transition), 0.0)
    rate = float(fitted.wrong(probs, labels).mean())
    return NoiseMixture(scale, bias, fitted.transition, rate)


def _features(probs: Tensor) -> Tensor:
    probs = probs.detach().to(accumulating(probs.dtype))
    logs = (probs + FLOOR / probs.shape[1]).log_()
    return logs.sub_(logs.amax(1, keepdim=True))


def _start(features: Tensor) -> float:
    """Return the scale at which the mean of the largest probability is sharp."""
    low, high = math.log(0.05), math.log(_MOST_SCALE)
    for _ in range(20):
        middle = (low + high) / 2
        sharp = float((math.exp(middle) * features).softmax(1).amax(1).mean()) >= _SHARP_START
        low, high = (low, middle) if sharp else (middle, high)
    return math.exp(low)


def _drawn_to_symmetric(counts: Tensor) -> Tensor:
    """Return T from (K, K) counts, row = clean."""
    size = len(counts)
    rate = min(max(float(1 - counts.trace() / counts.sum()), 1e-6), 0.95)
    symmetric = torch.full_like(counts, rate / (size - 1)).fill_diagonal_(1 - rate)
    return (counts + PSEUDO_COUNTS * symmetric) / (counts.sum(1, keepdim=True) + PSEUDO_COUNTS)


def _step(
    features: Tensor, clean: Tensor, found: Tensor, scale: float, bias: Tensor, entropy: float
) -> tuple[float, Tensor]:
    """Return scale and bias after a damped Newton step towards the (n, K) clean classes that were found."""
    mean = (clean * features).sum(1)
    difference = found - clean
    slope = float((difference * features).sum())
    if entropy:
        logits = scale * features + bias
        slope += entropy * float(((clean * features * logits).sum(1) - mean * (clean * logits).sum(1)).sum())
    curvature = float((clean * features * features).sum() - (mean * mean).sum())
    change = min(max(slope / max(curvature, 1e-9), -0.5 * scale), 0.5 * scale + 0.2)
    gradient = difference.sum(0) - bias
    hessian = (clean * (1 - clean)).sum(0) + 1
    bias = bias + (0.7 * gradient / hessian).clamp(-1, 1)
    return min(max(scale + change, 0.02), _MOST_SCALE), bias - bias.mean()
