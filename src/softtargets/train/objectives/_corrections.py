"""Objectives that know, or learn, how labels went wrong."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from softtargets import losses, nn, noise, targets
from softtargets._errors import fail
from softtargets.losses import reduce
from softtargets.matrices import Transition
from softtargets.runs.objectives import BackwardSpec, Correction, ForwardSpec, LearnedTransitionSpec, LossBoundSpec
from softtargets.runs.transition_sources import SymmetricTransition, TransitionSource
from softtargets.train.objectives._protocol import Batch, Objective, Problem


class Corrected(Objective):
    """A loss of logits and labels, and a risk, made for a transition; None where a bound is given in its place."""

    def __init__(
        self,
        transition: Transition | None,
        loss: Callable[[Tensor, Tensor], Tensor],
        risk: Callable[[Tensor], Tensor] = reduce,
    ) -> None:
        self._transition, self._loss, self._risk = transition, loss, risk

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._loss(logits, batch.labels)

    def risk(self, losses: Tensor) -> Tensor:
        return self._risk(losses)

    def transition(self) -> Tensor | None:
        return None if self._transition is None else self._transition.to_dense()


class LearnedTransition(Objective):
    """Forward correction by a transition that is learned with the model (Li et al. 2021)."""

    def __init__(self, module: nn.VolMinNet) -> None:
        self._module = module

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._module(logits, batch.labels)

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self._module.named_parameters()

    def transition(self) -> Tensor:
        return self._module.transition().detach()

    def state_dict(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self._module.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._module.load_state_dict(state)


def forward(spec: ForwardSpec, problem: Problem) -> Objective:
    transition = _corrected(spec, problem)
    return Corrected(
        transition, lambda logits, labels: losses.forward_corrected_cross_entropy(logits, labels, transition)
    )


def backward(spec: BackwardSpec, problem: Problem) -> Objective:
    transition = _corrected(spec, problem)
    inverse = transition.inverse()
    return Corrected(
        transition, lambda logits, labels: losses.cross_entropy(logits, targets.from_table(inverse, labels))
    )


def loss_bound(spec: LossBoundSpec, problem: Problem) -> Objective:
    transition, bound = None, spec.bound
    if bound is None:
        transition = transition_from(spec.transition, problem)
        bound = float(losses.entropy_bound(transition))
    return Corrected(transition, losses.cross_entropy, partial(losses.loss_bound, bound=bound))


def learned_transition(spec: LearnedTransitionSpec, problem: Problem) -> Objective:
    module = nn.VolMinNet(problem.num_classes, weight=spec.weight, initial=spec.initial)
    return LearnedTransition(module.to(problem.device))


def _corrected(spec: Correction, problem: Problem) -> Transition:
    if spec.noise_rate is not None:
        return noise.symmetric(spec.noise_rate, problem.num_classes, inclusive=spec.inclusive)
    return transition_from(spec.transition, problem)


def transition_from(source: TransitionSource | None, problem: Problem) -> Transition:
    """Return the transition of a specification: made here where it is symmetric, else handed over, on the device."""
    if isinstance(source, SymmetricTransition):
        return noise.symmetric(source.rate, problem.num_classes, inclusive=source.inclusive)
    given = problem.transition
    if given is None:
        required = "a transition from whoever makes the objective, for one that is known or estimated"
        raise fail("objective.transition", required, "none", "pass Problem(transition=...)")
    if given.num_classes != problem.num_classes:
        required = f"{problem.num_classes} classes, as the data set"
        raise fail("objective.transition", required, given.num_classes, "pass the transition of this data set")
    parts = {"matrix": given.matrix, "others": given.others, "shares": given.shares}
    return replace(given, **{name: part.to(problem.device) for name, part in parts.items() if part is not None})
