"""Diversity of members: hand numbers, scikit-learn, and the decompositions by the metrics themselves."""

import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from softtargets import metrics
from softtargets._errors import InputError, InputTypeError
from softtargets.ensembles import MeanProbs, measure_diversity
from softtargets.ensembles.diversity import cohens_kappa, yules_q

draw = torch.Generator().manual_seed(1)
LOGITS = torch.randn(3, 60, 4, generator=draw, dtype=torch.float64) * 2
LABELS = torch.randint(4, (60,), generator=draw)


def test_the_ambiguities_are_the_mean_member_minus_the_ensemble() -> None:
    found = measure_diversity(LOGITS, LABELS)
    combined = MeanProbs()(LOGITS)
    brier = [float(metrics.brier(logits.softmax(-1), LABELS)) for logits in LOGITS]
    nll = [float(metrics.nll(logits=logits, labels=LABELS)) for logits in LOGITS]
    assert found.brier_ambiguity == pytest.approx(sum(brier) / 3 - float(metrics.brier(combined.exp(), LABELS)))
    assert found.nll_ambiguity == pytest.approx(sum(nll) / 3 - float(metrics.nll(logits=combined, labels=LABELS)))
    assert found.brier_ambiguity > 0
    assert found.nll_ambiguity is not None
    assert found.nll_ambiguity > 0


def test_pairwise_numbers() -> None:
    found, predicted = measure_diversity(LOGITS, LABELS), LOGITS.argmax(-1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = [cohen_kappa_score(predicted[a].numpy(), predicted[b].numpy()) for a, b in pairs]
    assert found.kappa == pytest.approx(sum(expected) / 3)
    assert found.disagreement == pytest.approx(
        sum(float((predicted[a] != predicted[b]).float().mean()) for a, b in pairs) / 3
    )
    one = torch.tensor([True, True, True, False, False])
    other = torch.tensor([True, True, False, True, False])
    assert yules_q(one, other) == pytest.approx((2 * 1 - 1 * 1) / (2 * 1 + 1 * 1))
    assert yules_q(one, one) == 1
    assert yules_q(torch.ones(3).bool(), torch.ones(3).bool()) is None
    assert cohens_kappa(torch.zeros(3).long(), torch.zeros(3).long(), 2) is None


def test_equal_members_are_not_diverse() -> None:
    found = measure_diversity(LOGITS[:1].expand(3, -1, -1), LABELS)
    assert found.disagreement == 0
    assert found.kappa == pytest.approx(1)
    assert found.brier_ambiguity == pytest.approx(0, abs=1e-15)
    assert found.nll_ambiguity == pytest.approx(0, abs=1e-15)


def test_one_member_has_no_diversity() -> None:
    with pytest.raises(InputError, match=r"logits: shape \(M, N, K\) of at least 2 members"):
        measure_diversity(LOGITS[:1], LABELS)


def test_arrays_are_taken_and_others_refused() -> None:
    assert measure_diversity(LOGITS.numpy(), LABELS.numpy()) == measure_diversity(LOGITS, LABELS)
    with pytest.raises(
        InputTypeError, match=r"logits: a floating-point tensor or array .*; got list; use torch\.stack"
    ):
        measure_diversity(list(LOGITS), LABELS)
    with pytest.raises(InputTypeError, match="labels: integer labels"):
        measure_diversity(LOGITS, LABELS.tolist())
    with pytest.raises(InputError, match=r"labels: labels of at least 0 and below 4.*; got 9 at row 2"):
        measure_diversity(LOGITS, LABELS.index_fill(0, torch.tensor([2]), 9))
    with pytest.raises(InputError, match=r"labels: shape \(60,\)"):
        measure_diversity(LOGITS, LABELS[:50])
