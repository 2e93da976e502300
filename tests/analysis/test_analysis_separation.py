"""Class separation: by hand, by all pairs, its limits and what it does not depend on."""

import pytest
import torch
from reference import geometry

from softtargets.analysis import class_separation, within_class_distance

LABELS = torch.tensor([0, 2, 2, 5, 0, 5, 5, 2, 0, 2])


def _features(seed: int = 0) -> torch.Tensor:
    return torch.randn(10, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _rotation(width: int) -> torch.Tensor:
    square = torch.randn(width, width, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    return torch.linalg.qr(square)[0]


def test_by_hand() -> None:
    # cosines: class 0 has 1 and 0 (its pair at 90 degrees), class 1 is one direction, at 90 and 0 degrees to them
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    labels = torch.tensor([0, 0, 1])
    # within: (2 * 1 / 4 + 0) / 2; total: (2/4 + 2 * 1/2 + 0) / 4
    assert float(within_class_distance(features, labels)) == pytest.approx(0.25, abs=1e-15)
    assert float(class_separation(features, labels)) == pytest.approx(1 - 0.25 / 0.375, abs=1e-15)


def test_agrees_with_the_sum_over_all_pairs() -> None:
    within, total = geometry.cosine_distances(_features().tolist(), LABELS.tolist())
    assert float(within_class_distance(_features(), LABELS)) == pytest.approx(within, abs=1e-14)
    assert float(class_separation(_features(), LABELS)) == pytest.approx(1 - within / total, abs=1e-14)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = class_separation(_features(), LABELS)
    monkeypatch.setattr("softtargets.analysis._features.CHUNK", 12)
    torch.testing.assert_close(class_separation(_features(), LABELS), whole, rtol=0, atol=1e-15)


def test_one_direction_per_class_is_separated_wholly() -> None:
    directions = _features(1)[:6]
    features = directions[LABELS] * torch.linspace(1, 5, 10, dtype=torch.float64)[:, None]
    assert float(class_separation(features, LABELS)) == 1
    assert float(within_class_distance(features, LABELS)) < 1e-30


def test_classes_of_equal_means_are_not_separated() -> None:
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    labels = torch.tensor([0, 0, 1, 1])
    assert float(class_separation(features, labels)) == 0
    assert float(within_class_distance(features, labels)) == 1  # two opposite rows in each


def test_directions_alone_count_and_no_axis_is_special() -> None:
    lengths = torch.linspace(0.1, 9, 10, dtype=torch.float64)[:, None]
    for measure in (class_separation, within_class_distance):
        plain = measure(_features(), LABELS)
        torch.testing.assert_close(measure(_features() * lengths, LABELS), plain, rtol=0, atol=1e-14)
        torch.testing.assert_close(measure(_features() @ _rotation(4), LABELS), plain, rtol=0, atol=1e-14)


@pytest.mark.parametrize("length", [5e-324, 1e-170, 1e-30, 1e30])
def test_a_row_of_any_length_has_a_direction(length: float) -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, length], [0.0, 2.0]], dtype=torch.float64)
    assert float(within_class_distance(features, torch.tensor([0, 0, 1]))) == pytest.approx(0.25, abs=1e-15)


def test_moving_the_features_does_count() -> None:
    assert abs(class_separation(_features() + 3, LABELS) - class_separation(_features(), LABELS)) > 0.01


def test_classes_count_alike_whatever_their_size() -> None:
    features, labels = _features(2)[:4], torch.tensor([0, 0, 1, 1])
    again = torch.cat([features, features[:2], features[:2]])
    more = torch.tensor([0, 0, 1, 1, 0, 0, 0, 0])
    torch.testing.assert_close(class_separation(again, more), class_separation(features, labels), rtol=0, atol=1e-14)


def test_half_precision_is_computed_in_float64() -> None:
    features = _features().half()
    found = class_separation(features, LABELS)
    assert found.dtype == torch.float64
    assert float(found) == float(class_separation(features.double(), LABELS))


def test_all_one_way_is_undefined() -> None:
    assert class_separation(torch.tensor([[1.0, 0.0]]).expand(4, 2), torch.tensor([0, 0, 1, 1])).isnan()


def test_errors() -> None:
    features, labels = torch.ones(3, 2), torch.tensor([0, 1, 1])
    with pytest.raises(ValueError, match=r"features: rows that are not all 0; got zeros at row 1"):
        class_separation(torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), labels)
    with pytest.raises(ValueError, match=r"features: finite values; got nan at index \(0, 1\)"):
        within_class_distance(torch.tensor([[1.0, torch.nan], [0.0, 1.0], [1.0, 1.0]]), labels)
    with pytest.raises(ValueError, match=r"labels: examples of at least 2 classes; got only class 7"):
        class_separation(features, torch.tensor([7, 7, 7]))
    with pytest.raises(ValueError, match=r"labels: shape \(3,\); got \(2,\)"):
        class_separation(features, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"features: shape \(N, D\).*got \(3, 2, 1\); .*flattened"):
        class_separation(features[:, :, None], labels)
    with pytest.raises(ValueError, match=r"features: shape \(N, D\).*got \(0, 2\)"):
        class_separation(features[:0], labels[:0])
    with pytest.raises(TypeError, match=r"features: a floating-point tensor; got dtype torch.int64"):
        class_separation(features.long(), labels)
