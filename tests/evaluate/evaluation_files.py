"""Files of predictions for the tests of `evaluate`."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Of three classes; the predicted one is right in rows 0, 2 and 3.
BY_HAND = [
    ((0.7, 0.2, 0.1), 0),
    ((0.5, 0.3, 0.2), 1),
    ((0.1, 0.8, 0.1), 1),
    ((0.2, 0.2, 0.6), 2),
    ((0.4, 0.5, 0.1), 0),
]


def values(said: dict[str, Any], model: int = 0) -> dict[str, float | None]:
    return {name: metric["value"] for name, metric in said["models"][model]["metrics"].items()}


def simulate(size: int = 1000, num_classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits that are surer than they may be, and labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size, num_classes, generator=generator)
    return logits, torch.multinomial((logits / 1.5).softmax(1), 1, generator=generator)[:, 0]


def write_arrays(name: str, content: dict[str, Any]) -> None:
    np.savez(name, **content)


def write_csv(name: str, rows: list[list[Any]]) -> None:
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_by_hand(name: str = "hand.csv") -> None:
    write_csv(name, [["probs_cat", "probs_dog", "probs_eel", "labels"], *([*p, y] for p, y in BY_HAND)])
