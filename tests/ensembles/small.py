"""Small ensembles on a table of three classes."""

from pathlib import Path
from typing import Any

import torch
from classifiers import inputs_of

from softtargets.ensembles import EnsembleResults, train_ensemble
from softtargets.evaluate import EvaluationOptions
from softtargets.train import LoadedRun

KINDS: list[dict[str, Any]] = [
    {"name": "seeds", "size": 2},
    {"name": "seeds", "size": 2, "combine": "logits", "calibrator": "none"},
    {"name": "bagging", "size": 2, "calibrator": "isotonic-calibration"},
    {"name": "snapshots", "size": 2},
    {"name": "boosting", "size": 2},
    {"name": "stacking", "folds": 2, "models": [{"name": "mlp", "hidden": []}]},
]


def write_table(folder: Path) -> Path:
    """Write `table.csv`, whose three classes overlap, into a folder."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(240) % 3
    rows = torch.randn(240, 2, generator=draw) + 1.5 * torch.stack([labels == 0, labels == 1], 1)
    lines = "".join(f"{a},{b},{'xyz'[label]}\n" for (a, b), label in zip(rows.tolist(), labels.tolist(), strict=True))
    (folder / "table.csv").write_text("a,b,label\n" + lines)
    return folder


def specification(folder: Path) -> dict[str, Any]:
    """Return the specification of one run on the table."""
    return {
        "data": {"name": str(folder / "table.csv")},
        "model": {"name": "mlp", "hidden": [8]},
        "optimizer": {"learning_rate": 0.2},
        "training": {"epochs": 4, "batch_size": 16, "precision": "float32"},
    }


def made_on(folder: Path, ensemble: dict[str, Any], **changes: Any) -> EnsembleResults:
    """Train an ensemble on the table, in the store `runs` beside it."""
    content = {**specification(folder), **changes, "ensemble": ensemble}
    return train_ensemble(content, runs=folder / "runs", evaluation=EvaluationOptions(n_draws=10))


def rows_of(run: LoadedRun) -> torch.Tensor:
    """Return the rows of the test split."""
    rows = inputs_of(run)
    assert isinstance(rows, torch.Tensor)
    return rows
