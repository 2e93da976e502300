"""Estimates for each class, and the pairs of classes with the most wrong labels."""

from collections.abc import Iterator

import torch
from torch import Tensor

from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.results import ClassAudit, Confusion
from softtargets.audit.transitions import TransitionFit

MOST_CONFUSED = 20


def audit_classes(fit: TransitionFit, class_counts: Tensor, suspect_labels: Tensor) -> Iterator[ClassAudit]:
    """Yield the estimates for each class.

    Args:
        fit: T and the class prior.
        class_counts: (K,) int64, numbers of the audited labels.
        suspect_labels: (M,) int64, the suspect labels among them.
    """
    matrix, prior = fit.transition.to_dense(), fit.class_prior
    size = len(matrix)
    joint = prior[:, None] * matrix
    observed, num_labels = class_counts.tolist(), int(class_counts.sum())
    suspected = torch.bincount(suspect_labels, minlength=size).tolist()
    for k in range(size):
        labelled = float(joint[:, k].sum())
        yield ClassAudit(
            observed=observed[k],
            clean=float(prior[k]) * num_labels,
            wrong=1 - float(joint[k, k]) / labelled if labelled > 0 else 0.0,
            lost=1 - float(matrix[k, k]),
            suspects=suspected[k],
        )


def find_confusions(fit: TransitionFit, num_labels: int) -> Iterator[Confusion]:
    """Yield the pairs of classes with the most wrong labels, in descending order.

    The intervals do not include the uncertainty of the class prior.
    """
    prior, interval = fit.class_prior, fit.interval
    matrices = (interval.estimate.to_dense(), interval.low, interval.high)
    counts, low, high = (prior[:, None] * matrix * num_labels for matrix in matrices)
    counts = counts.clone().fill_diagonal_(0)
    for place in counts.flatten().argsort(descending=True, stable=True)[:MOST_CONFUSED].tolist():
        clean, observed = divmod(place, len(prior))
        if round(float(counts[clean, observed])) > 0:
            ends = [float(values[clean, observed]) for values in (counts, low, high)]
            yield Confusion(clean, observed, IntervalEstimate(*ends))
