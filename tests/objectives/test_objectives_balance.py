"""Balancing of pseudo-labels by class: state that follows predictions, against loops."""

from dataclasses import replace

import pytest
import torch

from softtargets import targets
from softtargets.objectives import ObjectiveContext, TrainingData
from softtargets.objectives.balance import MOMENTUM, balance_of

N, K = 12, 3
LABELLED = torch.arange(N) < 4
DATA = TrainingData(
    class_names=("a", "b", "c"),
    input_shape=(2,),
    labels=torch.tensor([0, 0, 1, 2, *([0] * 8)]),
    train=torch.arange(N),
    source=torch.arange(N),
    labelled=LABELLED,
)
CONTEXT = ObjectiveContext(N, K, data=DATA)


def _batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    draw, found = torch.Generator().manual_seed(0), []
    for _ in range(count):
        ids = torch.randperm(N, generator=draw)[:5]
        probs = (3 * torch.randn(5, K, generator=draw)).softmax(-1)
        found.append((probs, ids, ~LABELLED[ids]))
    return found


def test_alignment_follows_the_mean_prediction_of_unlabelled_rows() -> None:
    balance = balance_of("alignment", CONTEXT, 0.9)
    running, weight = [0.0] * K, 0.0
    for probs, ids, unlabelled in _batches(20):
        balance.observe(probs, ids, unlabelled)
        chosen = [row for row, taken in zip(probs.tolist(), unlabelled.tolist(), strict=True) if taken]
        if chosen:
            mean = [sum(row[k] for row in chosen) / len(chosen) for k in range(K)]
            running = [MOMENTUM * r + (1 - MOMENTUM) * m for r, m in zip(running, mean, strict=True)]
            weight = MOMENTUM * weight + 1 - MOMENTUM
        prior = torch.tensor([0.5, 0.25, 0.25])  # of the labelled rows
        expected = targets.align_distribution(probs, torch.tensor(running) / sum(running), prior=prior)
        torch.testing.assert_close(balance.probs(probs), expected, rtol=1e-4, atol=1e-5)
    assert weight > 0.1
    assert balance.threshold(0.9) == 0.9


def test_alignment_before_any_prediction_scales_by_the_prior_alone() -> None:
    balance = balance_of("alignment", CONTEXT, 0.9)
    probs = torch.full((1, K), 1 / 3)
    balance.observe(probs, torch.tensor([0]), torch.tensor([False]))
    torch.testing.assert_close(balance.probs(probs)[0], torch.tensor([0.5, 0.25, 0.25]))


def test_thresholds_count_the_last_confident_prediction_of_each_row() -> None:
    balance = balance_of("thresholds", CONTEXT, 0.8)
    last: dict[int, int] = {}
    for probs, ids, unlabelled in _batches(30):
        balance.observe(probs, ids, unlabelled)
        for row, number, taken in zip(probs.tolist(), ids.tolist(), unlabelled.tolist(), strict=True):
            if taken and max(row) >= 0.8:
                last[number] = row.index(max(row))
        counts = [list(last.values()).count(k) for k in range(K)]
        expected = targets.class_thresholds(torch.tensor(counts), maximum=0.8, undecided=8 - len(last))
        torch.testing.assert_close(balance.threshold(0.8), expected)
    assert len(last) > 4


@pytest.mark.parametrize("name", ["alignment", "thresholds"])
def test_its_state_can_be_restored(name) -> None:
    first, second = (balance_of(name, CONTEXT, 0.7) for _ in range(2))
    batches = _batches(10)
    for batch in batches[:5]:
        first.observe(*batch)
    for key, tensor in second.tensors().items():
        tensor.copy_(first.tensors()[key])
    for batch in batches[5:]:
        first.observe(*batch)
        second.observe(*batch)
    probs = batches[0][0]
    assert torch.equal(first.probs(probs), second.probs(probs))
    assert torch.equal(torch.as_tensor(first.threshold(0.7)), torch.as_tensor(second.threshold(0.7)))


def test_it_needs_the_training_data() -> None:
    with pytest.raises(ValueError, match=r"context\.data: .*balance = 'alignment'"):
        balance_of("alignment", replace(CONTEXT, data=None), 0.9)
