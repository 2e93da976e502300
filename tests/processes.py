"""Run a function on several processes that are joined by gloo, for the tests of what is distributed."""

import importlib.util
import inspect
import multiprocessing
import os
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any


def run_on_processes(world_size: int, function: Callable[..., None], *args: Any, timeout: float = 120.0) -> None:
    """Call ``function(rank, *args)`` on every rank of a fresh gloo group; fail with the first traceback, or too late.

    The processes are forked off a server that has torch already, talk over the loopback alone, treat warnings as
    errors, wait for one another at the end, and are gone when this returns.

    Args:
        world_size: number of processes.
        function: of a module's top level: it is found again by its file and its name.
        args: whatever pickles, but nothing of the test's own file.
        timeout: seconds, for all of it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch.distributed.tensor"])
    deadline = time.monotonic() + timeout
    source = inspect.getfile(function)
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe() for _ in range(world_size)]
        processes = [
            context.Process(
                target=_work,
                args=(there, rank, world_size, f"file://{folder}/store", timeout, source, function.__name__, args),
                daemon=True,
            )
            for rank, (_, there) in enumerate(pipes)
        ]
        try:
            for process in processes:
                process.start()
            for _, there in pipes:
                there.close()  # else the end of a process would not end its pipe
            ours = [here for here, _ in pipes]
            _collect(ours, deadline)
            for here in ours:
                here.send("all are done")
            for process in processes:
                process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for process in processes:
                if process.is_alive():
                    process.kill()
                    process.join()
    assert [process.exitcode for process in processes] == [0] * world_size


def _collect(pipes: list[Connection], deadline: float) -> None:
    """Wait for every rank's word; the first that failed is the cause, the others only lost their peer."""
    waiting = dict(zip(pipes, range(len(pipes)), strict=True))
    while waiting:
        ready = wait(list(waiting), max(0.0, deadline - time.monotonic()))
        assert ready, f"ranks {sorted(waiting.values())} were not done in time"
        for pipe in ready:
            assert isinstance(pipe, Connection)
            rank = waiting.pop(pipe)
            try:
                said = pipe.recv()
            except EOFError:
                said = "ended without a word"
            assert said is None, f"rank {rank}: {said}"


def _work(
    pipe: Connection,
    rank: int,
    world_size: int,
    store: str,
    timeout: float,
    source: str,
    name: str,
    args: tuple[Any, ...],
) -> None:
    import torch
    import torch.distributed as dist

    loopback = next((label for _, label in socket.if_nameindex() if label.startswith("lo")), None)
    if loopback is not None:
        os.environ["GLOO_SOCKET_IFNAME"] = loopback
    torch.set_num_threads(1)
    try:
        function = getattr(_load(Path(source)), name)
        dist.init_process_group(
            "gloo", init_method=store, rank=rank, world_size=world_size, timeout=timedelta(seconds=timeout)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(rank, *args)
    except BaseException:
        pipe.send(traceback.format_exc())
        raise SystemExit(1) from None
    pipe.send(None)
    pipe.recv()  # a rank that left early would take the ground from under the others
    dist.destroy_process_group()


def _load(path: Path) -> Any:
    # pytest's importlib mode puts test modules where no import finds them
    name = f"on_processes_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
