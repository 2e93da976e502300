"""Update rules of optimisers: functional updates of groups of parameters, registered by the name that selects them.

The arithmetic is torch's where torch has the rule, through the functions below the classes of torch.optim. The classes
are not used: the first one that is constructed imports torch's compiler, which takes a second in every process, and
their hooks take as long as the fused update of a small network.

LARS and LAMB are written here. The maintained library of optimisers, pytorch-optimizer 4.1, builds on torch.optim's
classes and takes two seconds to import. Its LARS multiplies the whole momentum by the current learning rate, where the
paper adds up updates that were multiplied by the rate of their own step, and it ignores the weight decay of vectors.
Its LAMB does not correct the bias of the running means and applies weight decay outside the adapted rate.
"""

# pyright: reportPrivateImportUsage=false
# torch._foreach_* are the fused operations that torch.optim is written in

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam
from torch.optim.adamw import adamw as torch_adamw
from torch.optim.rmsprop import rmsprop as torch_rmsprop
from torch.optim.sgd import sgd as torch_sgd

from softtargets._errors import fail

State = dict[str, Tensor]


@dataclass(frozen=True)
class Settings:
    """The settings that all groups of an optimiser share.

    Args:
        momentum: decay of the running mean of gradients (beta1 of Adam).
        dampening: of SGD's momentum.
        nesterov: whether SGD uses Nesterov momentum.
        second_momentum: decay of the running mean of squared gradients (beta2 of Adam, alpha of RMSProp).
        eps: added to the root of that mean.
        trust_coefficient: eta of LARS.
    """

    momentum: float
    dampening: float = 0.0
    nesterov: bool = False
    second_momentum: float = 0.999
    eps: float = 1e-8
    trust_coefficient: float = 0.001


class Update(Protocol):
    """Updates parameters in place, and their states, which are empty dictionaries before the first update."""

    def __call__(
        self, parameters: list[Tensor], gradients: list[Tensor], states: list[State], group: Any, settings: Settings
    ) -> None: ...


@dataclass(frozen=True)
class UpdateRule:
    """An update with the settings that it uses besides the momentum, and the defaults of those that are its own."""

    update: Update
    uses: frozenset[str]
    defaults: Mapping[str, float] = field(default_factory=dict)


UPDATE_RULES: dict[str, UpdateRule] = {}


def update_rule(name: str, *uses: str, **defaults: float) -> Callable[[Update], Update]:
    """Register the decorated function as the rule that ``optimizer.name`` selects.

    Args:
        name: of the rule.
        uses: the settings that it uses and whose default is that of :class:`Settings`.
        defaults: the settings that it uses, with its own defaults.
    """

    def add(update: Update) -> Update:
        if name in UPDATE_RULES:
            raise fail("name", "a name that is not registered yet", f"'{name}'", "choose another")
        UPDATE_RULES[name] = UpdateRule(update, frozenset((*uses, *defaults)), defaults)
        return update

    return add


@update_rule("sgd", "dampening", "nesterov")
def sgd(parameters: list[Tensor], gradients: list[Tensor], states: list[State], group: Any, settings: Settings) -> None:
    """SGD with momentum, dampening and Nesterov momentum; weight decay is added to the gradient."""
    buffers: list[Tensor | None] = [state.get("momentum") for state in states]
    torch_sgd(
        parameters,
        gradients,
        buffers,
        fused=True,
        weight_decay=group["weight_decay"],
        momentum=settings.momentum,
        lr=group["lr"],
        dampening=settings.dampening,
        nesterov=settings.nesterov,
        maximize=False,
    )
    for state, buffer in zip(states, buffers, strict=True):
        if buffer is not None:
            state["momentum"] = buffer


@update_rule("adamw", "second_momentum", "eps")
def adamw(
    parameters: list[Tensor], gradients: list[Tensor], states: list[State], group: Any, settings: Settings
) -> None:
    """Adam with decoupled weight decay."""
    _adam_like(torch_adamw, parameters, gradients, states, group, settings)


@update_rule("adam", "second_momentum", "eps")
def adam(
    parameters: list[Tensor], gradients: list[Tensor], states: list[State], group: Any, settings: Settings
) -> None:
    """Adam; weight decay is added to the gradient."""
    _adam_like(torch_adam, parameters, gradients, states, group, settings)


