"""The training that all methods share: a fixed recipe for each kind of data, and what the user replaces of it."""

import math
from collections.abc import Mapping
from typing import Any

from softtargets._errors import fail, unknown
from softtargets._spec import read_toml
from softtargets.audit.models import architecture_of
from softtargets.compare.request import CompareOptions
from softtargets.data.dataset import Dataset
from softtargets.models import MODELS

# (rows below, batch size)
BATCHES = ((5_000, 32), (20_000, 64), (math.inf, 128))
# Smallest number of steps; small data sets are trained for more epochs.
LEAST_STEPS = 600
# Share of the steps in which the learning rate increases; it then decreases linearly to 0.
WARM_UP = 0.1
_SGD = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
_TABLE = {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01}
_TEXT = {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01}
_FINE_TUNING = {"name": "adamw", "learning_rate": 5e-5, "weight_decay": 0.01}
# What the comparison itself determines.
_OURS = {
    "objective": "the methods that are compared give it",
    "seeds": "use --seed, the first seed of all runs",
    "teachers": "no method of the comparison has a teacher",
}


def given_tables(options: CompareOptions) -> dict[str, Any]:
    """Return the tables of a run specification that the user gave.

    Raises:
        InputError: a file that cannot be read, or a table that the comparison determines.
    """
    source = options.specification
    if source is None:
        tables: dict[str, Any] = {}
    else:
        tables = dict(source) if isinstance(source, Mapping) else read_toml(source)
    for name, why in _OURS.items():
        if name in tables:
            raise fail(f"specification.{name}", f"left out: {why}", f"'{name}'", "remove it")
    if options.model is not None:
        if "model" in tables:
            raise fail("model", "given once", "it and specification.model", "remove one of the two")
        tables["model"] = _model(options.model)
    return tables


def _model(model: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(model, Mapping):
        return dict(model)
    if ":" in model:
        return {"import": model}
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    return {"name": model}


def recipe_of(dataset: Dataset, options: CompareOptions, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of the specification that all runs share, without `data`, `objective` and `seeds`.

    Args:
        dataset: the data set.
        options: the number of epochs.
        tables: what the user gave.
    """
    model, optimizer, epochs = _kind(dataset)
    rows = len(dataset.splits["train"])
    model = dict(tables.get("model", model))
    fine_tuned = "pretrained" in model or "init_from" in model or "init_from" in tables
    training = dict(tables.get("training", {}))
    batch = training.get("batch_size", next(size for below, size in BATCHES if rows < below))
    per_epoch = math.ceil(rows / batch)
    if fine_tuned:
        optimizer, epochs = _FINE_TUNING, 3
    else:
        epochs = max(epochs, math.ceil(LEAST_STEPS / per_epoch))
    if options.epochs is not None:
        if "epochs" in training or "steps" in training:
            raise fail("epochs", "given once", "it and specification.training", "remove one of the two")
        training["epochs"] = options.epochs
    if "steps" not in training:
        training.setdefault("epochs", epochs)
    if "batch_tokens" not in training:
        training["batch_size"] = batch
    steps = training.get("steps") or training["epochs"] * per_epoch
    schedule = {"name": "linear", "warmup_steps": round(WARM_UP * steps)}
    content = {
        "model": model,
        "optimizer": optimizer,
        "schedule": schedule,
        # grey images often show characters, which must not be mirrored
        "augmentation": {"flip": dataset.is_image and dataset.input_shape[0] == 3},
    }
    return {
        **content,
        **{name: table for name, table in tables.items() if name != "data"},
        "model": model,
        "training": training,
    }


def _kind(dataset: Dataset) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Return the network, the optimizer and the number of epochs for a kind of data."""
    if dataset.is_image:
        return architecture_of(dataset), _SGD, 15
    if dataset.is_text:
        return {"name": "mlp", "hidden": ()}, _TEXT, 10
    if dataset.tokenizer is not None:
        return {"name": "embedding_bag"}, _TEXT, 10
    return {"name": "mlp", "hidden": (128, 128)}, _TABLE, 20
