"""A specification of every objective: what it requires beside its name, for a data set that a test chooses."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def specification(name: str, folder: Path, class_names: Sequence[str], labels: Sequence[int]) -> dict[str, Any]:
    """Return the specification of an objective with a value for every field that has no default.

    Args:
        name: of the objective.
        folder: where files of the objective are written.
        class_names: of the data set.
        labels: of the data set's own training part.
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
    needed = {**tables, **others}.get(name, {})
    if name == "votes":
        path = folder / "votes.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(class_names)
            # three votes for the label and one for the next class
            writer.writerows([3 * (label == k) + ((label + 1) % size == k) for k in range(size)] for label in labels)
        needed = {"file": str(path)}
    return {"name": name, **needed}
