"""The helper of the distributed tests fails when it should."""

import multiprocessing
import time

import pytest
import torch
import torch.distributed as dist
from processes import run_on_processes


def add_up(rank: int, expected: int) -> None:
    total = torch.tensor(rank + 1)
    dist.all_reduce(total)
    assert int(total) == expected, f"the total is {int(total)}"


def fail_on_one(rank: int) -> None:
    if rank == 1:
        raise RuntimeError("rank 1 has had enough")
    dist.barrier()


def sleep(rank: int) -> None:
    time.sleep(60 * rank)


def test_every_rank_runs_in_one_group_and_none_is_left() -> None:
    run_on_processes(2, add_up, 3)
    assert not multiprocessing.active_children()


def test_a_failure_on_any_rank_fails_with_its_cause() -> None:
    with pytest.raises(AssertionError, match="the total is 3"):
        run_on_processes(2, add_up, 4)
    with pytest.raises(AssertionError, match=r"rank 1: (.|\n)*rank 1 has had enough"):
        run_on_processes(2, fail_on_one)


def test_what_takes_too_long_is_ended() -> None:
    with pytest.raises(AssertionError, match=r"ranks \[(0, )?1\] were not done in time"):
        run_on_processes(2, sleep, timeout=4.0)
    assert not multiprocessing.active_children()
