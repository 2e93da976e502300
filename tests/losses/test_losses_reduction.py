"""The one reduction: weights, normalisers, and what it refuses."""

import math

import pytest
import torch
from torch import Tensor

from softtargets import losses, targets
from softtargets.losses.reduction import upstream

VALUES = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
WEIGHT = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)


def test_numbers_by_hand() -> None:
    assert float(losses.reduce(VALUES)) == pytest.approx(7 / 3)
    assert float(losses.reduce(VALUES, "sum")) == 7
    assert losses.reduce(VALUES, "none").tolist() == [1, 2, 4]
    assert float(losses.reduce(VALUES, weight=WEIGHT)) == (1 + 12) / 4
    assert float(losses.reduce(VALUES, "sum", weight=WEIGHT)) == 13
    assert losses.reduce(VALUES, "none", weight=WEIGHT).tolist() == [1, 0, 12]
    assert float(losses.reduce(VALUES, normalizer=2)) == 3.5
    assert float(losses.reduce(VALUES, weight=WEIGHT, normalizer=torch.tensor(26.0))) == 0.5


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_weight_of_0_hides_a_loss_that_is_not_finite(reduction: str) -> None:
    values = torch.tensor([1.0, math.inf, math.nan, 3.0], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    result = losses.reduce(values, reduction, weight=weight)  # pyright: ignore[reportArgumentType]
    (gradient,) = torch.autograd.grad(result.sum(), values)
    assert gradient[1:3].tolist() == [0, 0]
    assert bool(result.isfinite().all())


@pytest.mark.parametrize("normalizer", [None, 0, torch.tensor(0.0)])
def test_trap_05_nothing_to_average_is_0_with_gradient_0(normalizer: float | Tensor | None) -> None:
    values = VALUES.clone().requires_grad_()
    mean = losses.reduce(values, weight=torch.zeros(3), normalizer=normalizer)
    assert float(mean.detach()) == 0
    assert torch.autograd.grad(mean, values)[0].tolist() == [0, 0, 0]
    assert float(losses.reduce(torch.zeros(0))) == 0


@pytest.mark.parametrize("normalizer", [7.0, torch.tensor(7.0)])
def test_trap_13_with_a_normalizer_micro_batches_add_up_to_the_batch(normalizer: float | Tensor) -> None:
    values = torch.arange(7, dtype=torch.float64)
    parts = sum(losses.reduce(values[rows], normalizer=normalizer) for rows in (slice(0, 2), slice(2, 3), slice(3, 7)))
    assert float(parts) == pytest.approx(float(losses.reduce(values)))
    unequal = (losses.reduce(values[:2]) + losses.reduce(values[2:])) / 2
    assert abs(float(unequal - losses.reduce(values))) > 0.1, "the mean of means is another number"


def test_trap_02_the_weighted_mean_is_the_same_for_index_and_one_hot_targets() -> None:
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 1])
    weight = torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64)[labels]
    index = losses.reduce(losses.cross_entropy(logits, labels), weight=weight)
    one_hot = targets.dense(torch.eye(3, dtype=torch.float64)[labels])
    assert float(losses.reduce(losses.cross_entropy(logits, one_hot), weight=weight)) == pytest.approx(float(index))
    table = torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64)
    assert float(index) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels, weight=table)))


def test_gradcheck() -> None:
    values, weight = VALUES.clone().requires_grad_(), torch.tensor([1.0, 0.5, 3.0]).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v, w: losses.reduce(v, weight=w), (values, weight))
    assert torch.autograd.gradcheck(lambda v: losses.reduce(v, normalizer=torch.tensor(4.0).double()), values)


@pytest.mark.parametrize("weight", [torch.tensor([True, False, True]), torch.tensor([1, 0, 1])])
def test_masks_are_weights(weight: Tensor) -> None:
    assert float(losses.reduce(VALUES, weight=weight)) == 2.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reduction": "avg"}, "reduction: one of mean, sum, none; got 'avg'"),
        ({"reduction": "means"}, r"got 'means'; did you mean 'mean'\?"),
        ({"reduction": "sum", "normalizer": 3}, "normalizer: None unless reduction='mean'; got 3; divide the result"),
        (
            {"normalizer": -2},
            "normalizer: positive, or 0 if nothing is counted; got -2; pass the number of examples",
        ),
        ({"normalizer": math.nan}, "normalizer: positive, or 0 if nothing is counted; got nan"),
        ({"normalizer": torch.tensor(math.nan)}, "normalizer: positive, or 0 if nothing is counted; got nan"),
        ({"weight": torch.ones(3, 1)}, r"weight: shape \(3,\); got \(3, 1\); give one weight per example"),
        ({"weight": torch.tensor([1.0, -2.0, 1.0])}, "weight: at least 0; got -2 at row 1"),
        ({"weight": torch.tensor([1.0, 1.0, math.nan])}, "weight: at least 0; got nan at row 2"),
    ],
)
def test_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.reduce(VALUES, **arguments)


@pytest.mark.parametrize("normalizer", [0, 0.0, torch.tensor(0.0)])
def test_nothing_counted_leaves_the_gradient_known_ahead_finite(normalizer: float | Tensor) -> None:
    ahead = upstream(VALUES, "mean", normalizer=normalizer)
    assert ahead is not None
    assert bool(ahead.isfinite().all())
