"""Simulated predictions of labels with known noise, and the files that an audit reads."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ASYMMETRIC = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.7, 0.3], [0.1, 0.0, 0.9]])

Run = Callable[..., Path]


def simulate(size: int = 3000, seed: int = 0, sharpness: float = 12.0) -> dict[str, np.ndarray]:
    """Return what a model that is right says, held out, of the observed labels, these labels and the clean ones."""
    generator = torch.Generator().manual_seed(seed)
    clean_probs = (sharpness * torch.randn(size, 3, generator=generator).double()).softmax(1)
    clean = torch.multinomial(clean_probs, 1, generator=generator)[:, 0]
    labels = torch.multinomial(ASYMMETRIC[clean].double(), 1, generator=generator)[:, 0]
    probs = (clean_probs @ ASYMMETRIC.double()).float()
    return {"probs": probs.numpy(), "labels": labels.numpy(), "clean": clean.numpy()}


def write_arrays(path: Path, content: dict[str, Any]) -> None:
    np.savez(path, **content)


def write_column(path: Path, values: Iterable[Any], name: str = "label") -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[name], *([value] for value in values)])


def write_table(path: Path, labels: Iterable[int], inputs: np.ndarray) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(inputs.shape[1])), "label"])
        writer.writerows([*row, label] for row, label in zip(inputs.tolist(), labels, strict=True))
