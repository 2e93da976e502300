"""Objectives on votes: which take them, and what the shares, pseudo-counts and the majority teach."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_specs import CLASSES, DATA, K, N, batch_of, context, parse, specification

from softtargets import losses, targets
from softtargets._errors import InputError
from softtargets.objectives import OBJECTIVES, Batch, Objective

COUNTS = torch.tensor([[3.0, 1, 0, 0], [0, 2, 2, 0], [0, 0, 0, 5], [1, 1, 2, 0], [4, 0, 0, 0], [1, 0, 0, 1]])
SHARES = COUNTS / COUNTS.sum(1, keepdim=True)
# needs one class for each row; all others take votes
OF_CLASSES = {
    *("backward", "forward", "learned_transition"),
    *("class_table", "confusion_smoothing", "hierarchical_smoothing", "localized_smoothing"),
    *("disturb_label", "keyword_smoothing", "tfidf_smoothing"),
    *("confidence_smoothing", "margin_smoothing", "online_smoothing", "learned_smoothing", "label_relaxation"),
    *("cores", "peer", "acls", "zipf_penalty", "mean_teacher", "pseudo_labels", "distillation", "loss_bound"),
    "early_learning",
}


def _started(content: dict[str, Any]) -> Objective:
    votes = torch.ones(20, K)
    votes[5 : 5 + N] = COUNTS
    return parse(content).started(context(data=replace(DATA, votes=votes)))


def _batch() -> Batch:
    return replace(batch_of(torch.Generator().manual_seed(0)), labels=COUNTS.argmax(1), votes=COUNTS)


def _losses(content: dict[str, Any], logits: torch.Tensor) -> torch.Tensor:
    trained = _started(content)
    batch = trained.prepare(_batch(), torch.Generator().manual_seed(1))
    trained.observe(batch, logits)
    return trained.losses(logits, batch)


LOGITS = torch.randn(N, K, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_of_classes_refuse_votes(name) -> None:
    content = specification(name, CLASSES)
    if name in OF_CLASSES:
        with pytest.raises(InputError, match=rf"^objective: one that takes a distribution .*'{name}', which needs one"):
            _started(content)
        return
    found = _losses(content, LOGITS)
    assert found.shape == (N,)
    of_labels = replace(_batch(), votes=None)
    trained = parse(content).started(context())
    classes = trained.losses(LOGITS, trained.prepare(of_labels, torch.Generator().manual_seed(1)))
    # rows on which all agree teach the same as a class; the others do not
    if name not in ("mixup", "cutmix", "class_weights", "prior_smoothing"):
        torch.testing.assert_close(found[[2, 4]], classes[[2, 4]], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, classes)


def test_cross_entropy_teaches_the_shares_and_smoothing_composes() -> None:
    expected = -(SHARES * LOGITS.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(_losses({"name": "cross_entropy"}, LOGITS), expected)
    torch.testing.assert_close(_losses({"name": "votes"}, LOGITS), expected)
    smoothed = 0.9 * SHARES + 0.1 / K
    found = _losses({"name": "cross_entropy", "smoothing": 0.1}, LOGITS)
    torch.testing.assert_close(found, -(smoothed * LOGITS.log_softmax(-1)).sum(-1))
    trained = _started({"name": "cross_entropy", "smoothing": 0.1})
    torch.testing.assert_close(trained.batch_loss(LOGITS, _batch()), found.mean())


def test_a_pseudo_count_smooths_the_shares_and_the_majority_is_a_class() -> None:
    counts = COUNTS + 2
    expected = -(counts / counts.sum(1, keepdim=True) * LOGITS.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(_losses({"name": "votes", "pseudo_count": 2.0}, LOGITS), expected)
    found = _losses({"name": "votes", "aggregation": "majority"}, LOGITS)
    torch.testing.assert_close(found, losses.cross_entropy(LOGITS, COUNTS.argmax(1)))


def test_a_class_is_one_vote() -> None:
    """A pseudo-count c is then label smoothing by K c / (1 + K c)."""
    trained = parse({"name": "votes", "pseudo_count": 0.05}).started(context())
    batch = trained.prepare(replace(_batch(), votes=None), torch.Generator())
    smoothing = 0.05 * K / (1 + 0.05 * K)
    expected = losses.cross_entropy(LOGITS, targets.smooth(batch.labels, smoothing, num_classes=K))
    torch.testing.assert_close(trained.losses(LOGITS, batch), expected)


def test_mixup_mixes_the_shares() -> None:
    trained = _started({"name": "mixup"})
    batch = trained.prepare(_batch(), torch.Generator().manual_seed(1))
    assert batch.targets is not None
    mixed = batch.targets.to_dense(K)
    torch.testing.assert_close(mixed.sum(1), torch.ones(N), rtol=1e-5, atol=1e-6)
    inside = mixed[:, None] - SHARES[None]
    assert float(inside.abs().amax(-1).min()) < 1, "each row is a mixture of the shares of two rows"
    with pytest.raises(InputError, match=r"^objective: one that takes a distribution .*'forward'"):
        _started({"name": "mixup", "loss": {"name": "forward", "noise_rate": 0.1}})


def test_class_frequencies_are_sums_of_shares() -> None:
    votes = torch.zeros(20, K)
    votes[:, 0], votes[:, 1] = 3, 1
    data = replace(DATA, votes=votes)
    assert data.class_counts.tolist() == [12, 4, 0, 0]
    trained = parse({"name": "prior_smoothing", "smoothing": 0.4}).started(context(data=data))
    made = trained.prepare(_batch(), torch.Generator()).targets
    assert made is not None
    expected = 0.6 * SHARES + 0.4 * torch.tensor([0.75, 0.25, 0, 0])
    torch.testing.assert_close(made.to_dense(K), expected)


def test_distillation_takes_votes_where_it_does_not_use_labels() -> None:
    content = {"name": "distillation", "source": "average"}
    assert _started({**content, "weight": 1.0}).takes_votes
    for refused in ({"weight": 0.5}, {"loss": "dkd", "label_weight": 0.0}):
        with pytest.raises(InputError, match=r"^objective: one that takes a distribution"):
            _started({**content, **refused})
