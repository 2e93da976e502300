"""The logit gap: by hand and by the slow loop."""

import pytest
import torch
from reference import metrics as reference

from softtargets import analysis, losses, targets


def test_by_hand() -> None:
    logits = torch.tensor([[3.0, 0.0, 0.0], [1.0, 2.0, 6.0]], dtype=torch.float64)
    assert analysis.logit_gap(logits, torch.tensor([0, 1])).tolist() == [2, -1]


def test_agrees_with_the_slow_loop() -> None:
    logits = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 4, 2, 3, 1, 1])
    expected = [reference.logit_gap(z, y) for z, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    assert analysis.logit_gap(logits, labels).tolist() == pytest.approx(expected, abs=1e-12)


def test_it_is_what_smoothing_adds_to_cross_entropy() -> None:
    logits = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 4, 2, 3, 1, 1])
    smooth = losses.cross_entropy(logits, targets.smooth(labels, 0.3))
    added = (smooth - losses.cross_entropy(logits, labels)) / 0.3
    torch.testing.assert_close(analysis.logit_gap(logits, labels), added, rtol=0, atol=1e-12)


def test_the_mean_over_labels_is_0() -> None:
    logits = torch.randn(1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).expand(5, 5)
    assert float(analysis.logit_gap(logits, torch.arange(5)).sum()) == pytest.approx(0, abs=1e-13)


def test_half_precision_is_summed_in_float32() -> None:
    logits = torch.randn(4, 1000, generator=torch.Generator().manual_seed(3)).bfloat16()
    gaps = analysis.logit_gap(logits, torch.arange(4))
    assert gaps.dtype == torch.float32
    torch.testing.assert_close(gaps.double(), analysis.logit_gap(logits.double(), torch.arange(4)), rtol=0, atol=1e-5)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"logits: shape \(N, K\) with K >= 2; got \(3, 1, 1\)"):
        analysis.logit_gap(torch.zeros(3, 1, 1), torch.tensor([[0], [1], [2]]))
    with pytest.raises(ValueError, match=r"labels: .*below 3.*; got 3 at row 0"):
        analysis.logit_gap(torch.zeros(1, 3), torch.tensor([3]))
