"""Held-out probabilities of a data set: which model is cross-validated, and on what."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from softtargets._errors import fail
from softtargets.audit.classical import Candidate, candidates_for, cross_validate_classical
from softtargets.audit.features import examples_for, shown_source
from softtargets.audit.given import as_network, read_model
from softtargets.audit.models import HeldOut, cross_validate_networks
from softtargets.audit.request import FOLDS, AuditOptions
from softtargets.data.dataset import Dataset
from softtargets.data.spec import DataSpec
from softtargets.runs.store import RunStore

OnStage = Callable[[str, float], None]


def cross_validate(
    dataset: Dataset,
    data: DataSpec,
    store: RunStore,
    options: AuditOptions,
    *,
    labels: Tensor,
    observed: tuple[str, str] | None,
    on_stage: OnStage,
) -> HeldOut:
    """Train one model for each fold, and predict the rows that it was not trained on.

    Networks are trained on images, and where the user names one. Texts, tables and embeddings are given to models of
    scikit-learn.

    Args:
        dataset: the data set of the specification.
        data: the specification, without a fold.
        store: store of networks; finished ones are not trained again.
        options: the model, its inputs, number of folds, epochs, seed, workers, progress.
        labels: (N,) int64, the audited labels of the training split.
        observed: file and column of these labels; None: those of the data set.
        on_stage: called with the progress of models that are not networks.

    Raises:
        InputError: a model cannot be trained; raised before any training.
        RunsFailedError: the training of a model failed.
    """
    rows = len(dataset.splits["train"])
    folds = FOLDS if options.folds is None else options.folds
    if folds > rows:
        raise fail("folds", f"at most {rows}, the number of training rows", folds, "use fewer folds or more rows")
    model = None if options.model is None else read_model(options.model)
    vectors = options.embeddings is not None or options.encoder is not None
    network = None if model is None else as_network(model)
    if network is not None or (model is None and dataset.is_image and not vectors):
        if vectors:
            required = "a scikit-learn estimator with embeddings or encoder"
            raise fail("model", required, f"the network '{options.model}'", "drop one of the two")
        return cross_validate_networks(dataset, data, store, options, observed=observed, own=network, on_stage=on_stage)
    if options.epochs is not None:
        got = f"{options.epochs} for {'texts' if dataset.is_text else 'a table'}"
        raise fail("epochs", "left out, because no network is trained", got, "omit it, or name a network as model")
    examples = examples_for(dataset, options, on_stage)
    candidates = _candidates(model, options, examples, "embeddings" if vectors else _kind(dataset))
    source = shown_source(options)
    return cross_validate_classical(examples, labels, dataset.num_classes, candidates, options, on_stage, source=source)


def _kind(dataset: Dataset) -> str:
    return "texts" if dataset.is_text else "tables"


def _candidates(model: Any, options: AuditOptions, examples: Any, kind: str) -> tuple[Candidate, ...]:
    if model is None:
        return candidates_for(kind, examples)
    return (Candidate(str(options.model if isinstance(options.model, str) else type(model).__name__), model),)
