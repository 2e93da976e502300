"""Whether training without the suspects helps: a paired check by nested cross-validation on the audited labels.

The rows are divided into five groups. For each group, two models are fitted to the other four: one to all of their
rows, one without the rows whose labels are probably wrong. Both predict the labels of the group. Which labels are
probably wrong is estimated without the group: by models that were fitted to three groups and predict the fourth.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.folds import fold_of
from softtargets.audit.ranking import probability_wrong
from softtargets.audit.results import PairedCheck
from softtargets.metrics.statistics import paired_t

GROUPS = 5
# With fewer rows, a group has fewer than 20 and the interval says nothing.
LEAST_ROWS = 100
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Refit:
    """Fits the audited model to other rows.

    Args:
        fit: for each pair of rows, fits the model to the first and yields its predictions of the second, (n, K).
        labels: (N,) int64, the audited labels, to which models are fitted.
        folds, seed: of the cross-validation, as :func:`fold_of` takes them.
        seconds: time that the cross-validation took.
    """

    fit: Callable[[Sequence[tuple[Tensor, Tensor]]], Iterator[Tensor]]
    labels: Tensor
    folds: int
    seed: int
    seconds: float

    @property
    def check_seconds(self) -> float:
        """Estimated time of :func:`check_dropping`, for a model whose time is proportional to the rows."""
        fits = GROUPS * (GROUPS - 1) / 2 * (GROUPS - 2) / GROUPS + (GROUPS - 1) * (1 if self.folds == GROUPS else 2)
        return self.seconds * fits / (self.folds - 1)


def check_dropping(
    refit: Refit,
    probs: Tensor,
    *,
    dropped_from: float,
    on_done: Callable[[float], None] = lambda share: None,
) -> PairedCheck:
    """Compare training without the suspects with training on all rows, on rows that neither has seen.

    Args:
        refit: fits models and predicts.
        probs: (N, K) held-out predictions of the cross-validation; used if it had five folds.
        dropped_from: labels that are wrong with at least this probability are left out.
        on_done: called with the finished share of the fits.

    Returns:
        PairedCheck, whose interval is a paired t interval over the rows. It does not contain the variation between
        other training sets.

    Raises:
        RunsFailedError: a model cannot be fitted.

    Complexity:
        10 fits to three fifths of the rows and 5 to four fifths; 5 more if the cross-validation did not have 5 folds.

    References:
        Varma and Simon, "Bias in error estimation when using cross-validation for model selection", 2006, on why the
        suspects of a group must not be found with its labels.
    """
    labels, seed = refit.labels, refit.seed
    groups = fold_of(len(labels), GROUPS, seed)
    nested = _nested(refit, groups, probs.shape[1], lambda done: on_done(done / 2))
    rests = [groups.ne(group).nonzero()[:, 0] for group in range(GROUPS)]
    tests = [groups.eq(group).nonzero()[:, 0] for group in range(GROUPS)]
    left = [
        rest[probability_wrong(own, labels[rest], seed) < dropped_from] for rest, own in zip(rests, nested, strict=True)
    ]
    without = _agreements(refit, left, tests)
    on_done(0.75)
    if refit.folds == GROUPS:
        all_rows = (probs.argmax(1) == labels).double()
    else:
        all_rows = _agreements(refit, rests, tests)
    on_done(1.0)
    differences, size = without - all_rows, len(labels)
    mean = float(differences.mean())
    ends = paired_t(mean, float(differences.std()) / size**0.5, size, LEVEL)
    dropped = 1 - sum(map(len, left)) / sum(map(len, rests))
    return PairedCheck(IntervalEstimate(mean, *ends), float(all_rows.mean()), dropped, size)


def _nested(refit: Refit, groups: Tensor, num_classes: int, on_done: Callable[[float], None]) -> list[Tensor]:
    """Return, for each group, predictions of the rows of the other groups by models that have seen neither.

    One model for each pair of groups predicts both, so that each model is used twice.
    """
    pairs = list(combinations(range(GROUPS), 2))
    out = [groups.eq(first) | groups.eq(second) for first, second in pairs]
    sets = [((~some).nonzero()[:, 0], some.nonzero()[:, 0]) for some in out]
    nested = [torch.empty(len(groups), num_classes) for _ in range(GROUPS)]
    for done, ((first, second), (_, both), probs) in enumerate(zip(pairs, sets, refit.fit(sets), strict=True), 1):
        of_first = groups[both] == first
        nested[first][both[~of_first]] = probs[~of_first]
        nested[second][both[of_first]] = probs[of_first]
        on_done(done / len(pairs))
    return [probs[groups != group] for group, probs in enumerate(nested)]


def _agreements(refit: Refit, fitted: Sequence[Tensor], tests: Sequence[Tensor]) -> Tensor:
    """Return whether each label is predicted by the model of its group, (N,) float64."""
    right = torch.empty(len(refit.labels), dtype=torch.float64)
    found = refit.fit(list(zip(fitted, tests, strict=True)))
    for rows, probs in zip(tests, found, strict=True):
        right[rows] = (probs.argmax(1) == refit.labels[rows]).double()
    return right
