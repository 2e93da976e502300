"""Shen's stability: each variant by hand and by a slow loop, its limits, and which variant can be Table 10's."""

import math
from statistics import stdev

import pytest
import torch

from softtargets.analysis import inter_class_stability, stability

PROBS = torch.randn(60, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).softmax(-1)
LABELS = torch.arange(60) % 4  # none of class 4
LABELS[:7] = 0  # classes of unequal size
ROWS = [[p for p, y in zip(PROBS.tolist(), LABELS.tolist(), strict=True) if y == c] for c in range(4)]


def _mean(rows: list[list[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def test_within_by_hand() -> None:
    probs = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75], [0.25, 0.75]])
    labels = torch.tensor([0, 0, 1, 1])
    # class 0 lies 0.25 from its mean in both entries, class 1 nowhere
    assert float(stability(probs, labels)) == pytest.approx(1 - math.sqrt(2) * 0.25 / 2)
    assert float(stability(probs, labels, variant="eq2_squared")) == pytest.approx(1 - 0.125 / 2)
    assert float(stability(probs, labels, variant="appendix_c")) == pytest.approx(1 - math.sqrt(2 * 0.25**2) / 2)


def test_within_agrees_with_the_slow_loops() -> None:
    norm, squared, listing = [], [], []
    for c, rows in enumerate(ROWS):
        distances = [math.dist(row, _mean(rows)) for row in rows]
        norm.append(sum(distances) / len(rows))
        squared.append(sum(d * d for d in distances) / len(rows))
        listing.append(stdev(row[c] for row in rows))
    assert float(stability(PROBS, LABELS)) == pytest.approx(1 - sum(norm) / 4, abs=1e-14)
    assert float(stability(PROBS, LABELS, variant="eq2_squared")) == pytest.approx(1 - sum(squared) / 4, abs=1e-14)
    assert float(stability(PROBS, LABELS, variant="appendix_c")) == pytest.approx(1 - sum(listing) / 4, abs=1e-14)


def test_appendix_c_is_the_papers_code() -> None:
    """Algorithm 1, which goes batch by batch: one batch is one class."""
    probs, labels = PROBS[:50].reshape(5, 10, 5), torch.arange(5)[:, None].expand(5, 10)
    all_std = torch.zeros((), dtype=torch.float64)
    for softmax_p, target in zip(probs, labels, strict=True):
        predict = softmax_p[:, target[0]]
        all_std += predict.std(dim=0)
    torch.testing.assert_close(stability(probs, labels, variant="appendix_c"), 1 - all_std / 5, rtol=0, atol=1e-14)


def test_of_two_classes() -> None:
    q = PROBS[:, 0]
    probs, labels = torch.stack([q, 1 - q], 1), torch.zeros(60, dtype=torch.int64)
    deviation = q - q.mean()
    expected = 1 - math.sqrt(2) * deviation.abs().mean()
    torch.testing.assert_close(stability(probs, labels), expected, rtol=0, atol=1e-14)
    expected = 1 - 2 * q.var(correction=0)
    torch.testing.assert_close(stability(probs, labels, variant="eq2_squared"), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("variant", ["eq2", "eq2_squared", "appendix_c"])
def test_equal_predictions_within_each_class_give_1(variant: str) -> None:
    probs = PROBS[:4][LABELS]
    assert float(stability(probs, LABELS, variant=variant)) == pytest.approx(1, abs=1e-14)  # pyright: ignore[reportArgumentType]


def test_between_agrees_with_the_slow_loops() -> None:
    everyone = _mean(PROBS.tolist())
    distances = [math.dist(_mean(rows), everyone) for rows in ROWS]
    own = [_mean(rows)[c] for c, rows in enumerate(ROWS)]
    overall = sum(p[y] for p, y in zip(PROBS.tolist(), LABELS.tolist(), strict=True)) / 60
    expected = {
        "eq5": 1 - sum(distances) / 4,
        "eq5_squared": 1 - sum(d * d for d in distances) / 4,
        "own_class": 1 - sum(abs(q - overall) for q in own) / 4,
    }
    for variant, value in expected.items():
        found = inter_class_stability(PROBS, LABELS, variant=variant)  # pyright: ignore[reportArgumentType]
        assert float(found) == pytest.approx(value, abs=1e-14)


def test_one_hot_predictions_at_the_labels() -> None:
    probs, labels = torch.eye(5).repeat(3, 1), torch.arange(5).repeat(3)
    assert float(inter_class_stability(probs, labels)) == pytest.approx(1 - math.sqrt(1 - 1 / 5))
    assert float(inter_class_stability(probs, labels, variant="eq5_squared")) == pytest.approx(1 / 5)
    assert float(inter_class_stability(probs, labels, variant="own_class")) == pytest.approx(1)


def test_table_10_cannot_be_the_norm() -> None:
    """Classes whose mean own probabilities differ as they do on ImageNet: the norm is near them, the scalar .17."""
    classes = 200
    own = torch.linspace(0.4, 1, classes, dtype=torch.float64)
    probs = ((1 - own) / (classes - 1))[:, None].expand(-1, classes).clone()
    probs.diagonal().copy_(own)
    labels = torch.arange(classes)
    assert 0.14 < 1 - float(inter_class_stability(probs, labels, variant="own_class")) < 0.16
    assert 1 - float(inter_class_stability(probs, labels)) > 0.65
    assert 1 - float(inter_class_stability(probs, labels, variant="eq5_squared")) > 0.45


def test_equal_predictions_of_all_give_1() -> None:
    probs = PROBS[:1].expand(60, 5)
    assert float(inter_class_stability(probs, LABELS)) == pytest.approx(1, abs=1e-14)
    assert float(inter_class_stability(probs, LABELS, variant="eq5_squared")) == pytest.approx(1, abs=1e-14)


def test_errors() -> None:
    with pytest.raises(
        ValueError, match=r"variant: one of eq2, eq2_squared, appendix_c; got 'eq'; did you mean 'eq2'\?"
    ):
        stability(PROBS, LABELS, variant="eq")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"variant: one of eq5, eq5_squared, own_class; got 'appendix_c'"):
        inter_class_stability(PROBS, LABELS, variant="appendix_c")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"labels: at least 2 examples of a class; got 1 of class 4"):
        stability(PROBS[:3], torch.tensor([2, 2, 4]), variant="appendix_c")
    for function in (stability, inter_class_stability):
        with pytest.raises(ValueError, match=r"probs: at least one example that is not left out; got none"):
            function(PROBS[:0], LABELS[:0])
