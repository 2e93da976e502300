"""The transition T estimated by all estimators, with an interval of the chosen one."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets import noise
from softtargets.audit.evidence import LabelEvidence
from softtargets.audit.request import OnStage
from softtargets.audit.results import ReferenceLabels, TransitionEstimate
from softtargets.matrices import Transition
from softtargets.noise import ConfidentJoint, TransitionInterval
from softtargets.noise.estimators.registry import observed_label_estimators

CONFIDENCE = 0.95
DRAWS = 100

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


def fit_transition(evidence: LabelEvidence, *, seed: int, on_stage: OnStage) -> TransitionFit:
    """Estimate T with all estimators, and bootstrap the chosen one.

    Args:
        evidence: N labels with their predictions.
        seed: seed of the bootstrap.
        on_stage: called with the progress.
    """
    reference = _reference(evidence)
    on_stage("estimating T", 0.0)
    interval = noise.bootstrap_transition(
        evidence.probs,
        evidence.labels,
        method=CHOSEN,
        n_draws=DRAWS,
        confidence=CONFIDENCE,
        generator=torch.Generator().manual_seed(seed),
    )
    joint = noise.confident_joint(evidence.probs, evidence.labels)
    estimates = tuple(_estimates(evidence, joint.class_prior, reference, on_stage))
    return TransitionFit(interval, joint, estimates, reference)


def _reference(evidence: LabelEvidence) -> ReferenceLabels | None:
    if evidence.reference is None or evidence.wrong is None:
        return None
    size = len(evidence.class_names)
    counts = torch.bincount(evidence.reference * size + evidence.labels, minlength=size * size).view(size, size)
    return ReferenceLabels(float(evidence.wrong.double().mean()), noise.from_confusion(counts))


def _estimates(
    evidence: LabelEvidence, prior: Tensor, reference: ReferenceLabels | None, on_stage: OnStage
) -> Iterator[TransitionEstimate]:
    """Yield the estimates of all estimators."""
    # the chosen one first, those that use no labels last
    estimators = observed_label_estimators()
    order = sorted(estimators.values(), key=lambda one: (one.name != CHOSEN, not one.uses_labels))
    for done, estimator in enumerate(order, start=1):
        found = estimator(evidence.probs, evidence.labels)
        transition = found.transition if isinstance(found, ConfidentJoint) else found
        yield TransitionEstimate(
            name=estimator.name,
            label=estimator.label,
            transition=transition,
            noise_rate=float(transition.noise_rate(prior)),
            condition=transition.condition(),
            distance=tuple(transition.total_variation(reference.transition).tolist()) if reference else None,
        )
        on_stage("estimating T", done / len(estimators))
