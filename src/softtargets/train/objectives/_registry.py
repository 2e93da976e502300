"""The objectives by name."""

from collections.abc import Callable
from typing import Any

from softtargets._spec import Spec, tags
from softtargets.runs.objectives import ObjectiveSpec
from softtargets.train.objectives import _corrections, _distillation, _pairs, _per_example, _schedules, _state
from softtargets.train.objectives._protocol import Objective, Problem

# name -> how to make it; tested equal to the names that a specification may hold
OBJECTIVES: dict[str, Callable[[Any, Problem], Objective]] = {
    "cross_entropy": _per_example.cross_entropy,
    "forward": _corrections.forward,
    "backward": _corrections.backward,
    "loss_bound": _corrections.loss_bound,
    "learned_transition": _corrections.learned_transition,
    "generalized_cross_entropy": _per_example.generalized_cross_entropy,
    "symmetric_cross_entropy": _per_example.symmetric_cross_entropy,
    "active_passive": _per_example.active_passive,
    "mean_absolute_error": _per_example.mean_absolute_error,
    "focal": _per_example.focal,
    "confidence_penalty": _per_example.confidence_penalty,
    "margin_penalty": _per_example.margin_penalty,
    "bootstrapping": _per_example.bootstrapping,
    "negative_smoothing": _schedules.negative_smoothing,
    "max_suppression": _schedules.max_suppression,
    "cores": _schedules.cores,
    "peer": _pairs.peer,
    "early_learning": _state.early_learning,
    "online_smoothing": _state.online_smoothing,
    "mixup": _pairs.mixup,
    "distillation": _distillation.distillation,
}


def build_objective(spec: Spec, problem: Problem) -> Objective:
    """Make the objective that a specification names."""
    return OBJECTIVES[getattr(spec, "name")](spec, problem)  # noqa: B009  (every member of the union has a name)


def objective_names() -> set[str]:
    """Return the names that a specification may hold."""
    return set(tags(ObjectiveSpec))
