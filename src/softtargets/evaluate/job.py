"""Evaluate predictions: inputs, accumulate, calibrate, findings, results, page."""

import errno
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from softtargets._errors import fail, fail_type
from softtargets._storage import user_path
from softtargets.data.predictions import ArrayLike
from softtargets.evaluate.accumulate import accumulate
from softtargets.evaluate.calibrate import calibrate
from softtargets.evaluate.diagrams import CLASSES_RULE
from softtargets.evaluate.differences import compare_models
from softtargets.evaluate.explanations import NOTES, describe_intervals
from softtargets.evaluate.findings import CALIBRATION_RULE, find
from softtargets.evaluate.inputs import OnRows, PredictionSource, open_arrays, open_files
from softtargets.evaluate.models import evaluate_models
from softtargets.evaluate.page import write_page
from softtargets.evaluate.request import EvaluateRequest
from softtargets.evaluate.results import EvaluationResults
from softtargets.evaluate.suite import BINS, CONFIDENCE, DRAWS

PathsLike = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class EvaluationOptions:
    """Settings of an evaluation that rarely change.

    Args:
        seed: of the bootstrap and of the folds of the temperature.
        draws: bootstrap draws of each interval.
        name: of the model; arrays only, files have names.
        class_names: K names; arrays only, files have them as names of columns.
        on_rows: called with the stage, the rows done and the number of rows (None while it is not known).
    """

    seed: int = 0
    draws: int = DRAWS
    name: str | None = None
    class_names: tuple[str, ...] | None = None
    on_rows: OnRows = lambda stage, done, total: None


def evaluate_predictions(
    probs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    logits: ArrayLike | None = None,
    against: Mapping[str, ArrayLike] | None = None,
    predictions: PathsLike | EvaluateRequest | None = None,
    output: str | Path | None = None,
    options: EvaluationOptions | None = None,
) -> EvaluationResults:
    """Compute metrics with intervals, calibration, a cross-fitted temperature, and differences between models.

    Predictions are given as arrays, ``evaluate_predictions(probs, labels)``, or as files,
    ``evaluate_predictions(predictions="held_out.npz")``. The numbers are the same for both. All rows are read twice in
    chunks: for the metrics, and for what temperatures change.

    Args:
        probs: (N, K) probabilities, a NumPy array or a tensor; rows sum to 1. With `predictions`: name of the array or
            columns of probabilities.
        labels: (N,) class indices in [0, K). With `predictions`: name of the array or column.
        logits: (N, K) logits, instead of `probs`. With `predictions`: name of the array or columns.
        against: other models by name, to compare with: arrays of the same kind and shape for the same rows. With
            `predictions`: a file or pattern for each.
        predictions: .npz, .safetensors, .parquet or .csv files with predictions and labels, instead of arrays: a path,
            a pattern, several shards in order, or an :class:`EvaluateRequest` with all that the command line can say.
        output: folder for the page and its files (default: none are written, unless a request names one).
        options: seed, bootstrap draws, names, progress.

    Returns:
        The metrics of every model, the differences between the first and the others, and findings in sentences.

    Raises:
        InputError: for bad input, before anything is written; a ValueError.
        InputTypeError: for what is not an array of numbers; a TypeError.
        OSError: where the page cannot be written.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
        >>> results = evaluate_predictions(probs, torch.tensor([0, 0, 1, 1]))
        >>> results.main.metric("accuracy").value
        0.75
        >>> round(results.main.metric("ece").value, 3)        # (0.1 + 0.2 + 0.3 + 0.6) / 4
        0.3
        >>> results.findings[0].title
        'Undecided whether calibrated to within 2 %.'
    """
    options = options or EvaluationOptions()
    if against is not None and not isinstance(against, Mapping):
        remedy = "write {'name': predictions}"
        raise fail_type("against", "a mapping from names to predictions", type(against).__name__, remedy)
    request = None if predictions is None else _request(predictions, against, probs, labels, logits, options)
    folder = output or (request and request.output)
    if folder is not None:
        folder = user_path("output", folder)
        # before anything is read, which may take long
        _require_writable(folder)
    if request is None:
        name, class_names = options.name or "predictions", options.class_names
        sources = open_arrays(probs, logits, labels, against or {}, name=name, class_names=class_names)
    else:
        sources = open_files(request)
    results = _evaluate(sources, "" if request is None else request.command(options.seed), options)
    if folder is not None:
        options.on_rows("writing the page", 0, None)
        write_page(results, folder)
    return results


def _evaluate(sources: Sequence[PredictionSource], command: str, options: EvaluationOptions) -> EvaluationResults:
    seed, draws, on_rows = options.seed, options.draws, options.on_rows
    accumulated = accumulate(sources, seed=seed, draws=draws, on_rows=on_rows)
    calibrated = calibrate(accumulated, seed=seed, draws=draws, on_rows=on_rows)
    on_rows("computing intervals", 0, None)
    models = evaluate_models(accumulated, calibrated)
    differences = compare_models(accumulated)
    return EvaluationResults(
        command=command,
        findings=find(models, differences, CONFIDENCE),
        models=models,
        num_classes=sources[0].data.num_classes,
        confidence=CONFIDENCE,
        bins=BINS,
        intervals=describe_intervals(draws, several=len(models) > 1),
        classes_rule=CLASSES_RULE,
        calibration_rule=CALIBRATION_RULE,
        class_names=next((s.data.class_names for s in sources if s.data.class_names), ()),
        differences=differences,
        notes=NOTES,
        versions={
            "softtargets": version("softtargets"),
            "torch": version("torch"),
            "python": platform.python_version(),
        },
    )


def _request(
    predictions: PathsLike | EvaluateRequest,
    against: Mapping[str, ArrayLike] | None,
    probs: ArrayLike | None,
    labels: ArrayLike | None,
    logits: ArrayLike | None,
    options: EvaluationOptions,
) -> EvaluateRequest:
    """Return which files were given; everything else must be a name in them."""
    whole = isinstance(predictions, EvaluateRequest)
    given = {"probs": probs, "labels": labels, "logits": logits, "against": against}
    refused = {name: value for name, value in given.items() if whole or not isinstance(value, str | Mapping)}
    refused |= {"options.name": options.name, "options.class_names": options.class_names}
    for name, value in refused.items():
        if value is not None:
            required = "nothing" if whole or name not in given else "a name in the files, or nothing,"
            remedy = "pass arrays or files; an EvaluateRequest says all about files"
            raise fail(name, f"{required} beside predictions", type(value).__name__, remedy)
    if isinstance(predictions, EvaluateRequest):
        return predictions
    paths = (predictions,) if isinstance(predictions, str | Path) else tuple(predictions)
    if not paths:
        raise fail("predictions", "at least one path", "none", "name the files of the predictions")
    others = tuple(f"{name}={path}" for name, path in (against or {}).items())
    return EvaluateRequest(tuple(map(str, paths)), others, logits=logits, probs=probs, labels=labels)


def _require_writable(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise fail("output", "a folder", f"the file '{place}'", "name another folder")
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing))
