"""Müller's projection and Shen's distances: by hand, by numpy, and what they do not depend on."""

import sys
from dataclasses import astuple

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from torch import Tensor

from softtargets.analysis import ClusterDistances, Projection, cluster_distances, projection

N, K, D = 40, 5, 7
LABELS = torch.arange(N) % K


def _draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


FEATURES, WEIGHT, BIAS = _draw(N, D, seed=0), _draw(K, D, seed=1), _draw(K, seed=2)
CLASSES = (3, 0, 4)


def _rotation(width: int) -> Tensor:
    return torch.linalg.qr(_draw(width, width, seed=3))[0]


def test_by_hand() -> None:
    # templates on the corners of a 3-4-5 triangle, in the plane of the first and third axis, a at (1, 9, 1)
    weight = torch.tensor([[1.0, 9.0, 1.0], [4.0, 9.0, 1.0], [1.0, 9.0, -3.0], [0.0, 0.0, 0.0]])
    features = torch.tensor([[2.0, 5.0, 0.0], [7.0, 7.0, 7.0], [-1.0, 0.0, 4.0]])
    found = projection(features, torch.tensor([2, 3, 0]), weight, classes=(0, 1, 2))
    assert isinstance(found, Projection)
    assert found.basis.tolist() == [[1, 0, 0], [0, 0, -1]]  # c lies on the positive side
    assert found.templates.tolist() == [[1, -1], [4, -1], [1, 3]]
    assert found.points.tolist() == [[2, 0], [-1, -4]]
    assert found.labels.tolist() == [2, 0]


def test_the_basis_is_one_and_its_signs_are_those_promised() -> None:
    found = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES)
    torch.testing.assert_close(found.basis @ found.basis.T, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-15)
    a, b, c = found.templates
    assert b[0] > a[0]
    assert float(b[1]) == pytest.approx(float(a[1]), abs=1e-14)
    assert c[1] > a[1]


def test_agrees_with_the_singular_vectors_of_the_plane() -> None:
    found = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES)
    templates = WEIGHT[list(CLASSES)].numpy()
    _, _, rows = np.linalg.svd(templates - templates.mean(0))
    plane = rows[:2].T @ rows[:2]
    np.testing.assert_allclose((found.basis.T @ found.basis).numpy(), plane, rtol=0, atol=1e-14)
    kept = np.isin(LABELS.numpy(), CLASSES)
    projected = FEATURES.numpy()[kept] @ plane
    np.testing.assert_allclose((found.points @ found.basis).numpy(), projected, rtol=0, atol=1e-14)


def test_distances_in_the_plane_are_kept() -> None:
    found = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES)
    torch.testing.assert_close(
        torch.cdist(found.templates, found.templates),
        torch.cdist(WEIGHT[list(CLASSES)], WEIGHT[list(CLASSES)]),
        rtol=0,
        atol=1e-6,
    )


def test_a_template_falls_on_itself() -> None:
    found = projection(WEIGHT[list(CLASSES)], torch.tensor(CLASSES), WEIGHT, classes=CLASSES)
    torch.testing.assert_close(found.points, found.templates, rtol=0, atol=1e-14)


def test_what_is_orthogonal_to_the_plane_is_not_seen() -> None:
    plain = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES)
    aside = _draw(D, seed=5)
    aside -= plain.basis.T @ (plain.basis @ aside)
    moved = projection(FEATURES + 10 * aside, LABELS, WEIGHT, classes=CLASSES)
    torch.testing.assert_close(moved.points, plain.points, rtol=0, atol=1e-13)


def test_rotating_features_and_weight_changes_nothing() -> None:
    plain = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES)
    turned = projection(FEATURES @ _rotation(D), LABELS, WEIGHT @ _rotation(D), classes=CLASSES)
    torch.testing.assert_close(turned.points, plain.points, rtol=0, atol=1e-13)


def test_reproduces_exactly_and_up_to_signs_in_another_order_of_classes() -> None:
    plain = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES)
    again = projection(FEATURES.clone(), LABELS.clone(), WEIGHT.clone(), classes=CLASSES)
    assert torch.equal(again.points, plain.points)
    # b and a exchanged: the first axis the other way round
    a, b, c = CLASSES
    other = projection(FEATURES, LABELS, WEIGHT, classes=(b, a, c))
    torch.testing.assert_close(other.points * torch.tensor([-1.0, 1.0]), plain.points, rtol=0, atol=1e-13)


def test_training_and_validation_share_the_axes() -> None:
    first = projection(FEATURES[:20], LABELS[:20], WEIGHT, classes=CLASSES)
    second = projection(FEATURES[20:], LABELS[20:], WEIGHT, classes=CLASSES)
    whole = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES)
    assert torch.equal(first.basis, second.basis)
    torch.testing.assert_close(torch.cat([first.points, second.points]), whole.points, rtol=0, atol=1e-14)


