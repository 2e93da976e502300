"""Held-out probabilities from cross-validated models, which are kept in the run store."""

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.audit.request import FOLDS, AuditOptions, RunsFailedError
from softtargets.audit.results import CrossValidatedModel
from softtargets.data import fingerprint
from softtargets.data.dataset import Dataset
from softtargets.data.spec import DataSpec, Fold
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import resolve
from softtargets.train.schedule import train_all

DYNAMICS = ("area_under_margin", "forgetting", "early_agreement")
# Widths of the stages of the convolutional network; as many as leave at least 2 pixels in both directions.
WIDTHS = (32, 64, 128, 256)
# (number of rows below, batch size)
BATCHES = ((5_000, 32), (20_000, 64), (math.inf, 128))
# Smallest number of steps; small data sets are trained for more epochs.
LEAST_STEPS = 300
# Share of the steps in which the learning rate increases; it then decreases linearly to 0.
WARM_UP = 0.1


@dataclass(frozen=True)
class Recipe:
    """The fixed training recipe for one kind of data. It is not tuned on the labels.

    Args:
        describes: the model, in words.
        epochs: number of epochs, small so that wrong labels are not memorized.
        optimizer: optimizer of the run specification.
    """

    describes: str
    epochs: int
    optimizer: dict[str, Any]


_SGD = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
RECIPES = {
    "images": Recipe("a small convolutional network", 8, _SGD),
    "texts": Recipe(
        "softmax regression on hashed TF-IDF", 10, {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01}
    ),
    "tables": Recipe("a multilayer perceptron", 20, {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01}),
}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The result of cross-validation.

    Args:
        rows: (N,) int64, rows of the data set, ascending.
        probs: (N, K) float32, predictions of the model that was not trained on the row.
        dynamics: (N,) float64 by name, averaged over the models that were trained on the row.
        model: description of the models.
    """

    rows: Tensor
    probs: Tensor
    dynamics: dict[str, Tensor]
    model: CrossValidatedModel


def cross_validate(
    dataset: Dataset,
    data: DataSpec,
    store: RunStore,
    options: AuditOptions,
    *,
    observed: tuple[str, str] | None,
) -> HeldOut:
    """Train one model for each fold, several in parallel, and predict the rows that it was not trained on.

    Args:
        dataset: the data set of the specification.
        data: the specification, without a fold.
        store: store of the models; finished models are not trained again.
        options: number of folds, epochs, seed, workers, progress.
        observed: file and column of the labels; None: those of the data set.

    Raises:
        InputError: a model cannot be trained; raised before any training.
        RunsFailedError: the training of a model failed.
    """
    folds, rows = FOLDS if options.folds is None else options.folds, len(dataset.splits["train"])
    if folds > rows:
        raise fail("folds", f"at most {rows}, the number of training rows", folds, "use fewer folds or more rows")
    runs = [_specify(dataset, data, Fold(index=fold, count=folds), options, observed) for fold in range(folds)]
    content = fingerprint(data, cache=store.cache)
    resolved = [resolve(run, content) for run in runs]
    outcomes = train_all(resolved, store, workers=options.workers, on_progress=options.on_progress)
    failed = next((outcome for outcome in outcomes if outcome.status == "failed"), None)
    if failed is not None:
        raise RunsFailedError(f"a cross-validated model failed: {failed.message}")
    found = [read_predictions(store.path(run.identity)) for run in resolved]
    return _merge(found, _model(runs[0], _recipe(dataset), folds))


def _specify(
    dataset: Dataset, data: DataSpec, fold: Fold, options: AuditOptions, observed: tuple[str, str] | None
) -> RunSpec:
    recipe = _recipe(dataset)
    rows = len(dataset.splits["train"])
    batch = next(size for below, size in BATCHES if rows < below)
    per_epoch = math.ceil((rows - rows // fold.count) / batch)
    least = max(recipe.epochs, math.ceil(LEAST_STEPS / per_epoch))
    epochs = least if options.epochs is None else options.epochs
    content: dict[str, Any] = {
        "data": {**data.model_dump(exclude_none=True), "fold": fold.model_dump()},
        "model": _architecture(dataset),
        "optimizer": recipe.optimizer,
        "schedule": {"name": "linear", "warmup_steps": round(WARM_UP * epochs * per_epoch)},
        # Grey images often show characters, which must not be mirrored.
        "augmentation": {"flip": dataset.is_image and dataset.input_shape[0] == 3},
        "training": {"epochs": epochs, "batch_size": batch, "dynamics": True},
        "seeds": options.seed,
    }
    if observed is not None:
        content["noise"] = {"name": "recorded", "file": observed[0], "column": observed[1]}
    return RunSpec.parse(content, source="audit")


def _recipe(dataset: Dataset) -> Recipe:
    return RECIPES["images" if dataset.is_image else "texts" if dataset.is_text else "tables"]


def _architecture(dataset: Dataset) -> dict[str, Any]:
    if dataset.is_image:
        stages = min(max(min(dataset.input_shape[1:]).bit_length() - 2, 1), len(WIDTHS))
        return {"name": "convnet", "widths": WIDTHS[:stages]}
    return {"name": "mlp", "hidden": ()} if dataset.is_text else {"name": "mlp", "hidden": (128, 128), "dropout": 0.1}


def _model(run: RunSpec, recipe: Recipe, folds: int) -> CrossValidatedModel:
    content = run.model_dump(mode="json", exclude_none=True, exclude={"data", "noise", "seeds"})
    specification = json.dumps(content, indent=2, ensure_ascii=False)
    return CrossValidatedModel(folds, f"{recipe.describes}, {run.training.epochs} epochs", specification)


def _merge(found: list[dict[str, Tensor]], model: CrossValidatedModel) -> HeldOut:
    rows = torch.cat([part["validation.ids"] for part in found])
    order = rows.argsort()
    logits = torch.cat([part["validation.logits"] for part in found])[order]
    rows = rows[order]
    size = int(rows.max()) + 1
    seen = torch.zeros(size, dtype=torch.float64)
    sums = {name: torch.zeros(size, dtype=torch.float64) for name in DYNAMICS}
    for part in found:
        seen[part["train.ids"]] += 1
        for name, total in sums.items():
            total[part["train.ids"]] += part[f"train.{name}"].double()
    dynamics = {name: total[rows] / seen[rows] for name, total in sums.items()}
    return HeldOut(rows, torch.softmax(logits.float(), dim=-1), dynamics, model)
