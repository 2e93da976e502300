"""Any loss of a linear layer: the numbers of the two in turn, in chunks."""

from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets import losses, targets
from softtargets.losses import linear_loss

SHAPE, H, K = (3, 5), 4, 7
GENERATOR = torch.Generator().manual_seed(1)
HIDDEN = torch.randn(*SHAPE, H, generator=GENERATOR, dtype=torch.float64)
WEIGHT = torch.randn(K, H, generator=GENERATOR, dtype=torch.float64)
BIAS = torch.randn(K, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(K, SHAPE, generator=GENERATOR)
LABELS[1, 2] = -100
EACH = torch.rand(SHAPE, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize(
    ("function", "given", "settings"),
    [
        (losses.focal_loss, LABELS, {"gamma": 1.5}),
        (losses.max_suppression_loss, LABELS, {"smoothing": 0.2}),
        (losses.generalized_cross_entropy, LABELS, {}),
        (losses.cross_entropy, targets.smooth(LABELS, 0.2), {}),
        (losses.ghost_cross_entropy, targets.top_k(torch.randn(*SHAPE, K).log_softmax(-1), k=2, residual="drop"), {}),
    ],
)
@pytest.mark.parametrize("chunk", [None, 1, 4])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_values_and_gradients_are_those_of_the_two_in_turn(
    function: Any, given: Any, settings: dict[str, Any], chunk: int | None, reduction: Any
) -> None:
    results: list[list[Tensor]] = [[], []]
    mask = EACH > 0.2
    for place, result in enumerate(results):
        layer = [one.clone().requires_grad_() for one in (HIDDEN, WEIGHT, BIAS)]
        if place:
            logits = torch.nn.functional.linear(*layer)
            value = function(logits, given, mask=mask, reduction=reduction, **settings)
        else:
            shared: dict[str, Any] = {"bias": layer[2], "chunk": chunk, "mask": mask, "reduction": reduction}
            value = linear_loss(function, layer[0], layer[1], given, **shared, **settings)
        upstream = EACH if reduction == "none" else torch.tensor(0.7, dtype=torch.float64)
        result += [value, *torch.autograd.grad(value, layer, upstream)]
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_what_needs_no_gradient_gets_none() -> None:
    weight = WEIGHT.clone().requires_grad_()
    linear_loss(losses.focal_loss, HIDDEN, weight, LABELS, reduction="sum").backward()
    assert weight.grad is not None
    assert not linear_loss(losses.focal_loss, HIDDEN, WEIGHT, LABELS).requires_grad


def test_a_parameter_within_the_loss_is_refused() -> None:
    table = torch.full((K, K), 1 / K, dtype=torch.float64).requires_grad_()
    with pytest.raises(ValueError, match=r"^function: a loss without parameters; got one that requires a gradient"):
        linear_loss(losses.forward_corrected_cross_entropy, HIDDEN, WEIGHT, LABELS, transition=table)


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        ("focal", {}, r"^function: a loss of softtargets.losses; got 'focal'; pass the function"),
        (torch.nn.functional.cross_entropy, {}, r"^function: a loss of softtargets.losses; got cross_entropy; give it"),
        (losses.focal_loss, {"gama": 2.0}, r"^hyper_parameters: one of gamma.*did you mean 'gamma'"),
        (losses.focal_loss, {"chunk": 0}, r"^chunk: at least 1; got 0"),
        (losses.focal_loss, {"mask": EACH}, r"^mask: a bool tensor"),
    ],
)
def test_bad_input_is_named(function: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        linear_loss(function, HIDDEN, WEIGHT, LABELS, **settings)