def test_the_bias_is_one_more_weight() -> None:
    ones = FEATURES.new_ones(N, 1)
    beside = projection(torch.cat([FEATURES, ones], 1), LABELS, torch.cat([WEIGHT, BIAS[:, None]], 1), classes=CLASSES)
    found = projection(FEATURES, LABELS, WEIGHT, classes=CLASSES, bias=BIAS)
    assert found.basis.shape == (2, D + 1)
    for left, right in zip(astuple(found), astuple(beside), strict=True):
        assert torch.equal(left, right)


def test_single_precision_and_parameters_are_projected_in_float64() -> None:
    layer = torch.nn.Linear(D, K)
    found = projection(FEATURES.half(), LABELS, layer.weight, classes=CLASSES, bias=layer.bias)
    assert found.points.dtype == found.basis.dtype == torch.float64
    assert not found.points.requires_grad


def test_templates_nearly_on_a_line_still_have_an_orthonormal_basis() -> None:
    weight = WEIGHT.clone()
    weight[4] = (weight[3] + weight[0]) / 2 + 1e-5 * _draw(D, seed=6)
    found = projection(FEATURES, LABELS, weight, classes=CLASSES)
    torch.testing.assert_close(found.basis @ found.basis.T, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-15)


def test_projection_errors() -> None:
    line = torch.tensor([[0.1, 0.1], [0.3, 0.3], [0.7, 0.7]])
    with pytest.raises(ValueError, match=r"weight: templates that span a plane; got three on a line"):
        projection(torch.ones(1, 2), torch.tensor([0]), line, classes=(0, 1, 2))
    for points in ([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0]], [[1.0, 1.0], [0.0, 2.0], [1.0, 1.0]], [[1.0, 1.0]] * 3):
        with pytest.raises(ValueError, match="three on a line"):
            projection(torch.ones(1, 2), torch.tensor([0]), torch.tensor(points), classes=(0, 1, 2))
    with pytest.raises(ValueError, match=r"classes: 3 different classes; got \(0, 1, 1\)"):
        projection(FEATURES, LABELS, WEIGHT, classes=(0, 1, 1))
    with pytest.raises(ValueError, match=r"classes: .*below 5.*; got 5 at row 2"):
        projection(FEATURES, LABELS, WEIGHT, classes=(0, 1, 5))
    with pytest.raises(ValueError, match=r"weight: 7 columns, as the features; got 6"):
        projection(FEATURES, LABELS, WEIGHT[:, 1:], classes=CLASSES)


def _clusters() -> tuple[Tensor, Tensor]:
    """200 examples of three classes about (-1, 0), (1, 0) and (0, 5), in two more dimensions without meaning."""
    labels = torch.arange(200) % 4
    centers = torch.tensor(
        [[-1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0], [99.0, 99.0, 99.0, 99.0]]
    )
    return centers[labels] + 0.3 * _draw(200, 4, seed=7), labels


def _distances(features: Tensor, labels: Tensor) -> list[float]:
    return [float(value) for value in astuple(cluster_distances(features, labels, similar=(0, 1), different=2))]


def test_distances_by_hand() -> None:
    features = torch.tensor([[-2.0, 0.0], [0.0, 0.0], [1.0, 2.0], [1.0, -2.0], [0.0, 3.0], [0.0, 7.0], [0.0, 5.0]])
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2])
    found = cluster_distances(features, labels, similar=(0, 1), different=2, quantile=0)
    # centroids (-1, 0), (1, 0), (0, 5): mean squares 1, 4 and 8/3
    assert [float(found.d1), float(found.d2), float(found.dc)] == [3, 7, 2]
    assert float(found.spread) == pytest.approx((1 + 4 + 8 / 3) ** 0.5 / 3**0.5, abs=1e-15)
    quarter = cluster_distances(features, labels, similar=(1, 0), different=2, quantile=0.25)
    assert [float(quarter.d1), float(quarter.d2)] == [4, 6]


def test_distances_agree_with_numpy() -> None:
    features, labels = _clusters()
    x, y = features.numpy(), labels.numpy()
    means = [x[y == k].mean(0) for k in range(3)]
    away = np.linalg.norm(x[y == 2] - (means[0] + means[1]) / 2, axis=1)
    spread = np.mean([((x[y == k] - means[k]) ** 2).sum(1).mean() for k in range(3)]) ** 0.5
    expected = [np.quantile(away, 0.05), np.quantile(away, 0.95), np.linalg.norm(means[0] - means[1]), spread]
    assert _distances(features, labels) == pytest.approx(expected, abs=1e-13)


def test_a_rigid_motion_changes_no_distance_and_a_scale_none_over_the_spread() -> None:
    features, labels = _clusters()
    plain = _distances(features, labels)
    assert _distances(features @ _rotation(4) + 3, labels) == pytest.approx(plain, abs=1e-12)
    assert _distances(100 * features, labels) == pytest.approx([100 * value for value in plain], abs=1e-10)
    small, large = (cluster_distances(s * features, labels, similar=(0, 1), different=2).over_spread for s in (1, 100))
    assert [float(v) for v in astuple(large)] == pytest.approx([float(v) for v in astuple(small)], abs=1e-12)
    assert float(small.dc) == pytest.approx(plain[2] / plain[3], abs=1e-13)
    assert float(small.spread) == 1


