"""Neural collapse: by hand, by matrices of full size, its limits and what it does not depend on."""

import math
from dataclasses import astuple

import pytest
import torch
from reference import geometry
from torch import Tensor

from softtargets.analysis import NeuralCollapse, neural_collapse

N, K, D = 24, 4, 6
LABELS = torch.arange(N) % K


def _draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


FEATURES = _draw(N, D, seed=0) + 2 * _draw(K, D, seed=1)[LABELS]
WEIGHT, BIAS = _draw(K, D, seed=2) + _draw(K, D, seed=1), _draw(K, seed=3)


def _rotation(width: int) -> Tensor:
    return torch.linalg.qr(_draw(width, width, seed=4))[0]


def _values(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None = None) -> list[float]:
    return [float(value) for value in astuple(neural_collapse(features, labels, weight, bias=bias))]


def _simplex() -> Tensor:
    """Corners of a regular simplex, turned in D dimensions."""
    corners = torch.eye(K, dtype=torch.float64) - 1 / K
    return torch.cat([corners, corners.new_zeros(K, D - K)], 1) @ _rotation(D)


def test_by_hand() -> None:
    # means (3, 0), (-1, 0), (-2, 0) about (0, 0): lengths 3, 1, 2; cosines -1, -1, 1 where -1/2 would be regular
    features = torch.tensor([[3.0, 1.0], [3.0, -1.0], [-1.0, 0.0], [-2.0, 3.0], [-2.0, -3.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2, 2])
    weight = torch.tensor([[3.0, 0.0], [-1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    # within lies across between; class 1 is given to 2 by the weight: -1 * -1 < -2 * -1, yet its own mean is nearest
    expected = [0, 1 / 2, (1 / 2 + 1 / 2 + 3 / 2) / 3, 0, 1 / 5]
    assert _values(features, labels, weight) == pytest.approx(expected, abs=1e-15)


def test_variation_along_the_means_by_hand() -> None:
    # S_W = 1 along the axis, S_B = 4: 1/4 over K = 2
    features = torch.tensor([[3.0], [1.0], [-1.0], [-3.0]])
    found = neural_collapse(features, torch.tensor([0, 0, 1, 1]), torch.tensor([[1.0], [-1.0]]))
    assert float(found.nc1) == pytest.approx(1 / 8, abs=1e-15)


def test_agrees_with_matrices_of_full_size() -> None:
    expected = geometry.neural_collapse(FEATURES.numpy(), LABELS.numpy(), WEIGHT.numpy(), BIAS.numpy())
    assert _values(FEATURES, LABELS, WEIGHT, BIAS) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected[4] < 1


@pytest.mark.parametrize("width", [1, 2, 3])
def test_agrees_where_there_are_fewer_columns_than_classes(width: int) -> None:
    features, weight = FEATURES[:, :width], WEIGHT[:, :width]
    expected = geometry.neural_collapse(features.numpy(), LABELS.numpy(), weight.numpy(), BIAS.numpy())
    assert _values(features, LABELS, weight, BIAS) == pytest.approx(expected, abs=1e-10)


def test_agrees_where_classes_differ_in_size() -> None:
    kept = torch.tensor([0, 1, 2, 3, 4, 8, 12, 16, 7, 11])
    features, labels = FEATURES[kept], LABELS[kept]
    expected = geometry.neural_collapse(features.numpy(), labels.numpy(), WEIGHT.numpy(), BIAS.numpy())
    assert _values(features, labels, WEIGHT, BIAS) == pytest.approx(expected, abs=1e-12)


def test_complete_collapse_is_0() -> None:
    corners = _simplex()
    assert _values(5 * corners[LABELS] + 3, LABELS, corners, -corners.sum(1) * 3) == pytest.approx([0] * 5, abs=1e-13)


def test_each_sign_alone() -> None:
    corners = _simplex()
    wide = corners[LABELS] + 0.01 * _draw(N, D, seed=5)
    assert _values(wide, LABELS, corners)[0] > 1e-5
    uneven = corners.clone()
    uneven[0] *= 2
    assert _values(uneven[LABELS], LABELS, uneven)[1] > 0.1
    bent = _draw(K, D, seed=6)
    assert _values(bent[LABELS], LABELS, bent)[2] > 0.1
    # the weight of other classes: the largest distance is that of the opposite, 4
    swapped = _values(corners[LABELS], LABELS, corners.roll(1, 0))
    assert swapped[3] == pytest.approx(2 + 2 / (K - 1), abs=1e-13)
    assert swapped[4] == 1
    assert _values(corners[LABELS], LABELS, -corners)[3] == pytest.approx(4, abs=1e-13)


def test_the_bias_has_its_part_in_the_prediction_alone() -> None:
    corners = _simplex()
    pushed = _values(corners[LABELS], LABELS, corners, torch.tensor([9.0, 0.0, 0.0, 0.0]))
    assert pushed[4] == pytest.approx(3 / 4)
    assert pushed[:4] == pytest.approx([0] * 4, abs=1e-13)


def test_scale_and_rotation_change_nothing() -> None:
    plain = _values(FEATURES, LABELS, WEIGHT, BIAS)
    assert _values(FEATURES, LABELS, 7 * WEIGHT, 7 * BIAS) == pytest.approx(plain, abs=1e-12)
    turned = _rotation(D)
    assert _values(FEATURES @ turned, LABELS, WEIGHT @ turned, BIAS) == pytest.approx(plain, abs=1e-12)
    # the bias does not grow with the features
    scaled = _values(100 * FEATURES, LABELS, WEIGHT)
    assert scaled == pytest.approx(_values(FEATURES, LABELS, WEIGHT), abs=1e-12)


def test_the_order_of_classes_changes_nothing() -> None:
    order = torch.tensor([2, 0, 3, 1])
    back = order.argsort()
    found = _values(FEATURES, back[LABELS], WEIGHT[order], BIAS[order])
    assert found == pytest.approx(_values(FEATURES, LABELS, WEIGHT, BIAS), abs=1e-12)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _values(FEATURES, LABELS, WEIGHT, BIAS)
    monkeypatch.setattr("softtargets.analysis._features.CHUNK", 5 * D)
    assert _values(FEATURES, LABELS, WEIGHT, BIAS) == pytest.approx(whole, abs=1e-14)


def test_far_from_0_the_same_is_found() -> None:
    assert _values(FEATURES + 1000, LABELS, WEIGHT, BIAS)[:4] == pytest.approx(
        _values(FEATURES, LABELS, WEIGHT)[:4], 1e-9
    )
    # means on a line, examples off it: one direction between classes, whatever is left by rounding
    line = torch.arange(K, dtype=torch.float64)[LABELS, None] * torch.ones(D) + _draw(N, D, seed=8)
    line -= torch.stack([line[LABELS.eq(k)].mean(0) - k for k in range(K)])[LABELS]
    near = _values(line, LABELS, WEIGHT)[0]
    assert near == pytest.approx(float((line.mean(1) - LABELS).square().mean()) / (5 / 4) / K, abs=1e-12)
    assert _values(line + 1000, LABELS, WEIGHT)[0] == pytest.approx(near, abs=1e-9)


def test_single_precision_is_computed_in_float64() -> None:
    single = [FEATURES.float(), LABELS, WEIGHT.float(), BIAS.float()]
    double = [value.double() if value.is_floating_point() else value for value in single]
    assert _values(*single) == _values(*double)


def test_parameters_are_taken_as_they_come() -> None:
    layer = torch.nn.Linear(D, K).double()
    found = neural_collapse(FEATURES, LABELS, layer.weight, bias=layer.bias)
    assert isinstance(found, NeuralCollapse)
    assert not found.nc3.requires_grad
    assert not found.nc4.requires_grad


def test_a_mean_in_the_middle_has_no_angle() -> None:
    features = torch.tensor([[-1.0], [0.0], [1.0]])
    found = neural_collapse(features, torch.tensor([0, 1, 2]), features)
    assert found.nc2_angles.isnan()
    assert float(found.nc1) == 0


def test_a_weight_of_0_has_no_direction() -> None:
    found = neural_collapse(FEATURES, LABELS, torch.zeros_like(WEIGHT), bias=BIAS)
    assert found.nc3.isnan()
    assert found.nc1.isfinite()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_last_layer_that_is_not_finite_is_refused(value: float) -> None:
    weight, bias = WEIGHT.clone(), BIAS.clone()
    weight[1, 2] = bias[3] = value
    with pytest.raises(ValueError, match=rf"weight: finite values; got {value} at index \(1, 2\)"):
        neural_collapse(FEATURES, LABELS, weight)
    with pytest.raises(ValueError, match=rf"bias: finite values; got {value} at row 3"):
        neural_collapse(FEATURES, LABELS, WEIGHT, bias=bias)


@pytest.mark.parametrize("scale", [1e-170, 1e170])
def test_squares_that_vanish_or_overflow_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=r"features: numbers of which the largest is between 1e-120 and 1e\+120"):
        neural_collapse(scale * FEATURES, LABELS, WEIGHT)
    with pytest.raises(ValueError, match=r"weight: numbers of which the largest is between"):
        neural_collapse(FEATURES, LABELS, scale * WEIGHT)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"labels: an example of each of the 4 classes; got none of class 3"):
        neural_collapse(FEATURES, LABELS.clamp(max=2), WEIGHT)
    with pytest.raises(ValueError, match=r"features: class means that differ; got the same mean for all"):
        neural_collapse(torch.full((N, D), 0.1), LABELS, WEIGHT)
    with pytest.raises(ValueError, match=r"weight: 6 columns, as the features; got 5"):
        neural_collapse(FEATURES, LABELS, WEIGHT[:, :5])
    with pytest.raises(ValueError, match=r"bias: shape \(4,\); got \(3,\)"):
        neural_collapse(FEATURES, LABELS, WEIGHT, bias=BIAS[:3])
    with pytest.raises(ValueError, match=r"labels: .*below 3.*; got 3 at row 3"):
        neural_collapse(FEATURES, LABELS, WEIGHT[:3])
    with pytest.raises(ValueError, match=r"weight: shape \(K, D\) with K >= 2; got \(6,\)"):
        neural_collapse(FEATURES, LABELS, WEIGHT[0])
