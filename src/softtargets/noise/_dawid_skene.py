"""The error rate of every annotator, and the classes that their labels imply (Dawid & Skene 1979)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_count, first_bad
from softtargets._errors import fail
from softtargets._results import TensorResult
from softtargets.noise._annotator_labels import check_confidence, percentiles, read_annotators, resampled, vote_counts

__all__ = ["AnnotatorModel", "dawid_skene"]

# EM ends when the log-likelihood changes by less than this in nats per label.
_TOLERANCE = 1e-8
# Added to every cell of a confusion matrix, so that no class becomes impossible (a Dirichlet prior).
_PSEUDO_COUNT = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class AnnotatorModel(TensorResult):
    """The annotators as estimated by :func:`dawid_skene`.

    Args:
        confusion: (A, K, K) float64, row = true class, column = label that the annotator gives; rows sum to 1.
        error_rate: (A,) float64, estimated share of wrong labels of each annotator among the labels that it gave.
        error_interval: (A, 2) float64, bootstrap interval of the error rate.
        prior: (K,) float64, frequencies of the true classes.
        posterior: (N, K) float64, probability of each true class given all labels of an item. It can be used as soft
            labels.
        labels: (N,) int64, the most likely class.
        counts: (A,) int64, number of labels of each annotator.
        log_likelihood: () float64, nats, of all labels under the model.
        iterations: number of iterations of EM.
        converged: whether EM ended before the largest number of iterations.
    """

    confusion: Tensor
    error_rate: Tensor
    error_interval: Tensor
    prior: Tensor
    posterior: Tensor
    labels: Tensor
    counts: Tensor
    log_likelihood: Tensor
    iterations: int
    converged: bool


@array_function
def dawid_skene(
    labels: ArrayLike,
    *,
    num_classes: int | None = None,
    missing: int = -1,
    max_iter: int = 200,
    n_draws: int = 100,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> AnnotatorModel:
    """Error rate and confusion of every annotator, and the true classes, without any true label (Dawid & Skene 1979).

    P(labels of item i) = sum_k prior_k prod_a confusion_a[k, label_ia]

    EM starts from the shares of votes of each item and maximises the likelihood over the prior and the confusion of
    every annotator. The error rate of an annotator is the mean probability that its label is not the true class,
    over the items that it labelled. Intervals resample items with all of their labels, with EM restarted from the
    estimate.

    Args:
        labels: (N, A) integers, the label of each annotator for each item, `missing` where there is none.
        num_classes: K. Default: the largest label plus 1, at least 2.
        missing: stands for no label.
        max_iter: largest number of iterations of EM.
        n_draws: number of bootstrap draws of the intervals.
        confidence: nominal coverage of the intervals, in (0, 1).
        generator: random generator of the draws. Default: torch's global one.

    Returns:
        AnnotatorModel.

    Raises:
        ValueError: if labels are not of shape (N, A) with A >= 2, a label is out of range (first bad row named), an
            item or an annotator has no label, or a number is out of range.
        TypeError: if labels are not integers.

    Special cases:
        equal labels for every item give error rates of about 0 and these labels.

    Limitations:
        Annotators are assumed to err independently given the true class. Shared mistakes, for example on items that
        are hard for everyone, are taken for the truth, and the error rates are then too low. At least three annotators
        are needed: with two, only their disagreement is determined.

    Aliases:
        Dawid-Skene; crowd labels; confusion matrices of annotators; get_label_quality_multiannotator; label model;
        crowdkit DawidSkene

    Example:
        >>> true = torch.arange(300) % 3
        >>> wrong = torch.where(torch.arange(300) % 10 == 0, (true + 1) % 3, true)  # one annotator errs on 30 items
        >>> labels = torch.stack([true, true, wrong], 1)
        >>> found = dawid_skene(labels, n_draws=20, generator=torch.Generator().manual_seed(0))
        >>> found.error_rate.round(decimals=3).tolist(), bool((found.labels == true).all())
        ([0.0, 0.0, 0.1], True)
    """
    given, num_classes = read_annotators(labels, num_classes, missing)
    check_count("max_iter", max_iter, remedy="200 is usual")
    check_count("n_draws", n_draws, remedy="100 is usual")
    check_confidence(confidence)
    counts = vote_counts(given, num_classes)
    _check_every(counts.sum(1), "item")
    _check_every((given >= 0).sum(0), "annotator")
    # equal rows of labels have one posterior: items are counted by their pattern
    patterns, place, weight = given.unique(dim=0, return_inverse=True, return_counts=True)
    onehot = _one_hot(patterns, num_classes)
    start = vote_counts(patterns, num_classes)
    start = start / start.sum(1, keepdim=True)
    fit = _maximised(onehot, weight.double(), start, max_iter)
    rates = _error_rates(onehot, weight.double(), fit.posterior)
    spread = [
        _error_rates(onehot, again, _maximised(onehot, again, fit.posterior, max_iter).posterior)
        for again in resampled(place, len(patterns), n_draws, generator)
    ]
    return AnnotatorModel(
        confusion=fit.confusion,
        error_rate=rates,
        error_interval=percentiles(torch.stack(spread), confidence).T.contiguous(),
        prior=fit.prior,
        posterior=fit.posterior[place],
        labels=fit.posterior.max(1).indices[place],
        counts=(given >= 0).sum(0),
        log_likelihood=fit.log_likelihood,
        iterations=fit.iterations,
        converged=fit.converged,
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    confusion: Tensor
    prior: Tensor
    posterior: Tensor
    log_likelihood: Tensor
    iterations: int
    converged: bool


def _maximised(onehot: Tensor, weight: Tensor, posterior: Tensor, max_iter: int) -> _Fit:
    """Run EM from (P, K) posteriors of P patterns of labels, (P, A, K) one-hot, that occur (P,) `weight` times."""
    last, step, labels = -torch.inf, 0, float((weight[:, None, None] * onehot).sum())
    while True:
        step += 1
        weighted = posterior * weight[:, None]
        prior = (weighted.sum(0) + _PSEUDO_COUNT) / (weighted.sum() + _PSEUDO_COUNT * posterior.shape[1])
        confusion = torch.einsum("pk,pal->akl", weighted, onehot) + _PSEUDO_COUNT
        confusion = confusion / confusion.sum(2, keepdim=True)
        scores = prior.log() + torch.einsum("pal,akl->pk", onehot, confusion.log())
        posterior = scores.softmax(1)
        total = (weight * scores.logsumexp(1)).sum()
        converged = abs(float(total) - last) <= _TOLERANCE * labels
        if converged or step == max_iter:
            return _Fit(confusion, prior, posterior, total, step, converged)
        last = float(total)


def _error_rates(onehot: Tensor, weight: Tensor, posterior: Tensor) -> Tensor:
    """Return the share of wrong labels of every annotator, (A,); NaN without labels."""
    right = torch.einsum("p,pk,pak->a", weight, posterior, onehot)
    return (1 - right / torch.einsum("p,pal->a", weight, onehot)).clamp(min=0)


def _one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return (P, A, K) float64 from (P, A) labels; zeros where there is no label."""
    return torch.nn.functional.one_hot(labels + 1, num_classes + 1)[..., 1:].double()


def _check_every(counts: Tensor, noun: str) -> None:
    index = first_bad(counts == 0)
    if index is not None:
        place = "row" if noun == "item" else "column"
        raise fail("labels", f"a label of every {noun}", f"none in {place} {index[0]}", f"drop that {place}")
