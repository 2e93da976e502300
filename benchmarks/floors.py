"""What bounds the goals of layers, training steps and noisy labels: work that no loss and no loop avoids.

:mod:`benchmarks.where` writes the table to PROFILE.md.
"""

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import contenders, sweep, sweep_step
from benchmarks.meter import Call
from softtargets import noise
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load
from softtargets.losses._engine.linear_blocks import product_dtype
from softtargets.runs.machine import quiet_machine
from softtargets.runs.spec import RunSpec

RESNET = {"name": "resnet", "depth": 8}
ABOUT = """## What bounds the other goals

CPU time of one call in milliseconds, one thread, medians of {rounds} rounds in which all contenders of a block run in
random order. *Of ours* is the share of our time. *Bound* is the ratio that the goal would reach if ours took no more
than this part.

| problem | contender | ms | of ours | bound |
|---|---|---:|---:|---:|
"""


@dataclass(frozen=True)
class Block:
    """A problem whose contenders are timed together.

    Args:
        title: the problem.
        calls: contender -> call. One is "ours".
        base: the contender that the goal is relative to; None: the goal is a time.
        parts: the contenders that are a part of the work of ours.
    """

    title: str
    calls: dict[str, Call]
    base: str | None
    parts: tuple[str, ...]


def table(*, rounds: int, quick: bool) -> str:
    """Return the table as Markdown."""
    lines = [ABOUT.format(rounds=rounds)]
    with quiet_machine(1):
        for block in _blocks(quick):
            spent = _medians(block.calls, rounds)
            for name, seconds in spent.items():
                bound = ""
                if name in block.parts and block.base is not None:
                    bound = f"{seconds / spent[block.base]:.2f}× {block.base}"
                lines.append(
                    f"| {block.title} | {name} | {1e3 * seconds:.2f} | {seconds / spent['ours']:.0%} | {bound} |\n"
                )
    return "".join(lines)


def _blocks(quick: bool) -> Iterator[Block]:
    for dtype in (torch.float32, torch.bfloat16):
        yield _linear(*((64, 16, 100) if quick else (4096, 512, 32000)), dtype)
    yield _step("MLP 64-256-256-10 on digits", RunSpec.parse(sweep_step.RUN))
    if sweep.FASHION.exists() and not quick:
        data = {"name": str(sweep.FASHION.resolve()), "limit": {"train": 1280, "validation": 100, "test": 100}}
        yield _step("ResNet-8 on Fashion-MNIST", RunSpec.parse({**sweep_step.RUN, "data": data, "model": RESNET}))
    yield _corrupt(1000 if quick else 1_300_000, 1000)


def _linear(rows: int, width: int, classes: int, dtype: torch.dtype) -> Block:
    draws = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, width, generator=draws).to(dtype).requires_grad_()
    weight = (torch.randn(classes, width, generator=draws) / width**0.5).to(dtype).requires_grad_()
    labels = torch.randint(classes, (rows,), generator=draws)

    def trained(loss: contenders.Loss) -> Call:
        def call() -> None:
            hidden.grad = weight.grad = None
            loss(hidden, weight).backward()

        return call

    title = f"linear layer and loss, {rows}×{width}×{classes}, {str(dtype).removeprefix('torch.')}"
    calls = {
        "ours": trained(contenders.linear_ours(labels)),
        "torch": trained(contenders.linear_usual(labels)),
        "the three products alone": _products(hidden.detach(), weight.detach()),
    }
    return Block(title, calls, "torch", ("the three products alone",))


def _products(hidden: Tensor, weight: Tensor, block: int = 512) -> Call:
    """Return a call of the products of the logits and of both gradients, in blocks of rows, with nothing between."""
    dtype = product_dtype(hidden.dtype)
    rows, classes = hidden.to(dtype), weight.to(dtype)
    logits, of_hidden, of_weight = (
        rows.new_empty(block, len(classes)),
        torch.empty_like(rows),
        torch.zeros_like(classes),
    )

    def call() -> None:
        for some, gradient in zip(rows.split(block), of_hidden.split(block), strict=True):
            out = torch.mm(some, classes.T, out=logits[: len(some)])
            torch.mm(out, classes, out=gradient)
            of_weight.addmm_(out.T, some)

    return call


def _step(title: str, run: RunSpec) -> Block:
    """Compare an epoch of the lab with one of a DataLoader loop and with the network and the optimiser alone."""
    dataset = load(run.data)
    calls = {
        "ours": sweep_step.ours(run, dataset),
        "DataLoader loop": sweep_step.loader(run, dataset),
        "loop over tensors": sweep_step.tensors(run, dataset, fused=None),
        "the network alone": _network(run, dataset),
    }
    return Block(f"one epoch, {title}", calls, "DataLoader loop", ("the network alone",))


def _network(run: RunSpec, dataset: Dataset) -> Call:
    """Return a call of the forward and the backward pass of each batch of an epoch, without loss and optimiser."""
    model, inputs, _ = sweep_step.plain(run, dataset)
    batches = inputs.split(run.training.batch_size)
    gradient = torch.ones(run.training.batch_size, dataset.num_classes)

    def call() -> None:
        for batch in batches:
            model(batch).backward(gradient[: len(batch)])

    return call


def _corrupt(rows: int, classes: int) -> Block:
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (rows,), generator=draws)
    transition = noise.symmetric(0.4, classes)
    calls: dict[str, Call] = {
        "ours": lambda: noise.corrupt(labels, transition, generator=draws),
        "the permutation alone": lambda: torch.randperm(rows, generator=draws, dtype=torch.int32),
        "counting pairs of labels alone": lambda: torch.bincount(labels * classes + labels, minlength=classes**2),
    }
    title = f"corrupt, {rows:,} labels of {classes:,} classes"
    return Block(title, calls, None, tuple(calls)[1:])


def _medians(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Return seconds of CPU time per call, after a round that is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for number in range(1 + rounds):
        for name in order.sample(list(calls), len(calls)):
            start = time.process_time()
            calls[name]()
            if number:
                spent[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in spent.items()}
