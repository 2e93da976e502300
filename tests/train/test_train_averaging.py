"""The running average of weights during training."""

import torch
from torch import nn

from softtargets.runs.training import TrainingSpec
from softtargets.train.averaging import average_of


def test_the_average_starts_with_the_weights_after_the_first_step() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = average_of(model, TrainingSpec(epochs=1, average_decay=0.75))
    assert average is not None
    found = []
    for weight in (4.0, 8.0, 16.0):
        nn.init.constant_(model.weight, weight)
        average.update_parameters(model)
        found.append(average(torch.ones(1, 1)).item())
    assert found == [4.0, 5.0, 7.75]
