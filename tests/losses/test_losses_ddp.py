"""Data parallel training: two processes with a part of the batch each learn what one with all of it does."""

import pytest
import torch
import torch.distributed as dist
from processes import run_on_processes
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from softtargets import losses, targets

WORLD, N, INPUTS, K = 2, 8, 3, 5
PARTS = (slice(0, 5), slice(5, 8))  # of uneven size, and with uneven counts of what is ignored
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.3, 0.1], dtype=torch.float64)
LABELS = torch.tensor([2, -100, 0, 4, -100, 1, 3, 3])
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(N, INPUTS, dtype=torch.float64, generator=GENERATOR)
WEIGHTS = torch.rand(N, dtype=torch.float64, generator=GENERATOR)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(INPUTS, 4), nn.Tanh(), nn.Linear(4, K)).double()


def total_loss(model: nn.Module, rows: slice, weight: Tensor, normalizer: Tensor) -> Tensor:
    made = targets.smooth(targets.hard(LABELS[rows], ignore_index=-100), 0.1, prior=PRIOR)
    return losses.reduce(losses.cross_entropy(model(X[rows]), made), weight=weight, normalizer=normalizer)


def gradients_agree(rank: int) -> None:
    for weights in ((LABELS != -100).double(), WEIGHTS * (LABELS != -100)):
        weight = weights[PARTS[rank]]
        count = weight.sum()
        dist.all_reduce(count)
        model = DistributedDataParallel(network())
        # the normaliser is of all processes; DDP divides by their number, which is taken back
        (total_loss(model, PARTS[rank], weight, count) * WORLD).backward()
        whole = network()
        total_loss(whole, slice(None), weights, weights.sum()).backward()
        for ours, expected in zip(model.parameters(), whole.parameters(), strict=True):
            assert ours.grad is not None
            torch.testing.assert_close(ours.grad, expected.grad, rtol=0, atol=1e-14)


def one_has_nothing(rank: int) -> None:
    """A process all of whose examples are ignored adds nothing, and no nan."""
    rows = (slice(0, 1), slice(1, 2))[rank]
    weights = (LABELS[:2] != -100).double()
    model = DistributedDataParallel(network())
    (total_loss(model, rows, weights[rows], weights.sum()) * WORLD).backward()
    whole = network()
    total_loss(whole, slice(0, 1), weights[:1], weights.sum()).backward()
    for ours, expected in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, rtol=0, atol=1e-14)


@pytest.mark.parametrize("check", [gradients_agree, one_has_nothing])
def test_trap_13_the_gradient_on_two_processes_is_that_of_the_whole_batch(check) -> None:
    run_on_processes(WORLD, check)
