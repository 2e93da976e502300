"""Targets that are learned: OLS's class table and ELR's running mean."""

import pytest
import torch
from reference import state as reference

from softtargets import targets
from softtargets.targets import OnlineSmoothing, RunningTargets


def rows(number: int, num_classes: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, num_classes, dtype=torch.float64, generator=generator).mul(2).softmax(-1)


def test_online_smoothing_follows_the_equation_over_epochs() -> None:
    online = OnlineSmoothing(3, weight=0.25)
    table = [[1 / 3] * 3] * 3
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    for epoch in range(3):
        probs = rows(8, 3, epoch)
        online.observe(probs[:5], labels[:5])  # any split into batches
        online.observe(probs[5:], labels[5:])
        soft = online.targets(labels).to_dense(3).double()
        expected = 0.75 * torch.eye(3, dtype=torch.float64)[labels] + 0.25 * torch.tensor(table)[labels]
        torch.testing.assert_close(soft, expected, rtol=0, atol=1e-6)
        online.end_epoch()
        table = reference.online_table(table, probs.tolist(), labels.tolist())
        torch.testing.assert_close(online.table.double(), torch.tensor(table).double(), rtol=0, atol=1e-6)


def test_trap_32_a_class_without_a_right_prediction_gets_the_uniform_row() -> None:
    online = OnlineSmoothing(3)
    online.observe(torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1]]), torch.tensor([0, 1]))  # right, wrong; no class 2
    online.end_epoch()
    assert online.table[0].tolist() == pytest.approx([0.8, 0.1, 0.1])
    assert online.table[1].tolist() == online.table[2].tolist() == pytest.approx([1 / 3] * 3)
    online.observe(torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([2]))
    online.end_epoch()
    assert online.table[0].tolist() == pytest.approx([1 / 3] * 3), "never zero"
    assert online.table[2].tolist() == pytest.approx([0.2, 0.3, 0.5])
    assert online.targets(torch.tensor([0, 1, 2])).mass().tolist() == pytest.approx([1, 1, 1])


def test_the_table_changes_at_the_end_of_an_epoch_only() -> None:
    online = OnlineSmoothing(2)
    before = online.targets(torch.tensor([0])).to_dense(2)
    online.observe(torch.tensor([[0.9, 0.1]]), torch.tensor([0]))
    assert torch.equal(online.targets(torch.tensor([0])).to_dense(2), before)
    online.end_epoch()
    assert online.targets(torch.tensor([0])).to_dense(2)[0].tolist() == pytest.approx([0.95, 0.05])
    online.end_epoch()  # an epoch without examples
    assert online.table[0].tolist() == pytest.approx([0.5, 0.5])


def test_trap_33_online_smoothing_resumes_in_the_middle_of_an_epoch() -> None:
    labels = torch.tensor([0, 1, 2, 1])
    whole, resumed = OnlineSmoothing(3), OnlineSmoothing(3)
    for epoch in range(2):
        whole.observe(rows(4, 3, epoch), labels)
        if epoch == 0:
            whole.end_epoch()
    resumed.load_state_dict({name: tensor.clone() for name, tensor in whole.state_dict().items()})
    for online in (whole, resumed):
        online.observe(rows(4, 3, 9), labels)
        online.end_epoch()
    assert torch.equal(whole.table, resumed.table)
    assert not torch.equal(whole.table, OnlineSmoothing(3).table)


def test_running_targets_follow_the_equation() -> None:
    running = RunningTargets(4, 3, momentum=0.7)
    expected = [[0.0] * 3 for _ in range(4)]
    for step, ids in enumerate(([0, 2], [2, 3], [3, 0])):
        probs = rows(2, 3, step)
        running.observe(torch.tensor(ids), probs)
        for i, row in zip(ids, probs.tolist(), strict=True):
            expected[i] = reference.running_mean(expected[i], row, 0.7)
    torch.testing.assert_close(running.of(torch.arange(4)), torch.tensor(expected), rtol=0, atol=1e-6)
    assert running.of(torch.tensor([1])).tolist() == [[0, 0, 0]]


def test_ids_of_any_integer_type_are_rows() -> None:
    running = RunningTargets(3, 2)
    running.observe(torch.tensor([1, 0], dtype=torch.uint8), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert running.of(torch.tensor([0, 1, 2], dtype=torch.uint8)).tolist() == [
        pytest.approx([0.0, 0.3]),
        pytest.approx([0.3, 0.0]),
        [0, 0],
    ]


def test_trap_33_running_targets_resume() -> None:
    whole, resumed = RunningTargets(3, 2), RunningTargets(3, 2)
    whole.observe(torch.tensor([0, 1]), rows(2, 2, 0))
    resumed.load_state_dict({name: tensor.clone() for name, tensor in whole.state_dict().items()})
    for running in (whole, resumed):
        running.observe(torch.tensor([1, 2]), rows(2, 2, 1))
    assert torch.equal(whole.values, resumed.values)
    assert float(whole.values.sum()) > 0


def test_state_holds_no_gradient() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    online, running = OnlineSmoothing(3), RunningTargets(2, 3)
    online.observe(logits.softmax(-1), logits.argmax(-1))
    online.end_epoch()
    running.observe(torch.tensor([0, 1]), logits.softmax(-1))
    kept = [*online.state_dict().values(), *running.state_dict().values(), running.of(torch.tensor([0]))]
    assert not any(tensor.requires_grad for tensor in kept)


@pytest.mark.parametrize("momentum", [1, 1.0, -0.1, 1.5, float("nan")])
def test_a_momentum_that_never_learns_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match="momentum"):
        RunningTargets(2, 2, momentum=momentum)


def test_errors() -> None:
    running = RunningTargets(2, 3)
    with pytest.raises(ValueError, match=r"ids: .* below 2.*; got 2 at row 1"):
        running.observe(torch.tensor([0, 2]), torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"probs: shape \(2, 3\); got \(3,\); give one row of K per id"):
        running.observe(torch.tensor([0, 1]), torch.ones(3))
    with pytest.raises(ValueError, match=r"weight: in \[0, 1\]; got 2"):
        OnlineSmoothing(3, weight=2.0)
    with pytest.raises(ValueError, match="num_classes: at least 2; got 1"):
        OnlineSmoothing(1)


def test_the_weight_0_is_hard() -> None:
    labels = torch.tensor([1, 0])
    made = OnlineSmoothing(2, weight=0.0).targets(labels).to_dense(2)
    assert torch.equal(made, targets.hard(labels).to_dense(2))
