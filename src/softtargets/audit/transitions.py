"""The transition T estimated by all estimators, with an interval of the chosen one."""

from collections.abc import Callable
from dataclasses import dataclass

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
    "that certainly belong to their class. Errors of the model are counted as noise."
)


@dataclass(frozen=True, eq=False)
class TransitionFit:
    """The estimates of T.

    Args:
        interval: the chosen estimate and its bootstrap interval.
        joint: the confident joint.
        estimates: the estimates of all estimators.
        reference: noise according to the reference labels, or None. It is used only for `distance` of the estimates.
    """

    interval: TransitionInterval
    joint: ConfidentJoint
    estimates: tuple[TransitionEstimate, ...]
    reference: ReferenceLabels | None

    @property
    def transition(self) -> Transition:
        """The chosen estimate."""
        return self.interval.estimate

    @property
    def class_prior(self) -> Tensor:
        """(K,) estimated prior of the clean classes."""
        return self.joint.class_prior


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

    def fit(self, reference: ReferenceLabels | None) -> TransitionFit:
        """Return the estimates of T after the third pass."""
        interval = self._bootstrap.interval(self._joint, CONFIDENCE)
        prior = self._joint.class_prior
        estimates = tuple(self._estimate(estimator, prior, reference) for estimator in self._order)
        return TransitionFit(interval, self._joint, estimates, reference)

    def _estimate(self, estimator: Estimator, prior: Tensor, reference: ReferenceLabels | None) -> TransitionEstimate:
        found = self._streams[estimator.name].result()
        transition = found.transition if isinstance(found, ConfidentJoint) else found
        return TransitionEstimate(
            name=estimator.name,
            label=estimator.label,
            transition=transition,
            noise_rate=float(transition.noise_rate(prior)),
            condition=transition.condition(),
            distance=tuple(transition.total_variation(reference.transition).tolist()) if reference else None,
        )


def judge_labels(reference: Tensor | None, labels: Tensor | None, num_classes: int) -> ReferenceLabels | None:
    """Return the noise of (N,) labels according to (N,) reference labels; None without them."""
    if reference is None or labels is None:
        return None
    counts = torch.bincount(reference * num_classes + labels, minlength=num_classes**2).view(num_classes, -1)
    return ReferenceLabels(float((reference != labels).double().mean()), noise.from_confusion(counts))
