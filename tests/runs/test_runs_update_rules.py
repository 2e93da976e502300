"""LARS and LAMB against their equations, step by step and by hand, and against a library where it is installed."""

import importlib.util

import pytest
import torch

from softtargets._errors import InputError
from softtargets.runs.optimization import OptimizerSpec
from softtargets.runs.update_rules import UPDATE_RULES, update_rule
from softtargets.train.optimizers import build_optimizer, set_learning_rates

RATES = (1.0, 0.5, 0.25)


def _gradients(shape: tuple[int, ...]) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=draw, dtype=torch.float64) for _ in RATES]


def _trained(settings: dict, weight: torch.Tensor) -> torch.Tensor:
    """Return the weight after one step per rate."""
    parameter = torch.nn.Parameter(weight.clone())
    optimizer = build_optimizer(OptimizerSpec.parse({"learning_rate": 0.2, **settings}), [("w", parameter)])
    for rate, gradient in zip(RATES, _gradients(tuple(weight.shape)), strict=True):
        set_learning_rates(optimizer, rate)
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def _weight(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_first_step_of_lars_by_hand() -> None:
    """|w| = 5, |g| = 2, decay 0.1: the local rate is 0.001 * 5 / (2 + 0.5) = 0.002."""
    parameter = torch.nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    spec = OptimizerSpec.parse({"name": "lars", "learning_rate": 10.0, "weight_decay": 0.1})
    optimizer = build_optimizer(spec, [("w", parameter)])
    parameter.grad = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    optimizer.step()
    expected = [3 - 10 * 0.002 * (2 + 0.3), 4 - 10 * 0.002 * 0.4]
    assert parameter.flatten().tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 2)])
def test_lars_is_algorithm_1_of_you_et_al(shape) -> None:
    """The rate of each step is inside the momentum, as in the paper, so a falling rate does not shrink old updates."""
    weight, velocity = _weight(*shape), torch.zeros(shape, dtype=torch.float64)
    for rate, gradient in zip(RATES, _gradients(shape), strict=True):
        local = 0.02 * weight.norm() / (gradient.norm() + 0.1 * weight.norm())
        velocity = 0.9 * velocity + 0.2 * rate * local * (gradient + 0.1 * weight)
        weight = weight - velocity
    found = _trained({"name": "lars", "weight_decay": 0.1, "trust_coefficient": 0.02}, _weight(*shape))
    torch.testing.assert_close(found, weight, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 2)])
def test_lamb_is_algorithm_2_of_you_et_al(shape) -> None:
    weight, mean, square = _weight(*shape), torch.zeros(shape), torch.zeros(shape)
    for step, (rate, gradient) in enumerate(zip(RATES, _gradients(shape), strict=True), 1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.98 * square + 0.02 * gradient**2
        change = mean / (1 - 0.9**step) / ((square / (1 - 0.98**step)).sqrt() + 1e-6) + 0.1 * weight
        weight = weight - 0.2 * rate * weight.norm() / change.norm() * change
    found = _trained({"name": "lamb", "weight_decay": 0.1, "second_momentum": 0.98}, _weight(*shape))
    torch.testing.assert_close(found, weight, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_vectors_are_not_adapted_and_take_the_weight_decay_of_their_group(decay) -> None:
    lamb = _trained({"name": "lamb", "weight_decay": decay}, _weight(5))
    adamw = _trained({"name": "adamw", "eps": 1e-6, "weight_decay": decay}, _weight(5))
    torch.testing.assert_close(lamb, adamw, rtol=1e-5, atol=1e-6)
    weight, velocity = _weight(5), torch.zeros(5, dtype=torch.float64)
    for rate, gradient in zip(RATES, _gradients((5,)), strict=True):
        velocity = 0.9 * velocity + 0.2 * rate * (gradient + decay * weight)
        weight = weight - velocity
    lars = _trained({"name": "lars", "weight_decay": decay}, _weight(5))
    torch.testing.assert_close(lars, weight, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["lars", "lamb"])
def test_weights_and_gradients_of_zero_are_finite(name) -> None:
    for weight in (torch.zeros(2, 2), torch.ones(2, 2)):
        parameter = torch.nn.Parameter(weight.clone())
        optimizer = build_optimizer(OptimizerSpec.parse({"name": name}), [("w", parameter)])
        for gradient in (torch.zeros(2, 2), torch.ones(2, 2)):
            parameter.grad = gradient
            optimizer.step()
        assert bool(parameter.isfinite().all())
        assert not torch.equal(parameter.detach(), weight), "the second gradient moved the weights"


@pytest.mark.skipif(importlib.util.find_spec("pytorch_optimizer") is None, reason="pytorch-optimizer is not installed")
def test_a_library_takes_the_same_steps_of_lars_at_a_constant_rate() -> None:
    library = importlib.import_module("pytorch_optimizer")
    parameters = [[torch.nn.Parameter(_weight(*shape)) for shape in ((4, 3), (3, 2, 2, 2))] for _ in range(2)]
    spec = OptimizerSpec.parse({"name": "lars", "learning_rate": 0.2, "weight_decay": 0.1})
    ours = build_optimizer(spec, zip("ab", parameters[0], strict=True))
    theirs = library.LARS(parameters[1], lr=0.2, weight_decay=0.1)
    for step in range(3):
        for members in parameters:
            for place, parameter in enumerate(members):
                parameter.grad = _gradients(tuple(parameter.shape))[step] * (place + 1)
        ours.step()
        theirs.step()
    for one, other in zip(*parameters, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": "larss"}, "got 'larss'; did you mean 'lars'?"),
        ({"trust_coefficient": 0.1}, "trust_coefficient: not given with sgd; got 0.1; drop it or use lars"),
        ({"name": "lars", "eps": 0.1}, "eps: not given with lars; got 0.1; drop it or use adamw or adam or rmsprop"),
        ({"name": "lamb", "nesterov": True}, "nesterov: false with lamb; got True; drop it or use sgd"),
    ],
)
def test_settings_that_do_not_belong_to_a_rule_are_refused(settings, text) -> None:
    with pytest.raises(InputError) as caught:
        OptimizerSpec.parse(settings)
    assert text in str(caught.value)


def test_a_name_is_taken_once() -> None:
    with pytest.raises(InputError, match="a name that is not registered yet; got 'lars'"):
        update_rule("lars")(UPDATE_RULES["sgd"].update)