def test_similar_classes_change_places() -> None:
    features, labels = _clusters()
    swapped = cluster_distances(features, labels, similar=(1, 0), different=2)
    assert [float(value) for value in astuple(swapped)] == pytest.approx(_distances(features, labels), abs=1e-14)


def test_what_the_figure_shows() -> None:
    # tighter clusters with the similar ones further apart: d1 comes near d2, dc grows
    features, labels = _clusters()
    centers = torch.stack([features[labels == k].mean(0) for k in range(4)])
    tight = centers[labels] + 0.2 * (features - centers[labels])
    tight[:, 0] += labels.eq(1) * 1.0 - labels.eq(0) * 1.0
    broad, smoothed = (cluster_distances(x, labels, similar=(0, 1), different=2) for x in (features, tight))
    assert smoothed.d1 / smoothed.d2 > broad.d1 / broad.d2
    assert smoothed.dc > broad.dc
    assert smoothed.over_spread.dc > 5 * broad.over_spread.dc


def test_limits_of_the_quantile_and_of_points() -> None:
    features, labels = _clusters()
    median = cluster_distances(features, labels, similar=(0, 1), different=2, quantile=0.5)
    assert median.d1 == median.d2
    points = cluster_distances(
        torch.tensor([[0.0], [2.0], [9.0], [9.0]]), torch.tensor([0, 1, 2, 2]), similar=(0, 1), different=2
    )
    assert [float(value) for value in astuple(points)] == [8, 8, 2, 0]
    assert points.over_spread.dc.isinf()


def test_it_takes_what_the_projection_gives() -> None:
    features, labels = _clusters()
    found = projection(features, labels, _draw(4, 4, seed=8), classes=(0, 1, 2))
    distances = cluster_distances(found.points, found.labels, similar=(0, 1), different=2)
    assert isinstance(distances, ClusterDistances)
    # a projection shortens
    assert distances.dc <= cluster_distances(features, labels, similar=(0, 1), different=2).dc


def test_narrow_labels_are_not_wrapped_around() -> None:
    features, labels = _clusters()
    narrow = labels.to(torch.uint8)
    assert astuple(cluster_distances(features, narrow, similar=(0, 1), different=2)) == astuple(
        cluster_distances(features, labels, similar=(0, 1), different=2)
    )
    with pytest.raises(ValueError, match=r"labels: an example of class 258; got none"):
        cluster_distances(features, narrow, similar=(0, 1), different=258)


@pytest.mark.parametrize("scale", [1e-170, 1e170])
def test_squares_that_vanish_or_overflow_are_refused(scale: float) -> None:
    features, labels = _clusters()
    with pytest.raises(ValueError, match=r"features: numbers of which the largest is between 1e-120 and 1e\+120"):
        cluster_distances(features * scale, labels, similar=(0, 1), different=2)
    with pytest.raises(ValueError, match=r"weight: numbers of which the largest is between"):
        projection(FEATURES, LABELS, WEIGHT * scale, classes=CLASSES)


def test_distance_errors() -> None:
    features, labels = _clusters()
    with pytest.raises(ValueError, match=r"labels: an example of class 7; got none"):
        cluster_distances(features, labels, similar=(0, 1), different=7)
    with pytest.raises(ValueError, match=r"different: 3 different classes; got \(0, 1, 1\)"):
        cluster_distances(features, labels, similar=(0, 1), different=1)
    with pytest.raises(ValueError, match=r"similar: 2 different classes; got \(1, 1\)"):
        cluster_distances(features, labels, similar=(1, 1), different=2)
    with pytest.raises(ValueError, match=r"quantile: in \[0, 0.5\]; got 0.95"):
        cluster_distances(features, labels, similar=(0, 1), different=2, quantile=0.95)


@pytest.mark.parametrize("of", [lambda x: x, lambda x: x.numpy()], ids=["tensors", "arrays"])
def test_the_picture_shows_every_point_and_the_templates(of) -> None:
    found = projection(of(FEATURES), of(LABELS), of(WEIGHT), classes=CLASSES)
    ax = found.plot()
    points = np.concatenate([drawn.get_offsets() for drawn in ax.collections[:3]])
    assert sorted(map(tuple, points.tolist())) == sorted(map(tuple, found.points.tolist()))
    np.testing.assert_allclose(ax.collections[3].get_offsets(), found.templates)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["class 0", "class 3", "class 4", "templates"]
    assert found.plot(ax) is ax
    pyplot.close(ax.figure)


def test_without_matplotlib_the_picture_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ModuleNotFoundError, match=r"^plot: the package matplotlib; .*softtargets\[plot\]"):
        projection(FEATURES, LABELS, WEIGHT, classes=CLASSES).plot()
