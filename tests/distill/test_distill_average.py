"""Moving average of a model: recurrence, batch normalisation, modes, checkpoints and errors."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from softtargets import distill

CLOSE: Any = {"rtol": 0, "atol": 1e-12}


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)).double()


def step(model: nn.Module) -> None:
    """Change the weights, and the statistics of batch normalisation."""
    model(torch.randn(8, 3, dtype=torch.float64))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))


def followed(decay: float, steps: int) -> tuple[Any, Any, list[torch.Tensor]]:
    model = network()
    teacher = distill.MovingAverage(model, decay=decay)
    seen = [model[0].weight.detach().clone()]
    for _ in range(steps):
        step(model)
        teacher.update(model)
        seen.append(model[0].weight.detach().clone())
    return model, teacher, seen


def test_it_is_the_geometric_sum_of_the_weights_it_saw() -> None:
    _, teacher, seen = followed(0.8, 5)
    expected = 0.8**5 * seen[0] + sum(0.2 * 0.8 ** (5 - i) * seen[i] for i in range(1, 6))
    torch.testing.assert_close(teacher.average[0].weight, expected, **CLOSE)


def test_without_decay_it_is_the_model_and_with_all_of_it_the_one_it_began_as() -> None:
    inputs = torch.randn(5, 3, dtype=torch.float64)
    model, teacher, seen = followed(0.0, 2)
    torch.testing.assert_close(teacher(inputs), model.eval()(inputs), **CLOSE)
    _, teacher, seen = followed(1.0, 2)
    assert torch.equal(teacher.average[0].weight, seen[0])


def test_the_statistics_of_batch_normalisation_are_the_models() -> None:
    model, teacher, _ = followed(0.9, 3)
    for name, buffer in model.named_buffers():
        assert torch.equal(dict(teacher.average.named_buffers())[name], buffer), name
    assert int(teacher.average[1].num_batches_tracked) == 3


def test_it_neither_learns_nor_leaves_eval_mode() -> None:
    model, teacher, _ = followed(0.9, 1)
    holder = nn.ModuleList([model, teacher]).train()
    assert model.training
    assert not any(module.training for module in teacher.modules())
    inputs = torch.randn(5, 3, dtype=torch.float64)
    before = copy.deepcopy(teacher.state_dict())
    # dropout and batch statistics are off
    assert torch.equal(teacher(inputs), teacher(inputs))
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not teacher(inputs.requires_grad_()).requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert len(list(holder.parameters())) == 2 * len(list(model.parameters()))


def test_the_model_it_follows_is_left_alone() -> None:
    model = network().train()
    before = copy.deepcopy(model.state_dict())
    teacher = distill.MovingAverage(model, decay=0.5)
    teacher.update(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_checkpoint_goes_on_as_if_never_stopped() -> None:
    model, teacher, _ = followed(0.9, 2)
    resumed = distill.MovingAverage(network(), decay=0.9)
    resumed.load_state_dict(copy.deepcopy(teacher.state_dict()))
    step(model)
    for one in (teacher, resumed):
        one.update(model)
    states = teacher.state_dict(), resumed.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_tied_weights_are_averaged_once_and_stay_tied() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    nn.init.constant_(model[0].weight, 4.0)
    teacher: Any = distill.MovingAverage(model, decay=0.75)
    nn.init.constant_(model[0].weight, 8.0)
    teacher.update(model)
    assert teacher.average[1].weight is teacher.average[0].weight
    assert teacher.average[0].weight.tolist() == [[5.0, 5.0]] * 2


def test_it_takes_and_returns_what_the_model_does() -> None:
    class Model(nn.Module):
        def forward(self, inputs: torch.Tensor, *, factor: float) -> dict[str, torch.Tensor]:
            return {"logits": factor * inputs}

    teacher = distill.MovingAverage(Model(), decay=0.5)
    assert teacher(torch.ones(2), factor=3.0)["logits"].tolist() == [3.0, 3.0]


def test_it_says_its_decay() -> None:
    assert "decay=0.99" in repr(distill.MovingAverage(nn.Linear(1, 1), decay=0.99))


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_outside_0_and_1_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"decay: in \[0, 1\]"):
        distill.MovingAverage(nn.Linear(1, 1), decay=decay)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Linear(2, 3), r"model: shape \(2, 2\) for 'weight'; got \(3, 2\)"),
        (
            nn.Linear(2, 2, bias=False),
            "model: the parameter and buffer names at construction; got no 'bias'; .* without a wrapper",
        ),
        (nn.Bilinear(2, 2, 2), "model: shape"),
        (nn.Sequential(nn.Linear(2, 2)), "got no 'weight'"),
    ],
)
def test_another_model_is_refused_and_changes_nothing(other: nn.Module, message: str) -> None:
    model = nn.Linear(2, 2)
    teacher: Any = distill.MovingAverage(model, decay=0.5)
    with pytest.raises(ValueError, match=message):
        teacher.update(other)
    assert torch.equal(teacher.average.weight, model.weight)
    assert torch.equal(teacher.average.bias, model.bias)


def test_a_parameter_that_is_new_is_refused() -> None:
    teacher = distill.MovingAverage(nn.Linear(2, 2, bias=False), decay=0.5)
    with pytest.raises(ValueError, match="got a new 'bias'"):
        teacher.update(nn.Linear(2, 2))
