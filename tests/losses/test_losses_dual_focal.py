"""Dual focal loss: classes as probable as the label, and its authors' code. Tests shared with the focal loss are in
`test_losses_focal.py`."""

import pytest
import torch
from reference import robust as reference
from torch import Tensor

from softtargets import losses

N, K = 6, 4
LABELS = torch.tensor([2, 0, 3, 1, 2, 2])


def logits_of() -> Tensor:
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2


def test_dual_focal_passes_over_ties_with_the_label() -> None:
    # the label ties with the largest: what is next below counts, and where nothing is, nothing does
    logits = torch.tensor([[1.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 2])
    expected = [reference.dual_focal(z, y, 5.0) for z, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    assert losses.dual_focal_loss(logits, labels).tolist() == pytest.approx(expected, abs=1e-13)
    assert (
        losses.dual_focal_loss(logits, labels)[1:].tolist() == losses.focal_loss(logits, labels, gamma=5.0)[1:].tolist()
    )


def test_the_authors_listing_of_dual_focal_is_a_second_witness() -> None:
    logits, theirs = (logits_of().requires_grad_() for _ in range(2))
    log_probs = theirs.log_softmax(-1)
    probs, log_prob = log_probs.exp(), log_probs.gather(1, LABELS[:, None])
    mask = torch.lt(probs, log_prob.exp()) * 1
    p_j = torch.topk(mask * probs, 1)[0].squeeze(1)
    log_prob = log_prob.squeeze(1)
    expected = -1 * (1 - log_prob.exp() + p_j) ** 5 * log_prob
    found = losses.dual_focal_loss(logits, LABELS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    gradients = [torch.autograd.grad(v.sum(), z)[0] for v, z in ((found, logits), (expected, theirs))]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-13)
