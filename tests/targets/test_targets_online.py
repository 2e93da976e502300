"""Targets learned during training: online label smoothing and ELR's running mean."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from processes import run_on_processes
from reference import rules
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
    with pytest.raises(ValueError, match=r"probs: shape \(2, 3\); got \(3,\); pass one row of K probabilities per id"):
        running.observe(torch.tensor([0, 1]), torch.ones(3))
    with pytest.raises(ValueError, match=r"weight: in \[0, 1\]; got 2"):
        OnlineSmoothing(3, weight=2.0)
    with pytest.raises(ValueError, match="num_classes: at least 2; got 1"):
        OnlineSmoothing(1)


def test_the_weight_0_is_hard() -> None:
    labels = torch.tensor([1, 0])
    made = OnlineSmoothing(2, weight=0.0).targets(labels).to_dense(2)
    assert torch.equal(made, targets.hard(labels).to_dense(2))


def test_the_ends_of_online_smoothing() -> None:
    labels = torch.tensor([1, 0, 2])
    before = OnlineSmoothing(3, weight=0.3).targets(labels)
    torch.testing.assert_close(before.to_dense().double(), targets.smooth(labels, 0.3).to_dense(3), rtol=0, atol=1e-7)
    assert before.values is None, "no N x K target"
    assert before.labels is labels


@pytest.mark.parametrize(("bad", "said"), [(1.5, "1.5"), (-0.5, "-0.5"), (float("nan"), "nan")])
def test_what_is_no_probability_is_not_observed(bad: float, said: str) -> None:
    probs = torch.tensor([[0.5, 0.5], [0.5, bad]])
    message = rf"probs: probabilities, in \[0, 1\]; got {said} at index \(1, 1\); use logits.softmax\(-1\)"
    with pytest.raises(ValueError, match=message):
        targets.OnlineSmoothing(2).observe(probs, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=message):
        targets.RunningTargets(2, 2).observe(torch.tensor([0, 1]), probs)
    with pytest.raises(TypeError, match=r"labels: integer labels .* use labels.long"):
        targets.OnlineSmoothing(2).observe(probs[:1], torch.tensor([0.0]))


def test_a_state_stays_what_it_was() -> None:
    online, running = targets.OnlineSmoothing(2), targets.RunningTargets(1, 2)
    states = [online.state_dict(), running.state_dict()]
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    online.observe(torch.tensor([[0.75, 0.25]]), torch.tensor([0]))
    running.observe(torch.tensor([0]), torch.tensor([[0.75, 0.25]]))
    online.end_epoch()
    for state, old in zip(states, before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old)


def test_no_momentum_is_the_last_prediction() -> None:
    running = RunningTargets(2, 3, momentum=0.0)
    for step in range(2):
        running.observe(torch.tensor([1]), rows(1, 3, step))
    torch.testing.assert_close(running.of(torch.tensor([1])), rows(1, 3, 1).float())


def test_online_smoothing_refuses_rows_and_labels_that_do_not_fit() -> None:
    online = OnlineSmoothing(3)
    with pytest.raises(
        ValueError, match=r"probs: 3 classes in dimension -1; got \(2, 2\); pass one probability per class"
    ):
        online.observe(torch.ones(2, 2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"labels: .* below 3.*; got 3 at row 1"):
        online.observe(torch.ones(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"labels: .* below 3.*; got 3 at row 0"):
        online.targets(torch.tensor([3]))
    with pytest.raises(ValueError, match=r"ids: .* below 2.*; got 2 at row 0"):
        RunningTargets(2, 3).of(torch.tensor([2]))


EXAMPLES = 24


def labels_of_all() -> torch.Tensor:
    return torch.arange(EXAMPLES) % 4


def epoch_of(epoch: int) -> torch.Tensor:
    """Give predictions that are right about half the time, and never for class 3."""
    probs = rows(EXAMPLES, 5, epoch)
    probs[labels_of_all() == 3, 4] = 1.0
    return probs / probs.sum(-1, keepdim=True)


def share(rank: int, size: int) -> torch.Tensor:
    """The examples of a rank: shares of unlike sizes."""
    return torch.arange(EXAMPLES)[torch.arange(EXAMPLES).remainder(size + 1).clamp(max=size - 1) == rank]


def online_table() -> torch.Tensor:
    online = OnlineSmoothing(5)
    for epoch in range(2):
        online.observe(epoch_of(epoch), labels_of_all())
        online.end_epoch()
    return online.table


def learn_online(rank: int, folder: str) -> None:
    size = dist.get_world_size()
    mine = share(rank, size)
    online = OnlineSmoothing(5)
    for epoch in range(2):
        for part in (mine[:3], mine[3:]):
            online.observe(epoch_of(epoch)[part], labels_of_all()[part])
        online.end_epoch()
        if epoch == 0:
            # one rank's state, after the epoch, is everybody's
            if rank == 0:
                torch.save(online.state_dict(), Path(folder) / "state.pt")
            dist.barrier()
            online = OnlineSmoothing(5)
            online.load_state_dict(torch.load(Path(folder) / "state.pt", weights_only=True))
    torch.testing.assert_close(online.table, online_table(), rtol=0, atol=1e-7)
    assert online.table[3].tolist() == pytest.approx([0.2] * 5), "a class with no right prediction anywhere"
    tables = [torch.empty_like(online.table) for _ in range(size)]
    dist.all_gather(tables, online.table)
    assert all(torch.equal(table, tables[0]) for table in tables), "the same on every rank"
    t = online.targets(torch.tensor([0, 3])).to_dense()
    torch.testing.assert_close(t, 0.5 * torch.eye(5)[[0, 3]] + 0.5 * online.table[[0, 3]])


def learn_running(rank: int, folder: str) -> None:
    size = dist.get_world_size()
    mine = share(rank, size)
    running, alone = RunningTargets(EXAMPLES + 1, 5), RunningTargets(EXAMPLES + 1, 5)
    for epoch in range(3):
        running.observe(mine, epoch_of(epoch)[mine])
        alone.observe(torch.arange(EXAMPLES), epoch_of(epoch))
        running.end_epoch()
        torch.testing.assert_close(running.values, alone.values, rtol=0, atol=1e-7)
        if epoch == 0:
            if rank == size - 1:
                torch.save(running.state_dict(), Path(folder) / "state.pt")
            dist.barrier()
            running = RunningTargets(EXAMPLES + 1, 5)
            running.load_state_dict(torch.load(Path(folder) / "state.pt", weights_only=True))
    assert running.of(torch.tensor([EXAMPLES])).tolist() == [[0] * 5], "a row that nobody observed"


def touch_the_same(rank: int) -> None:
    size = dist.get_world_size()
    touched = [[0, 1 + other] for other in range(size)]
    before = rows(8, 3, 100).float()
    each = []
    for other in range(size):
        running = RunningTargets(8, 3, momentum=0.5)
        running.values.copy_(before)
        running.observe(torch.tensor(touched[other]), rows(2, 3, other))
        each.append(running)
    merged = each[rank]
    expected = rules.merged(before.tolist(), [one.values.tolist() for one in each], touched)
    merged.end_epoch()
    torch.testing.assert_close(merged.values.tolist(), expected, rtol=0, atol=1e-6)
    merged.end_epoch()
    torch.testing.assert_close(merged.values.tolist(), expected, rtol=0, atol=1e-6)


def merge_in_a_group(rank: int) -> None:
    group = [dist.new_group([0, 1]), dist.new_group([2, 3])][rank // 2]
    assert isinstance(group, dist.ProcessGroup)
    online = OnlineSmoothing(2)
    online.observe(torch.tensor([[0.5 + 0.1 * (rank + 1), 0.5 - 0.1 * (rank + 1)]]), torch.tensor([0]))
    online.end_epoch(group=group)
    assert online.table[0, 0].item() == pytest.approx(0.65 if rank < 2 else 0.85)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_trap_33_online_smoothing_is_one_table_of_all_processes(size: int, tmp_path: Path) -> None:
    run_on_processes(size, learn_online, str(tmp_path))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_trap_33_running_targets_are_merged(size: int, tmp_path: Path) -> None:
    run_on_processes(size, learn_running, str(tmp_path))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_row_of_several_processes_is_their_mean(size: int) -> None:
    run_on_processes(size, touch_the_same)


def test_a_group_keeps_to_itself() -> None:
    run_on_processes(4, merge_in_a_group)


@pytest.mark.parametrize("made", [targets.OnlineSmoothing(3), targets.RunningTargets(4, 3)], ids=["online", "running"])
def test_a_state_of_another_object_is_refused(made: Any) -> None:
    made.load_state_dict(made.state_dict())
    other = targets.OnlineSmoothing(5) if isinstance(made, targets.OnlineSmoothing) else targets.RunningTargets(4, 5)
    with pytest.raises(ValueError, match=r"^state: '\w+' of shape \(\d, 3\); got \(\d, 5\); pass the state"):
        made.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match=r"^state: a tensor '\w+'; got the keys \[\]; "):
        made.load_state_dict({})
    with pytest.raises(TypeError, match=r"^state: a dict; got list; "):
        made.load_state_dict([])  # pyright: ignore[reportArgumentType]


def test_a_mask_is_no_ids() -> None:
    running = targets.RunningTargets(4, 2)
    with pytest.raises(TypeError, match=r"^ids: integer ids of examples; got dtype torch.bool; .*nonzero"):
        running.of(torch.tensor([True, False, True, True]))
    with pytest.raises(ValueError, match=r"^ids: ids of at least 0 and below 4, .* examples; got 4 at row 1"):
        running.of(torch.tensor([0, 4]))
