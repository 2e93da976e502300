"""Optimisers with settings per parameter group, and learning-rate schedules."""

import math
from collections.abc import Iterable
from fnmatch import fnmatchcase

import torch

from softtargets._errors import unknown
from softtargets.runs.spec import GroupSpec, OptimizerSpec, ScheduleSpec

OBJECTIVE = "objective."
NamedParameters = Iterable[tuple[str, torch.nn.Parameter]]


def build_optimizer(spec: OptimizerSpec, named_parameters: NamedParameters) -> torch.optim.Optimizer:
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
    if spec.name == "adamw":
        return torch.optim.AdamW(groups, betas=(spec.momentum, 0.999))
    return torch.optim.SGD(
        groups, lr=spec.learning_rate, momentum=spec.momentum, dampening=spec.dampening, nesterov=spec.nesterov
    )


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


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
