"""LS++ as a module: its table is state, learns, and is the same on every process."""

import pytest
import torch
import torch.distributed as dist
from processes import run_on_processes
from reference import penalties as slow

from softtargets import losses, nn

N, K = 8, 3
LABELS = torch.tensor([2, 0, 1, 1, 2, 0, 0, 1])


def logits_of(seed: int = 0) -> torch.Tensor:
    return torch.randn(N, K, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_function_with_its_own_table() -> None:
    module = nn.LearnedSmoothing(K, smoothing=0.2, reduction="none")
    with torch.no_grad():
        module.table.copy_(torch.randn(K, K, generator=torch.Generator().manual_seed(1)))
    expected = losses.learned_smoothing_cross_entropy(logits_of(), LABELS, module.table, smoothing=0.2)
    assert torch.equal(module(logits_of(), LABELS), expected)
    rows = zip(logits_of().tolist(), LABELS.tolist(), strict=True)
    loop = [slow.learned_smoothing(z, y, module.table[y].tolist(), 0.2) for z, y in rows]
    assert expected.tolist() == pytest.approx(loop, abs=1e-6)


def test_it_starts_with_all_other_classes_alike_and_learns() -> None:
    module = nn.LearnedSmoothing(K)
    assert bool((module.table == 0).all())
    assert [name for name, _ in module.named_parameters()] == ["table"]
    optimizer = torch.optim.SGD(module.parameters(), lr=5.0)
    before = float(module(logits_of(), LABELS).detach())
    for _ in range(20):
        optimizer.zero_grad()
        module(logits_of(), LABELS).backward()
        optimizer.step()
    assert float(module(logits_of(), LABELS).detach()) < before
    assert torch.equal(module.table == 0, torch.eye(K, dtype=torch.bool))


def test_state_and_description() -> None:
    module, other = (nn.LearnedSmoothing(K, smoothing=0.2, reduction="none") for _ in range(2))
    torch.nn.init.normal_(module.table)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(logits_of(), LABELS), module(logits_of(), LABELS))
    assert repr(module) == (
        "LearnedSmoothing(num_classes=3, smoothing=0.2, reduction='none', ignore_index=-100, class_dim=1)"
    )
    assert module.half()(logits_of().half(), LABELS).dtype == torch.float32


def test_errors() -> None:
    with pytest.raises(ValueError, match="num_classes: at least 2; got 1"):
        nn.LearnedSmoothing(1)
    with pytest.raises(ValueError, match="smoothing: between 0 and 1, both excluded; got 0"):
        nn.LearnedSmoothing(K, smoothing=0)
    with pytest.raises(ValueError, match=r"smoothing: in \[0, 1\]; got 2"):
        nn.LearnedSmoothing(K, smoothing=2)


def learn_on_a_share(rank: int) -> None:
    share = slice(rank, None, dist.get_world_size())
    module = torch.nn.parallel.DistributedDataParallel(nn.LearnedSmoothing(K))
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        module(logits_of()[share], LABELS[share]).backward()
        optimizer.step()
    alone = nn.LearnedSmoothing(K)
    optimizer = torch.optim.SGD(alone.parameters(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        alone(logits_of(), LABELS).backward()
        optimizer.step()
    torch.testing.assert_close(module.module.table, alone.table, rtol=0, atol=1e-6)


def test_two_processes_learn_what_one_does() -> None:
    run_on_processes(2, learn_on_a_share)
