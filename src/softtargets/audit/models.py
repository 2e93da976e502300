"""Held-out probabilities from cross-validated networks, which are kept in the run store."""

import json
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from softtargets.audit.paired_check import Refit
from softtargets.audit.request import FOLDS, AuditOptions, OnStage, RunsFailedError
from softtargets.audit.results import CrossValidatedModel
from softtargets.data import fingerprint
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load_cached
from softtargets.data.spec import DataSpec, Fold
from softtargets.models.imported import IMPORT, ImportedSpec
from softtargets.report.numbers import duration
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.estimate import estimate_total_seconds
from softtargets.train.execute import resolve, validate_setup
from softtargets.train.graph import RunGraph
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


_ADAMW = {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01}
_SGD = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
IMAGES = Recipe("a small convolutional network", 8, _SGD)
# Of a network that the user names: AdamW trains most architectures at this learning rate.
OWN_EPOCHS = 20


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The result of cross-validation.

    Args:
        rows: (N,) int64, rows of the data set, ascending.
        probs: (N, K) float32, predictions of the model that was not trained on the row.
        dynamics: (N,) float64 by name, averaged over the models that were trained on the row.
        model: description of the models.
        refit: fits the models to other rows; None for networks, whose training takes too long and varies too much to
            compare two of them.
    """

    rows: Tensor
    probs: Tensor
    dynamics: dict[str, Tensor]
    model: CrossValidatedModel
    refit: Refit | None = None


def cross_validate_networks(
    dataset: Dataset,
    data: DataSpec,
    store: RunStore,
    options: AuditOptions,
    *,
    observed: tuple[str, str] | None,
    own: ImportedSpec | None = None,
    on_stage: OnStage = lambda name, done: None,
) -> HeldOut:
    """Train one network for each fold, several in parallel, and predict the rows that it was not trained on.

    Args:
        dataset: the data set of the specification.
        data: the specification, without a fold.
        store: store of the networks; finished ones are not trained again.
        options: number of folds, epochs, seed, workers, progress.
        observed: file and column of the labels; None: those of the data set.
        own: the network that the user names; None: a small convolutional network.
        on_stage: called with the estimated time before any network is trained.

    Raises:
        InputError: a network cannot be trained; raised before any training.
        RunsFailedError: the training of a network failed.
    """
    folds = FOLDS if options.folds is None else options.folds
    recipe = IMAGES if own is None else Recipe(f"the network {getattr(own, IMPORT)}", OWN_EPOCHS, _ADAMW)
    architecture = architecture_of(dataset) if own is None else {IMPORT: getattr(own, IMPORT)}
    runs = [
        _specify(dataset, data, Fold(index=fold, count=folds), options, observed, recipe, architecture)
        for fold in range(folds)
    ]
    content = fingerprint(data, cache=store.cache)
    resolved = [resolve(run, content) for run in runs]
    if missing := RunGraph.build(resolved, store).missing:
        validate_setup(missing, store)
        seconds = estimate_total_seconds(missing, partial(_dataset_of, store), store, workers=options.workers)
        on_stage(f"cross-validating {recipe.describes}: {folds} folds, about {duration(seconds)}", 0.0)
    outcomes = train_all(resolved, store, workers=options.workers, on_progress=options.on_progress)
    failed = next((outcome for outcome in outcomes if outcome.status == "failed"), None)
    if failed is not None:
        raise RunsFailedError(f"a cross-validated model failed: {failed.message}")
    found = [read_predictions(store.path(run.identity)) for run in resolved]
    return _merge(found, _model(runs[0], recipe, folds))


def _dataset_of(store: RunStore, run: RunSpec) -> Dataset:
    return load_cached(run.data, str(store.cache))  # pyright: ignore[reportArgumentType]


def _specify(
    dataset: Dataset,
    data: DataSpec,
    fold: Fold,
    options: AuditOptions,
    observed: tuple[str, str] | None,
    recipe: Recipe,
    architecture: dict[str, Any],
) -> RunSpec:
    rows = len(dataset.splits["train"])
    batch = next(size for below, size in BATCHES if rows < below)
    per_epoch = math.ceil((rows - rows // fold.count) / batch)
    least = max(recipe.epochs, math.ceil(LEAST_STEPS / per_epoch))
    epochs = least if options.epochs is None else options.epochs
    content: dict[str, Any] = {
        "data": {**data.model_dump(exclude_none=True), "fold": fold.model_dump()},
        "model": architecture,
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


def architecture_of(dataset: Dataset) -> dict[str, Any]:
    """Return the convolutional network for the size of the images."""
    stages = min(max(min(dataset.input_shape[1:]).bit_length() - 2, 1), len(WIDTHS))
    return {"name": "convnet", "widths": WIDTHS[:stages]}


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
