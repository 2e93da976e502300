"""VolMinNet: a transition that is learned together with the network."""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import PrivateAttr
from torch import Tensor

from softtargets import nn
from softtargets._spec import NonNegative
from softtargets.objectives.context import Batch, ObjectiveContext
from softtargets.objectives.objective import Objective, objective


@objective("learned_transition")
class LearnedTransition(Objective):
    """VolMinNet: forward correction by a learned transition (Li et al. 2021).

    To optimiser groups its scores are `objective.scores`.
    """

    weight: NonNegative = 1e-4
    initial: float = -2.0
    _module: nn.VolMinNet = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        module = nn.VolMinNet(context.num_classes, weight=self.weight, initial=self.initial)
        self._module = module.to(context.device)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return self._module(logits, batch.labels)

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield from self._module.named_parameters()

    def current_transition(self) -> Tensor:
        return self._module.transition().detach()

    def state_dict(self) -> dict[str, Any]:
        return {name: value.clone() for name, value in self._module.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._module.load_state_dict(state)
