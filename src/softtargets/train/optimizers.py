"""Optimisers with settings per parameter group."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import unknown
from softtargets.runs.optimization import GroupSpec, OptimizerSpec
from softtargets.runs.update_rules import UPDATE_RULES, State

OBJECTIVE = "objective."
NamedParameters = Iterable[tuple[str, torch.nn.Parameter]]


class Optimizer:
    """The update rule of a specification, applied to groups of parameters.

    Args:
        spec: which rule, and its settings.
        groups: each with its "params", learning rate "lr" and "weight_decay".
    """

    def __init__(self, spec: OptimizerSpec, groups: list[dict[str, Any]]) -> None:
        self.param_groups = groups
        self._update, self._settings = UPDATE_RULES[spec.name].update, spec.settings()
        self._state: dict[torch.nn.Parameter, State] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            ready = [parameter for parameter in group["params"] if parameter.grad is not None]
            # torch initialises the momentum of all parameters of a call, or of none
            for members in (
                [parameter for parameter in ready if self._state.get(parameter)],
                [parameter for parameter in ready if not self._state.get(parameter)],
            ):
                if members:
                    gradients = [parameter.grad for parameter in members]
                    states = [self._state.setdefault(parameter, {}) for parameter in members]
                    self._update(members, gradients, states, group, self._settings)

    def state_dict(self) -> list[State | None]:
        """Return the state of each parameter, in the order of the groups; None before its first update."""
        return [self._state.get(parameter) for parameter in self._parameters()]

    def load_state_dict(self, states: list[State | None]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self._state = {
            parameter: {name: _placed(value, parameter) for name, value in state.items()}
            for parameter, state in zip(self._parameters(), states, strict=True)
            if state is not None
        }

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def _placed(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a copy on the parameter's device and with its strides, which fused updates assume without a check."""
    if value.shape != parameter.shape:
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter).copy_(value)


def build_optimizer(spec: OptimizerSpec, named_parameters: NamedParameters) -> Optimizer:
    """Build the optimiser. Parameters with the same settings share a group, which stores its `base_rate`.

    Raises:
        InputError: if a group's pattern matches no parameter, naming the nearest one. A pattern that begins with
            "objective." may match none.
    """
    named = list(named_parameters)
    for group in spec.groups:
        # the arms of a study share one optimiser, and most objectives have no parameters
        if not group.match.startswith(OBJECTIVE) and not any(fnmatchcase(name, group.match) for name, _ in named):
            raise unknown("optimizer.groups.match", group.match, [name for name, _ in named])
    settings: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in named:
        settings.setdefault(_settings(spec, name), []).append(parameter)
    groups = [
        {"params": members, "lr": rate, "base_rate": rate, "weight_decay": decay}
        for (rate, decay), members in settings.items()
    ]
    return Optimizer(spec, groups)


def _settings(spec: OptimizerSpec, name: str) -> tuple[float, float]:
    found = next((group for group in spec.groups if fnmatchcase(name, group.match)), GroupSpec(match="*"))
    rate = spec.learning_rate if found.learning_rate is None else found.learning_rate
    return rate, spec.weight_decay if found.weight_decay is None else found.weight_decay


def set_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