def _adam_like(
    function: Callable[..., None],
    parameters: list[Tensor],
    gradients: list[Tensor],
    states: list[State],
    group: Any,
    settings: Settings,
) -> None:
    _start_moments(parameters, states)
    function(
        parameters,
        gradients,
        [state["mean"] for state in states],
        [state["square"] for state in states],
        [],
        [state["steps"] for state in states],
        fused=True,
        amsgrad=False,
        beta1=settings.momentum,
        beta2=settings.second_momentum,
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=settings.eps,
        maximize=False,
    )


@update_rule("rmsprop", "eps", second_momentum=0.99)
def rmsprop(
    parameters: list[Tensor], gradients: list[Tensor], states: list[State], group: Any, settings: Settings
) -> None:
    """RMSProp with momentum, as in torch; weight decay is added to the gradient."""
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["steps"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["square"] = torch.zeros_like(parameter)
            if settings.momentum > 0:
                state["momentum"] = torch.zeros_like(parameter)
    torch_rmsprop(
        parameters,
        gradients,
        [state["square"] for state in states],
        [],
        [state["momentum"] for state in states] if settings.momentum > 0 else [],
        [state["steps"] for state in states],
        foreach=True,
        lr=group["lr"],
        alpha=settings.second_momentum,
        eps=settings.eps,
        weight_decay=group["weight_decay"],
        momentum=settings.momentum,
        centered=False,
    )


@update_rule("lars", "trust_coefficient")
def lars(
    parameters: list[Tensor], gradients: list[Tensor], states: list[State], group: Any, settings: Settings
) -> None:
    """Layer-wise adaptive rate scaling (You et al. 2017, Algorithm 1).

    local = trust_coefficient |w| / (|g| + weight_decay |w|)
    v <- momentum v + lr local (g + weight_decay w)
    w <- w - v

    `local` is 1 for parameters with at most one dimension (biases and the parameters of normalisation) and where a norm
    is 0.
    """
    decay = group["weight_decay"]
    changes = torch._foreach_add(gradients, parameters, alpha=decay)
    ratios = _norm_ratios(parameters, gradients, decay)
    torch._foreach_mul_(changes, [_adapted(p, ratio, settings) for p, ratio in zip(parameters, ratios, strict=True)])
    torch._foreach_mul_(changes, group["lr"])
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
    velocities = [state["momentum"] for state in states]
    torch._foreach_mul_(velocities, settings.momentum)
    torch._foreach_add_(velocities, changes)
    torch._foreach_sub_(parameters, velocities)


def _norm_ratios(parameters: list[Tensor], gradients: list[Tensor], decay: float) -> list[Tensor]:
    """Return |w| / (|g| + decay |w|) of each parameter, NaN or infinite where the denominator is 0."""
    sizes, slopes = (torch.stack(torch._foreach_norm(tensors)) for tensors in (parameters, gradients))
    return list((sizes / (slopes + decay * sizes)).unbind())


def _adapted(parameter: Tensor, ratio: Tensor, settings: Settings) -> Tensor:
    if parameter.ndim <= 1:
        return torch.ones_like(ratio)
    usable = ratio.isfinite() & (ratio > 0)
    return torch.where(usable, settings.trust_coefficient * ratio, 1.0)


@update_rule("lamb", "second_momentum", eps=1e-6)
def lamb(
    parameters: list[Tensor], gradients: list[Tensor], states: list[State], group: Any, settings: Settings
) -> None:
    """LAMB: Adam with a layer-wise learning rate (You et al. 2020, Algorithm 2).

    u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay w
    w <- w - lr |w| / |u| u

    |w| / |u| is 1 for parameters with at most one dimension, and where a norm is 0.
    """
    _start_moments(parameters, states)
    beta1, beta2 = settings.momentum, settings.second_momentum
    torch._foreach_add_([state["steps"] for state in states], 1.0)
    means, squares = [state["mean"] for state in states], [state["square"] for state in states]
    torch._foreach_lerp_(means, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    steps = [float(state["steps"]) for state in states]
    changes = torch._foreach_div(means, [1 - beta1**step for step in steps])
    roots = torch._foreach_div(squares, [1 - beta2**step for step in steps])
    torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, settings.eps)
    torch._foreach_div_(changes, roots)
    torch._foreach_add_(changes, parameters, alpha=group["weight_decay"])
    for parameter, change in zip(parameters, changes, strict=True):
        if parameter.ndim > 1:
            ratio = parameter.norm() / change.norm()
            change.mul_(torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0))
    torch._foreach_add_(parameters, changes, alpha=-group["lr"])


def _start_moments(parameters: list[Tensor], states: list[State]) -> None:
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["steps"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
