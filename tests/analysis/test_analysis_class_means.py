"""Mean probabilities of each class: by hand, by a slow loop, and without examples."""

import pytest
import torch

from softtargets import metrics
from softtargets.analysis import class_means, minor_means

PROBS = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).softmax(-1)
LABELS = torch.randint(4, (50,), generator=torch.Generator().manual_seed(1))


def test_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    labels = torch.tensor([0, 0, 1, 2])
    assert class_means(probs, labels).tolist() == [[0.625, 0.25, 0.125], [0, 1, 0], [0.5, 0, 0.5]]
    assert minor_means(probs, labels).tolist() == [[0, 0.25, 0.125], [0, 0, 0], [0.5, 0, 0]]


def test_agrees_with_the_slow_loop() -> None:
    means = class_means(PROBS, LABELS)
    for c in range(4):
        rows = [p for p, y in zip(PROBS.tolist(), LABELS.tolist(), strict=True) if y == c]
        expected = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        assert means[c].tolist() == pytest.approx(expected, abs=1e-15)


def test_one_hot_probabilities_give_the_confusion_matrix_by_rows() -> None:
    predicted = PROBS.argmax(1)
    means = class_means(torch.nn.functional.one_hot(predicted, 4).double(), LABELS)
    for c in range(4):
        share = [float((predicted[c == LABELS] == k).double().mean()) for k in range(4)]
        assert means[c].tolist() == pytest.approx(share)
    recall = means.diagonal() @ LABELS.bincount(minlength=4).double() / len(LABELS)
    assert float(recall) == pytest.approx(float(metrics.accuracy(PROBS, LABELS)))


def test_minor_rows_sum_to_what_the_own_class_lacks() -> None:
    minor, means = minor_means(PROBS, LABELS), class_means(PROBS, LABELS)
    torch.testing.assert_close(minor.sum(1), 1 - means.diagonal(), rtol=0, atol=1e-14)
    assert minor.diagonal().tolist() == [0, 0, 0, 0]


def test_a_class_without_examples_is_nan_and_the_others_are_not() -> None:
    keep = LABELS != 2
    for function in (class_means, minor_means):
        found = function(PROBS[keep], LABELS[keep])
        assert found[2].isnan().all()
        assert torch.equal(found[[0, 1, 3]], function(PROBS, LABELS)[[0, 1, 3]])


def test_sequences_and_half_precision() -> None:
    half = PROBS.bfloat16()
    found = class_means(half.reshape(5, 10, 4), LABELS.reshape(5, 10))
    assert found.dtype == torch.float64
    for c in range(4):
        torch.testing.assert_close(found[c], half[c == LABELS].double().mean(0), rtol=0, atol=1e-15)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"labels: .*below 4.*; got 4 at row 1"):
        class_means(PROBS[:2], torch.tensor([0, 4]))
    with pytest.raises(
        ValueError, match=r"probs: probabilities, each row summing to 1; got a sum of 2 at row 0; .*softmax"
    ):
        minor_means(torch.ones(1, 2), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"probs: shape \(N, K\) with K >= 2; got \(\)"):
        class_means(torch.tensor(0.5), torch.tensor(0))
    with pytest.raises(TypeError, match="probs: a floating-point tensor"):
        class_means(torch.ones(2, 2, dtype=torch.int64), torch.tensor([0, 1]))
