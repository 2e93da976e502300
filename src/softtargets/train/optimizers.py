"""Optimisers with settings per parameter group, and learning-rate schedules."""

import math
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from softtargets._errors import unknown
from softtargets.runs.spec import GroupSpec, OptimizerSpec, ScheduleSpec

OBJECTIVE = "objective."
NamedParameters = Iterable[tuple[str, torch.nn.Parameter]]
State = dict[str, Tensor]


class Optimizer:
    """SGD or AdamW, as fused updates of groups of parameters.

    The arithmetic is torch's. The classes of torch.optim are not used: the first one that is constructed imports
    torch's compiler, which takes a second in every process, and their hooks take as long as the fused update of a
    small network.

    Args:
        spec: which optimiser, and its settings.
        groups: each with its "params", learning rate "lr" and "weight_decay".
    """

    def __init__(self, spec: OptimizerSpec, groups: list[dict[str, Any]]) -> None:
        self.spec, self.param_groups = spec, groups
        self._state: dict[torch.nn.Parameter, State] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        update = self._adamw if self.spec.name == "adamw" else self._sgd
        for group in self.param_groups:
            ready = [parameter for parameter in group["params"] if parameter.grad is not None]
            # torch initialises the momentum of all parameters of a call, or of none
            for members in (
                [parameter for parameter in ready if parameter in self._state],
                [parameter for parameter in ready if parameter not in self._state],
            ):
                if members:
                    update(members, [parameter.grad for parameter in members], group)

    def _sgd(self, parameters: list[Any], gradients: list[Any], group: dict[str, Any]) -> None:
        buffers: list[Tensor | None] = [self._state.get(parameter, {}).get("momentum") for parameter in parameters]
        sgd(
            parameters,
            gradients,
            buffers,
            fused=True,
            weight_decay=group["weight_decay"],
            momentum=self.spec.momentum,
            lr=group["lr"],
            dampening=self.spec.dampening,
            nesterov=self.spec.nesterov,
            maximize=False,
        )
        for parameter, buffer in zip(parameters, buffers, strict=True):
            if buffer is not None:
                self._state[parameter] = {"momentum": buffer}

    def _adamw(self, parameters: list[Any], gradients: list[Any], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if parameter not in self._state:
                steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
                mean, square = torch.zeros_like(parameter), torch.zeros_like(parameter)
                self._state[parameter] = {"steps": steps, "mean": mean, "square": square}
        states = [self._state[parameter] for parameter in parameters]
        adamw(
            parameters,
            gradients,
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["steps"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=self.spec.momentum,
            beta2=0.999,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )

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


def schedule_factor(spec: ScheduleSpec, step: int, total: int) -> float:
    """Return the factor on the learning rate of step `step`, from 0, of `total`.

    constant: 1; step: factor ** (milestones passed); linear: 1 - step/total; cosine: (1 + cos(pi step/total)) / 2.
    During warm-up it is also multiplied by a factor that rises linearly from 1/warmup_steps to 1.

    Example:
        >>> [schedule_factor(ScheduleSpec(name="step", milestones=(0.5,)), step, 4) for step in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """
    share = step / total
    match spec.name:
        case "step":
            factor = spec.factor ** sum(share >= milestone for milestone in spec.milestones)
        case "linear":
            factor = 1 - share
        case "cosine":
            factor = (1 + math.cos(math.pi * share)) / 2
        case _:
            factor = 1.0
    if step < spec.warmup_steps:
        factor *= (step + 1) / spec.warmup_steps
    return factor


def set_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
