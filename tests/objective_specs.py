"""A specification of every objective, and a context and batches of a small made-up data set for all of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from softtargets.matrices import Transition
from softtargets.objectives import Batch, Objective, ObjectiveContext, TrainingData
from softtargets.runs.spec import RunSpec

N, K = 6, 4
CLASSES = ("cat", "dog", "bird", "fish")
TEXTS = ("a cat and a mouse", "the dog barks", "a bird in the tree", "a fish in the sea", "the cat sleeps")
DATA = TrainingData(
    class_names=CLASSES,
    input_shape=(3, 8, 8),
    labels=torch.arange(20) % K,
    train=torch.arange(2, 18),
    source=torch.arange(20),
    texts=tuple(f"{TEXTS[row % K]} {TEXTS[row % 5]}" for row in range(20)),
)
BASE = {"model": {"name": "mlp"}, "training": {"epochs": 2, "average_decay": 0.9}}


def parse(content: dict[str, Any], **run: Any) -> Objective:
    """Return the objective of a run specification, which `run` changes."""
    return RunSpec.parse({**BASE, **run, "objective": content}).objective


def context(members: int = 1, **changes: Any) -> ObjectiveContext:
    """Return a context that has everything, such as teachers whose logits do not depend on the inputs."""
    logits = torch.randn(members, N, K, generator=torch.Generator().manual_seed(1))
    whole = ObjectiveContext(
        num_examples=20,
        num_classes=K,
        transition=Transition.symmetric(0.2, K),
        epochs=2,
        teacher=lambda ids, inputs: logits,
        data=DATA,
    )
    return replace(whole, **changes)


def batch_of(draw: torch.Generator) -> Batch:
    """Return a batch of N images."""
    inputs = torch.randn(N, 3, 8, 8, generator=draw)
    return Batch(inputs, torch.randint(0, K, (N,), generator=draw), torch.arange(N) + 5)


def step(trained: Objective, seed: int, labelled: torch.Tensor | None = None) -> torch.Tensor:
    """Take a step with drawn logits, and return the losses; the gradient must be finite."""
    draw = torch.Generator().manual_seed(seed)
    batch = replace(batch_of(draw), labelled=labelled)
    if labelled is not None:
        batch = replace(batch, labels=batch.labels.masked_fill(~labelled, -1))
    logits = torch.randn(N, K, generator=draw, requires_grad=True)
    batch = trained.prepare(batch, draw)
    trained.observe(batch, logits.detach())
    found = trained.losses(logits, batch)
    trained.risk(found).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    return found.detach()


def specification(name: str, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the specification of an objective with a value for every field that has no default.

    Args:
        name: of the objective.
        class_names: of the data set.
    """
    size = len(class_names)
    half = size // 2
    tables = {
        "class_table": {"table": [[0.7 * (i == j) + 0.3 / size for j in range(size)] for i in range(size)]},
        "confusion_smoothing": {"counts": [[i + j for j in range(size)] for i in range(size)]},
        "hierarchical_smoothing": {"hierarchy": {"one": list(class_names[:half]), "two": list(class_names[half:])}},
    }
    others = {
        "forward": {"noise_rate": 0.2},
        "backward": {"noise_rate": 0.2},
        "loss_bound": {"transition": {"name": "symmetric", "rate": 0.2}},
        "distillation": {"source": "average", "weight": 0.3},
        "pseudo_labels": {"source": "average", "threshold": 0.0},
    }
    return {"name": name, **tables.get(name, {}), **others.get(name, {})}


def numbers(batch: Batch) -> Tensor:
    """Return the inputs of a batch that are one tensor, not rows of tokens."""
    assert isinstance(batch.inputs, Tensor)
    return batch.inputs
