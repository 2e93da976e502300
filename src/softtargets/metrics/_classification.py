"""Numbers of a classifier's predictions against hard labels."""

from torch import Tensor

from softtargets._checks import check_floating, check_labels, first_bad, sum_tolerance
from softtargets._errors import fail


def check_predictions(argument: str, scores: Tensor, labels: Tensor) -> None:
    """Require (N, K) float scores with (N,) labels in range, N >= 1."""
    check_floating(argument, scores)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise fail(argument, "shape (N, K) with K >= 2", tuple(scores.shape), "give one row of K per example")
    check_labels("labels", labels, scores.shape[1])
    if labels.shape != scores.shape[:1]:
        raise fail("labels", f"shape ({scores.shape[0]},)", tuple(labels.shape), "give one label per row")
    if len(labels) == 0:
        raise fail(argument, "at least one row", 0, "a metric of nothing is undefined")


def accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    """Share of examples whose largest score is the label's.

    Args:
        scores: (N, K) float: logits, probabilities or log-probabilities alike. Ties go to the lowest class.
        labels: (N,) int64 in [0, K).

    Returns:
        () float64, a fraction.

    Raises:
        ValueError: where shapes differ, a label is out of range, or there is no row.
    """
    check_predictions("scores", scores, labels)
    return (scores.argmax(-1) == labels).double().mean()


def nll(log_probs: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log-likelihood of hard labels, unsmoothed and unweighted.

    mean_i -log_probs[i, label_i]

    Args:
        log_probs: (N, K) float, natural logarithms of probabilities (``logits.log_softmax(-1)``).
        labels: (N,) int64 in [0, K).

    Returns:
        () float64, nats, at least 0.

    Raises:
        ValueError: where shapes differ, a label is out of range, there is no row, or the probabilities of a row do not
            sum to 1 (logits are not log-probabilities; first bad row named).

    Limits:
        certain and right gives 0; uniform gives log K.
    """
    check_predictions("log_probs", log_probs, labels)
    log_sums = log_probs.detach().double().logsumexp(1)
    bad = first_bad(~(log_sums.abs() <= sum_tolerance(log_probs)))
    if bad is not None:
        got = f"a sum of {float(log_sums[bad].exp()):g} at row {bad[0]}"
        raise fail("log_probs", "logarithms of probabilities that sum to 1", got, "take logits.log_softmax(-1)")
    return -log_probs.double().gather(1, labels.long()[:, None]).mean()
