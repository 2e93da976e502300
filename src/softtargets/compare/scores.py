"""The measures of a run, as one number for each test example whose mean is the measure.

Accuracy and NLL are means over the examples. ECE and AURC are not; their numbers are pseudo-values of the jackknife,

    pseudo_i = N value - (N - 1) value without example i,

shifted so that their mean is the value. Differences of two methods are then compared example by example.

Labels are (N,) classes or (N, K) votes. With votes, the number of an example is the expected one of a label that is
drawn from its votes: the share of votes for the predicted class in place of 1 or 0.
"""

import torch
from torch import Tensor

from softtargets.calibration import TemperatureScaling
from softtargets.compare.training import RunOutputs
from softtargets.losses import cross_entropy
from softtargets.targets import votes

# Bins of equal width of the ECE.
N_BINS = 15


def scaled_log_probs(outputs: RunOutputs, logits: Tensor) -> tuple[Tensor, float]:
    """Return (N, K) float64 log-probabilities of logits after the temperature of the validation split, and T."""
    fitted = TemperatureScaling().fit(outputs.validation_logits.double(), outputs.validation_labels)
    return fitted(logits.double()), float(fitted.temperature)


def validation_nll(outputs: RunOutputs) -> float:
    """Return the NLL on the validation labels after the temperature that minimises it, in nats."""
    log_probs, _ = scaled_log_probs(outputs, outputs.validation_logits)
    return float(_nll(log_probs, outputs.validation_labels).mean())


def scores_of(outputs: RunOutputs) -> tuple[dict[str, Tensor], float]:
    """Return (N,) float64 numbers of the test examples by the name of the measure, and the temperature."""
    labels = outputs.test_labels
    before = outputs.test_logits.double().log_softmax(-1)
    after, temperature = scaled_log_probs(outputs, outputs.test_logits)
    scores = {
        "accuracy": _right(before.argmax(-1), labels),
        "nll_scaled": _nll(after, labels),
        "ece_scaled": ece_scores(after, labels),
        "aurc": aurc_scores(after, labels),
        "nll": _nll(before, labels),
        "ece": ece_scores(before, labels),
    }
    return scores, temperature


def guessed(outputs: RunOutputs, index: int) -> Tensor:
    """Return the accuracy numbers of the test examples if one class is predicted for all of them, (N,) float64."""
    return _right(torch.full((len(outputs.test_labels),), index), outputs.test_labels)


def _nll(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Return the NLL of each example, (N,), or its cross entropy against the shares of votes."""
    return cross_entropy(log_probs, labels if labels.ndim == 1 else votes(labels.double()))


def _right(predicted: Tensor, labels: Tensor) -> Tensor:
    """Return 1 for a correct prediction and 0 for another, or the share of votes for it, (N,) float64."""
    if labels.ndim == 1:
        return (predicted == labels).double()
    return labels.double().gather(1, predicted[:, None])[:, 0] / labels.double().sum(1)


def ece_scores(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Return shifted pseudo-values of the ECE in 15 bins of equal width, (N,).

    Args:
        log_probs: (N, K) float64.
        labels: (N,) int64, or (N, K) votes.
    """
    top, predicted = log_probs.max(-1)
    confidence = top.exp()
    gap = confidence - _right(predicted, labels)
    # a confidence on an edge belongs to the bin below it
    bins = (confidence * N_BINS).ceil().long().clamp(1, N_BINS) - 1
    sums = torch.zeros(N_BINS, dtype=torch.float64).index_add_(0, bins, gap)
    total, own = sums.abs().sum(), sums[bins]
    count = len(labels)
    without = (total - own.abs() + (own - gap).abs()) / (count - 1)
    return _pseudo_values(total / count, without)


def aurc_scores(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Return shifted pseudo-values of the area under the risk-coverage curve, (N,).

    With the examples in order of falling confidence, x_k = 1 for a wrong prediction and e_k = x_1 + ... + x_k, it is
    1 / N sum_k e_k / k; with votes, x_k is the share of votes for other classes. Without the example of rank r the
    examples after it move up by one rank.

    Args:
        log_probs: (N, K) float64.
        labels: (N,) int64, or (N, K) votes.
    """
    top, predicted = log_probs.max(-1)
    others = log_probs.scatter(-1, predicted[:, None], -torch.inf).logsumexp(-1)
    # log-odds, since confidences near 1 are equal after rounding
    order = (top - others).argsort(descending=True, stable=True)
    wrong = 1 - _right(predicted, labels)[order]
    count = len(labels)
    ranks = torch.arange(1, count + 1, dtype=torch.float64)
    errors = wrong.cumsum(0)
    terms = errors / ranks
    before = terms.cumsum(0) - terms
    moved = (ranks - 1).clamp(min=1)
    after, shifts = (_sums_after(values) for values in (errors / moved, 1 / moved))
    without = torch.empty(count, dtype=torch.float64)
    without[order] = (before + after - wrong * shifts) / (count - 1)
    return _pseudo_values(terms.mean(), without)


def _sums_after(values: Tensor) -> Tensor:
    """Return the sum of the entries after each one."""
    return values.flip(0).cumsum(0).flip(0) - values


def _pseudo_values(value: Tensor, without: Tensor) -> Tensor:
    """Return pseudo-values, shifted so that their mean is the value."""
    count = len(without)
    found = count * value - (count - 1) * without
    return found - found.mean() + value
