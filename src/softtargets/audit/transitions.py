"""The transition T estimated by all estimators, with an interval of the chosen one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from softtargets import noise
from softtargets.audit.results import ReferenceLabels, TransitionEstimate
from softtargets.matrices import Transition
from softtargets.noise import ConfidentJoint, TransitionInterval
from softtargets.noise.estimators.registry import Estimator, streamed_estimators
from softtargets.noise.streaming.blocks import LabelledBlock
from softtargets.noise.streaming.bootstrap import ConfidentBootstrap
from softtargets.noise.streaming.columns import ColumnRanks

CONFIDENCE = 0.95
DRAWS = 100
# Rows of a draw.
MAX_ROWS = 50_000

CHOSEN = "confident_joint"
CHOSEN_BECAUSE = (
    "It is used in every audit because, unlike the others, it requires neither calibrated probabilities nor examples "
    "that certainly belong to their class. It counts errors of the model as noise, so its wrong labels are scaled to "
    "the estimated noise rate."
)


@dataclass(frozen=True, eq=False)
class TransitionFit:
    """The estimates of T.

    Args:
        interval: the chosen estimate and its bootstrap interval, scaled to the estimated noise rate.
        class_prior: (K,) estimated prior of the clean classes.
        estimates: the estimates of all estimators.
        reference: noise according to the reference labels, or None. It is used only for `distance` of the estimates.
    """

    interval: TransitionInterval
    class_prior: Tensor
    estimates: tuple[TransitionEstimate, ...]
    reference: ReferenceLabels | None

    @property
    def transition(self) -> Transition:
        """The chosen estimate."""
        return self.interval.estimate


class TransitionPasses:
    """All estimators of T, fed with blocks of rows in three passes.

    Args:
        num_classes: number of classes.
        seed: seed of the bootstrap.
    """

    def __init__(self, num_classes: int, seed: int) -> None:
        estimators = streamed_estimators().values()
        # the chosen one first, those that use no labels last
        self._order = sorted(estimators, key=lambda one: (one.name != CHOSEN, not one.uses_labels))
        self._ranks = ColumnRanks(num_classes)
        self._streams = {one.name: one.streamed(num_classes, self._ranks) for one in self._order}
        self._seed = seed

    def first(self, block: LabelledBlock) -> None:
        """Add a block of the first pass."""
        self._ranks.count(block)
        for stream in self._streams.values():
            stream.first(block)

    def begin_second(self, class_counts: Tensor, labels: Callable[[], Tensor]) -> None:
        """Prepare the second pass.

        Args:
            class_counts: (K,) int64, numbers of labels.
            labels: returns all labels; called only if a class is rare.
        """
        for stream in self._streams.values():
            stream.begin_second(class_counts)
        generator = torch.Generator().manual_seed(self._seed)
        self._bootstrap = ConfidentBootstrap(
            class_counts, labels, n_draws=DRAWS, max_rows=MAX_ROWS, generator=generator
        )

    def second(self, block: LabelledBlock) -> None:
        """Add a block of the second pass."""
        self._ranks.collect(block)
        self._bootstrap.sum(block)
        for stream in self._streams.values():
            stream.second(block)

    def begin_third(self) -> ConfidentJoint:
        """Prepare the third pass; return the confident joint, which is known after the second."""
        for stream in self._streams.values():
            stream.begin_third()
        self._bootstrap.begin_counts()
        found = self._streams[CHOSEN].result()
        assert isinstance(found, ConfidentJoint)
        self._joint = found
        return found

    def third(self, block: LabelledBlock) -> None:
        """Add a block of the third pass."""
        self._bootstrap.count(block)
        for stream in self._streams.values():
            stream.third(block)

    def fit(self, rate: float, reference: ReferenceLabels | None) -> TransitionFit:
        """Return the estimates of T after the third pass; the chosen one is scaled to the noise rate."""
        found = self._bootstrap.interval(self._joint, CONFIDENCE)
        interval, prior = scale_to_rate(found, self._joint.joint, rate)
        chosen, *others = (self._estimate(estimator, prior, reference) for estimator in self._order)
        chosen = _judged(replace(chosen, noise_rate=rate), interval.estimate, reference)
        return TransitionFit(interval, prior, (chosen, *others), reference)

    def _estimate(self, estimator: Estimator, prior: Tensor, reference: ReferenceLabels | None) -> TransitionEstimate:
        found = self._streams[estimator.name].result()
        transition = found.transition if isinstance(found, ConfidentJoint) else found
        rate = float(transition.noise_rate(prior))
        estimate = TransitionEstimate(estimator.name, estimator.label, transition, rate, condition=1.0)
        return _judged(estimate, transition, reference)


def _judged(
    estimate: TransitionEstimate, transition: Transition, reference: ReferenceLabels | None
) -> TransitionEstimate:
    """Return an estimate with this transition, its condition number and its distance to the reference."""
    distance = tuple(transition.total_variation(reference.transition).tolist()) if reference else None
    return replace(estimate, transition=transition, condition=transition.condition(), distance=distance)


def scale_to_rate(found: TransitionInterval, joint: Tensor, rate: float) -> tuple[TransitionInterval, Tensor]:
    """Scale the wrong labels of a joint distribution such that their share is the noise rate.

    The frequencies of the observed labels stay the same.

    Args:
        found: estimate of T with its interval.
        joint: (K, K) float64, P(clean, observed).
        rate: noise rate.

    Returns:
        The scaled estimate with its interval, and the prior of the clean classes, (K,) float64.
    """
    wrong = joint.clone().fill_diagonal_(0)
    columns = joint.sum(0)
    factor = rate / max(float(wrong.sum()), 1e-300)
    # a label may be wrong for nearly all, but not for all, of its examples
    shares = (factor * wrong.sum(0)).minimum(0.99 * columns) / wrong.sum(0).clamp(min=1e-300)
    wrong = wrong * shares
    scaled = wrong.diagonal_scatter(columns - wrong.sum(0))
    estimate = noise.from_confusion(scaled, keep_empty=True)
    matrix, before = estimate.to_dense(), found.estimate.to_dense()
    low, high = ((matrix + min(factor, 1.0) * (end - before)).clamp(0, 1) for end in (found.low, found.high))
    ends = {"estimate": estimate, "low": low.minimum(matrix), "high": high.maximum(matrix), "noise_rate": rate}
    return replace(found, **ends), scaled.sum(1)


def judge_labels(reference: Tensor | None, labels: Tensor | None, num_classes: int) -> ReferenceLabels | None:
    """Return the noise of (N,) labels according to (N,) reference labels; None without them."""
    if reference is None or labels is None:
        return None
    counts = torch.bincount(reference * num_classes + labels, minlength=num_classes**2).view(num_classes, -1)
    return ReferenceLabels(float((reference != labels).double().mean()), noise.from_confusion(counts))
