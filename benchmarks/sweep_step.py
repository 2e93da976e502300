"""One training step of the lab, compared with plain loops on the same network."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import goals
from benchmarks.goals import Measured
from softtargets.data.batches import Inputs
from softtargets.data.dataset import Dataset
from softtargets.data.noise import clean_labels
from softtargets.data.sources import load
from softtargets.runs.machine import quiet_machine
from softtargets.runs.spec import RunSpec
from softtargets.train.execute import resolve
from softtargets.train.loop import Trainer

RUN = {
    "model": {"name": "mlp", "hidden": [256, 256]},
    "objective": {"name": "cross_entropy", "smoothing": 0.1},
    "training": {"epochs": 10, "batch_size": 128, "device": "cpu"},
}
Loop = Callable[[], None]


def table(rounds: int) -> tuple[list[str], list[Measured]]:
    """Measure CPU milliseconds per step with one thread, in rounds of ten epochs in random order.

    Returns:
        The table as Markdown, and what is held against goals.
    """
    run = RunSpec.parse(RUN)
    dataset = load(run.data)
    epochs, batch = 10, run.training.batch_size
    makers = {
        "softtargets": lambda: ours(run, dataset),
        "loop over tensors": lambda: tensors(run, dataset, fused=None),
        "loop over tensors, fused SGD": lambda: tensors(run, dataset, fused=True),
        "DataLoader loop": lambda: loader(run, dataset),
    }
    steps = epochs * -(-len(dataset.splits["train"]) // batch)
    spent: dict[str, list[float]] = {name: [] for name in makers}
    order = random.Random(0)
    with quiet_machine(1):
        for number in range(1 + rounds):
            for name in order.sample(list(makers), len(makers)):
                epoch = makers[name]()
                start = time.process_time()
                for _ in range(epochs):
                    epoch()
                if number:
                    spent[name].append(1e3 * (time.process_time() - start) / steps)
    return _shown(spent, rounds)


def _shown(spent: dict[str, list[float]], rounds: int) -> tuple[list[str], list[Measured]]:
    base = spent["loop over tensors"]
    lines = [
        "## One step of an MLP 64-256-256-10, batch of 128, one thread",
        "",
        f"CPU time, n = {rounds} interleaved rounds: medians. The loss is cross entropy with smoothing .1.",
        "",
        "| contender | ms per step | ÷ loop over tensors |",
        "|---|---:|---:|",
    ]
    ratios = {}
    for name, values in spent.items():
        ratios[name] = statistics.median(value / first for value, first in zip(values, base, strict=True))
        lines.append(f"| {name} | {statistics.median(values):.3f} | {ratios[name]:.2f} |")
    measured = [Measured("step", "softtargets", ratios["softtargets"], rounds)]
    return [*lines, "", goals.line(measured), ""], measured


def ours(run: RunSpec, dataset: Dataset) -> Loop:
    """Return an epoch of the lab's training loop."""
    folder = Path(tempfile.gettempdir())  # nothing is written to it
    trainer = Trainer(resolve(run, dataset.fingerprint), dataset, clean_labels(dataset), folder)
    return lambda: trainer.run_steps(trainer.length.steps_per_epoch)


def plain(run: RunSpec, dataset: Dataset) -> tuple[nn.Module, Tensor, Tensor]:
    """Return the same network, and the training split's inputs and labels."""
    rows = dataset.splits["train"]
    model = run.model.build(dataset.input_shape, dataset.num_classes)
    return model.train(), Inputs(dataset, torch.device("cpu")).batch(rows), dataset.labels[rows]


def _sgd(run: RunSpec, model: nn.Module, fused: bool | None) -> torch.optim.Optimizer:
    settings = run.optimizer
    return torch.optim.SGD(model.parameters(), lr=settings.learning_rate, momentum=settings.momentum, fused=fused)


def tensors(run: RunSpec, dataset: Dataset, *, fused: bool | None) -> Loop:
    """Return an epoch of a loop that indexes tensors."""
    model, inputs, labels = plain(run, dataset)
    optimizer = _sgd(run, model, fused)

    def epoch() -> None:
        for ids in torch.randperm(len(labels)).split(run.training.batch_size):
            loss = F.cross_entropy(model(inputs[ids]), labels[ids], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def loader(run: RunSpec, dataset: Dataset) -> Loop:
    """Return an epoch of a loop over torch's DataLoader."""
    model, inputs, labels = plain(run, dataset)
    optimizer = _sgd(run, model, None)
    batches = DataLoader(TensorDataset(inputs, labels), batch_size=run.training.batch_size, shuffle=True)

    def epoch() -> None:
        for chunk, targets in batches:
            loss = F.cross_entropy(model(chunk), targets, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch
