"""Wrong labels where an example may have several classes, against cleanlab 2.9.0."""

import numpy as np
import pytest
import torch
from torch import Tensor

from softtargets import noise
from softtargets._errors import InputError, InputTypeError

LABELS = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0]])
PROBS = torch.tensor(
    [
        [0.9, 0.2, 0.1, 0.4],
        [0.1, 0.95, 0.05, 0.3],
        [0.2, 0.1, 0.6, 0.1],
        [0.7, 0.8, 0.9, 0.99],
        [0.5, 0.5, 0.5, 0.5],
        [0.02, 0.3, 0.1, 0.2],
    ],
    dtype=torch.float64,
)
# cleanlab.multilabel_classification.get_label_quality_scores, and MultilabelScorer()(..., alpha=0.5)
CLEANLAB = [0.484, 0.1884, 0.484, 0.72472, 0.5, 0.1608]
CLEANLAB_HALF = [0.625, 0.43125, 0.625, 0.78625, 0.5, 0.3975]


def simulate(size: int = 2000, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return labels of which 8 % are wrong, the right ones, and probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = 8 * torch.randn(size, 4, generator=generator, dtype=torch.float64)
    clean = torch.rand(size, 4, generator=generator, dtype=torch.float64) < logits.sigmoid()
    flipped = torch.rand(size, 4, generator=generator) < 0.08
    return (clean ^ flipped).long(), clean.long(), 0.08 + 0.84 * logits.sigmoid()


def test_scores_are_those_of_cleanlab():
    found = noise.find_multilabel_issues(LABELS, PROBS)
    assert isinstance(found, noise.MultilabelIssues)
    assert found.scores.tolist() == pytest.approx(CLEANLAB, abs=1e-12)
    assert noise.find_multilabel_issues(LABELS, PROBS, alpha=0.5).scores.tolist() == pytest.approx(CLEANLAB_HALF)


def test_each_class_is_a_binary_problem():
    labels, _, probs = simulate()
    found = noise.find_multilabel_issues(labels, probs)
    for k in range(4):
        own = noise.find_label_issues(labels[:, k], torch.stack([1 - probs[:, k], probs[:, k]], 1))
        assert torch.equal(found.is_issue[:, k], own.is_issue)
        assert torch.equal(found.wrong_probability[:, k], own.wrong_probability)
        assert torch.equal(found.class_scores[:, k], own.scores)
        assert float(found.noise_rate[k]) == own.noise_rate
    assert found.indices.tolist() == sorted(
        found.is_issue.any(1).nonzero()[:, 0].tolist(), key=lambda row: (float(found.scores[row]), row)
    )
    assert len(found) == int(found.is_issue.any(1).sum())


def test_flagged_labels_are_wrong_more_often_than_others():
    labels, clean, probs = simulate()
    wrong = labels != clean
    found = noise.find_multilabel_issues(labels, probs)
    assert wrong[found.is_issue].double().mean() > 0.6
    assert wrong[~found.is_issue].double().mean() < 0.04
    assert abs(float(found.noise_rate.mean()) - 0.08) < 0.03


def test_pooling_by_hand_and_its_special_cases():
    scores = torch.tensor([[0.5, 1.0, 0.25]], dtype=torch.float64)
    # 1 -> 0.25 * 1 + 0.75 * 0.5 = 0.625 -> 0.25 * 0.625 + 0.75 * 0.25
    assert noise.pool_label_scores(scores, alpha=0.75).tolist() == [0.34375]
    assert noise.pool_label_scores(scores, alpha=1).tolist() == [0.25]
    assert noise.pool_label_scores(scores, alpha=0).tolist() == [1.0]
    assert noise.pool_label_scores(scores[:, :1]).tolist() == [0.5]


def test_labels_that_are_left_out_do_not_count():
    mask = torch.ones_like(LABELS, dtype=torch.bool)
    mask[1, 2] = mask[3, 0] = False
    mask[4] = False
    found = noise.find_multilabel_issues(LABELS, PROBS, mask=mask)
    kept = noise.find_multilabel_issues(LABELS[:, [0, 1, 3]], PROBS[:, [0, 1, 3]])
    assert float(found.scores[1]) == pytest.approx(float(kept.scores[1]))
    assert found.scores[4].isnan()
    assert found.class_scores.isnan().tolist() == (~mask).tolist()
    assert not bool(found.is_issue[~mask].any())
    none = noise.pool_label_scores(torch.tensor([[torch.nan, torch.nan]]))
    assert none.isnan().tolist() == [True]
    empty = mask.clone()
    empty[:, 0] = False
    assert noise.find_multilabel_issues(LABELS, PROBS, mask=empty).noise_rate.isnan().tolist() == [True] + [False] * 3


def test_special_cases_and_array_types():
    exact = noise.find_multilabel_issues(LABELS, LABELS.double())
    assert len(exact) == 0
    assert not bool(exact.is_issue.any())
    found = noise.find_multilabel_issues(LABELS.bool().numpy(), PROBS.numpy())
    assert isinstance(found.scores, np.ndarray)
    assert found.scores.tolist() == pytest.approx(CLEANLAB)
    # a class that no example has
    labels, _, probs = simulate(200)
    labels[:, 3] = 0
    assert noise.find_multilabel_issues(labels, probs).wrong_probability.isfinite().all()


@pytest.mark.parametrize(
    ("labels", "probs", "error", "message"),
    [
        (LABELS.double(), PROBS, InputTypeError, "labels: integers 0 or 1"),
        (LABELS * 2, PROBS, InputError, r"labels: 0 or 1; got 2 at index \(0, 0\)"),
        (LABELS[:, 0], PROBS, InputError, r"labels: integers 0 or 1.*got \(6,\)"),
        (LABELS, PROBS[:, :2], InputError, r"probs: shape \(6, 4\), as labels; got \(6, 2\)"),
        (LABELS, PROBS * 2, InputError, "probs: "),
        (LABELS, LABELS, InputTypeError, "probs: "),
    ],
)
def test_other_inputs_are_refused(labels, probs, error, message):
    with pytest.raises(error, match=message):
        noise.find_multilabel_issues(labels, probs)
