"""A small table, and what a comparison of it is told."""

from pathlib import Path
from typing import Any

import numpy as np

from softtargets.compare import CompareOptions

# A recipe that takes a tenth of a second.
RECIPE: dict[str, Any] = {
    "model": {"name": "mlp", "hidden": [8]},
    "optimizer": {"name": "adamw", "learning_rate": 0.02},
    "training": {"epochs": 3, "batch_size": 32, "precision": "float32"},
}


def write_table(path: Path, rows: int = 600, classes: int = 3, flipped: float = 0.0, spread: float = 1.0) -> Path:
    """Write a CSV file of Gaussian classes with the columns x, y and label; a share of the labels is wrong."""
    draws = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    angles = 2 * np.pi * labels / classes
    points = 2 * np.stack([np.cos(angles), np.sin(angles)], 1) + spread * draws.normal(size=(rows, 2))
    given = np.where(draws.random(rows) < flipped, draws.integers(classes, size=rows), labels)
    lines = [f"{x:.4f},{y:.4f},class {label}" for (x, y), label in zip(points, given, strict=True)]
    path.write_text("\n".join(["x,y,label", *lines]) + "\n")
    return path


def options(folder: Path, **settings: Any) -> CompareOptions:
    """Return the settings of a short comparison."""
    given = {"seeds": 2, "workers": 1, "runs": folder / "runs", "specification": RECIPE}
    return CompareOptions(**{**given, **settings})
