"""The transition that an objective goes by: known, or estimated by pre-training (Patrini et al. 2017, Sec. 4)."""

from collections.abc import Callable

import torch
from torch import Tensor

from softtargets import noise
from softtargets._errors import fail
from softtargets.matrices import Transition
from softtargets.runs.objectives import CrossEntropySpec, needs_transition
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.transition_sources import EstimatedTransition

Estimator = Callable[[Tensor, Tensor, EstimatedTransition], Transition]

# tested equal to the names that a specification may hold
ESTIMATORS: dict[str, Estimator] = {
    "anchor_points": lambda probs, labels, spec: noise.anchor_points(probs, percentile=spec.percentile),
    "dual_t": lambda probs, labels, spec: noise.dual_t(probs, labels, percentile=spec.percentile),
    "confident_joint": lambda probs, labels, spec: noise.confident_joint(probs, labels).transition,
}


def pretraining(run: RunSpec) -> RunSpec | None:
    """Return the run whose predictions the transition is estimated from: the same by cross entropy; None without need.

    It is a run like any other, so that every arm and study that needs it shares one.

    Raises:
        InputError: where the labels that T is to be estimated from are clean though those of training are not.
    """
    if not isinstance(needs_transition(run.objective), EstimatedTransition):
        return None
    if run.noise is not None and "validation" not in run.noise.splits:
        required = "'validation' too, from whose labels the transition is estimated"
        raise fail("noise.splits", required, list(run.noise.splits), "add it, or take another transition")
    return run.changed(objective=CrossEntropySpec(), teachers=None)


def estimate_transition(resolved: ResolvedRun, predictions: dict[str, Tensor]) -> Transition:
    """Estimate from what the pre-trained model says of the validation split, whose labels it was not fitted to.

    Where an epoch was selected, by the observed labels of that split, its predictions are taken. Without a validation
    split those of the training split are, which memorised labels bias towards no noise.
    """
    spec = needs_transition(resolved.run.objective)
    assert isinstance(spec, EstimatedTransition)
    split = "validation" if len(predictions["validation.labels"]) else "train"
    logits = predictions.get(f"selected.{split}.logits", predictions[f"{split}.logits"])
    probs = torch.softmax(logits.double(), dim=-1)
    return ESTIMATORS[spec.estimator](probs, predictions[f"{split}.observed"], spec)
