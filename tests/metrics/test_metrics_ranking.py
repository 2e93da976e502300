"""The area under the ROC curve: the share of pairs in order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import noise as reference
from sklearn.metrics import roc_auc_score

from softtargets import metrics

PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30)


@settings(deadline=None, database=None, max_examples=200)
@given(PAIRS.filter(lambda pairs: len({positive for _, positive in pairs}) == 2))
def test_auroc_is_the_share_of_pairs_and_scikit_learns(pairs: list[tuple[int, bool]]) -> None:
    scores, positives = [float(score) for score, _ in pairs], [positive for _, positive in pairs]
    value = float(metrics.auroc(torch.tensor(scores), torch.tensor(positives)))
    assert value == pytest.approx(reference.auroc(scores, positives), abs=1e-12)
    assert value == pytest.approx(roc_auc_score(positives, scores), abs=1e-12)


def test_limits_and_infinite_scores() -> None:
    positives = torch.tensor([True, True, False])
    for scores, expected in (([2, 1, 0], 1), ([0, 1, 2], 0), ([1, 1, 1], 0.5), ([torch.inf, 0, -torch.inf], 1)):
        value = metrics.auroc(torch.tensor(scores, dtype=torch.float32), positives)
        assert float(value) == expected
        assert value.dtype == torch.float64


def test_many_pairs_are_counted_exactly() -> None:
    scores = torch.arange(400_000) % 2 + torch.zeros(400_000)
    positives = torch.arange(400_000) < 200_000
    assert float(metrics.auroc(scores, positives)) == 0.5  # 4e10 pairs, more than float32 can count


@pytest.mark.parametrize(
    ("scores", "positives", "message"),
    [
        (torch.ones(3), torch.tensor([True, False]), r"positives: shape \(M,\), one per score; got \(3,\) and \(2,\)"),
        (torch.ones(2, 1), torch.ones(2, 1).bool(), r"positives: shape \(M,\), one per score; got \(2, 1\)"),
        (torch.tensor(1.0), torch.tensor(True), r"positives: shape \(M,\), one per score; got \(\)"),
        (torch.ones(0), torch.ones(0).bool(), "positives: at least one positive and one negative; got 0 and 0"),
        (torch.tensor([1, torch.nan]), torch.tensor([True, False]), "scores: numbers without NaN; got nan at row 1"),
        (torch.ones(2), torch.tensor([True, True]), "at least one positive and one negative; got 2 and 0"),
    ],
)
def test_errors(scores: torch.Tensor, positives: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.auroc(scores, positives)


def test_types() -> None:
    scores, positives = torch.tensor([0.5, 0.1]), torch.tensor([True, False])
    calls = [
        ((torch.tensor([1, 0]), positives), "scores: a floating-point tensor; got dtype torch.int64"),
        ((scores.tolist(), positives), "scores: a floating-point tensor; got list"),
        ((None, positives), "scores: a floating-point tensor; got NoneType"),
        ((positives, scores), "scores: a floating-point tensor; got dtype torch.bool; swap scores and positives"),
        (
            (scores, torch.tensor([1, 0])),
            "positives: a bool tensor or array; got dtype torch.int64; mark each score, as",
        ),
        ((scores, [True, False]), "positives: a bool tensor or array; got list"),
        ((scores, None), "positives: a bool tensor or array; got NoneType"),
    ]
    for arguments, message in calls:
        with pytest.raises(TypeError, match=message):
            metrics.auroc(*arguments)


def test_arrays_and_masks() -> None:
    scores, positives = torch.tensor([0.9, 0.4, 0.4, 0.1, torch.nan]), torch.tensor([True, True, False, False, True])
    mask = torch.tensor([True] * 4 + [False])
    assert float(metrics.auroc(scores, positives, mask=mask)) == 0.875
    made = metrics.auroc(scores.numpy(), positives.numpy(), mask=mask.numpy())
    assert isinstance(made, np.ndarray)
    assert float(made) == 0.875
    assert not metrics.auroc(scores[:4].clone().requires_grad_(), positives[:4]).requires_grad
