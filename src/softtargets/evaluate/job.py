"""Evaluate predictions: inputs, metrics, calibration, findings, results, page."""

import errno
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets._memory import release_freed
from softtargets._version import package_version
from softtargets.data.predictions import ArrayLike
from softtargets.evaluate.accumulate import accumulate
from softtargets.evaluate.calibrate import calibrate
from softtargets.evaluate.catalog import BINS
from softtargets.evaluate.diagrams import CLASSES_RULE, NO_CLASSES_RULE
from softtargets.evaluate.differences import compare_models
from softtargets.evaluate.explanations import assumptions, describe_intervals
from softtargets.evaluate.findings import CALIBRATION_RULE, find
from softtargets.evaluate.inputs import OnRows, PredictionSource, open_arrays, open_files
from softtargets.evaluate.models import evaluate_models
from softtargets.evaluate.request import EvaluateRequest, ModelFiles
from softtargets.evaluate.results import EvaluationResults
from softtargets.evaluate.sets.evaluated import open_calibration, with_sets
from softtargets.evaluate.suite import CONFIDENCE, DRAWS
from softtargets.evaluate.tokens.findings import TOKENS_RULE, find_tokens
from softtargets.evaluate.tokens.labels import count_labels, given_counts
from softtargets.evaluate.tokens.ranges import TokenBins
from softtargets.evaluate.votes.evaluated import find_votes, vote_notes
from softtargets.report.folders import read_folder

# Numbers in predictions from which several threads are used.
_LARGE = 2**26
PathsLike = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class EvaluationOptions:
    """Settings of an evaluation that rarely change.

    Args:
        seed: seed of the bootstrap and of the folds of the temperature, in [0, 2**32).
        n_draws: bootstrap draws for each interval, at least 1.
        name: name of the main model (default: the name of its file, or "predictions" for arrays).
        class_names: K names of the classes; only for arrays, files have them as names of columns.
        token_counts: (K,) how often each token occurs in the training data, for the metrics of sequences by frequency
            (default: tokens are counted in the labels).
        conformal: share of prediction sets that may miss the label, in (0, 1), for the coverage and the size of
            prediction sets (default: none are computed).
        reports: folder in which the page gets a folder named after the model, if `output` is not given (default: no
            page is written).
        on_rows: called with the stage, the rows done and the number of rows (None while it is unknown).
    """

    seed: int = 0
    n_draws: int = DRAWS
    name: str | None = None
    class_names: tuple[str, ...] | None = None
    token_counts: ArrayLike | None = field(default=None, compare=False)
    conformal: float | None = None
    reports: Path | None = None
    on_rows: OnRows = lambda stage, done, total: None

    def __post_init__(self) -> None:
        for name, low, high in (("seed", 0, 2**32), ("n_draws", 1, 2**20)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value < high:
                raise fail(name, f"a whole number in [{low}, {high:,})", repr(value), "choose another number")
        if self.conformal is not None and not (isinstance(self.conformal, float) and 0 < self.conformal < 1):
            remedy = "0.1 gives sets that contain 90 % of the labels"
            raise fail("conformal", "a number above 0 and below 1", repr(self.conformal), remedy)
        if self.reports is not None:
            object.__setattr__(self, "reports", read_folder("reports", self.reports))


def evaluate_predictions(
    probs: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    logits: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    against: Mapping[str, ArrayLike] | None = None,
    predictions: PathsLike | EvaluateRequest | None = None,
    output: str | Path | None = None,
    options: EvaluationOptions | None = None,
) -> EvaluationResults:
    """Compute metrics with intervals, calibration, a cross-fitted temperature, and differences between models.

    Predictions are given as arrays, ``evaluate_predictions(probs, labels)``, or as files,
    ``evaluate_predictions(predictions="held_out.npz")``. The numbers are the same for both. All rows are read twice in
    chunks: for the metrics, and for the effect of the temperature.

    Arrays of three axes are predictions for sequences of tokens. ``labels[n, l]`` is the token that ``logits[n, l]``
    predicts: for a language model, pass ``logits[:, :-1]`` with ``input_ids[:, 1:]``. The metrics are those of the
    tokens; they are also computed by position and by token frequency. Intervals resample whole sequences, and
    temperatures are evaluated on other sequences than they are fitted on.

    Args:
        probs: (N, K) or (N, L, K) probabilities, a NumPy array or a tensor; rows sum to 1. (N,): those of class 1 of
            two. With `predictions`: name of
            the array or columns of probabilities.
        labels: (N,) or (N, L) class indices in [0, K); -100 for tokens to ignore. (N, K): votes of several annotators
            (whole numbers) or distributions that sum to 1; the page then also shows the expected scores against them.
            With `predictions`: name of the array or column, or the common part of columns such as ``votes_cat``.
        logits: (N, K) or (N, L, K) logits, instead of `probs`. With `predictions`: name of the array or columns.
        mask: (N, L) bool, or 0 and 1; false or 0 for tokens to ignore. With `predictions`: name of the array; an array
            named "mask" is used if there is one.
        against: other models by name, to compare with: arrays of the same kind and shape for the same rows. With
            `predictions`: the path, pattern or paths of each.
        predictions: .npz, .npy, .safetensors, .parquet or .csv files of predictions and labels, not arrays: a path,
            a pattern or several shards in order; or an :class:`EvaluateRequest`.
        output: folder for the page and its files (default: no page is written).
        options: seed, bootstrap draws, names, progress.

    Returns:
        The metrics of every model, the differences between the first and the others, and findings in sentences.

    Raises:
        InputError: for invalid input, before anything is written; a ValueError.
        InputTypeError: for arguments of the wrong type; a TypeError.
        OSError: if the page cannot be written.

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
    options = EvaluationOptions() if options is None else options
    if not isinstance(options, EvaluationOptions):
        remedy = "write EvaluationOptions(seed=1)"
        raise fail_type("options", "EvaluationOptions", type(options).__name__, remedy)
    if against is not None and not isinstance(against, Mapping):
        remedy = "write {'name': predictions}"
        raise fail_type("against", "a mapping from names to predictions", type(against).__name__, remedy)
    folder = None if output is None else read_folder("output", output)
    request = None if predictions is None else _request(predictions, against, (probs, labels, logits, mask), options)
    if request is None:
        name = options.name or "predictions"
        folder = _writable(folder or _in_reports(options, name))
        names = options.class_names
        sources = open_arrays(probs, logits, labels, against or {}, name=name, class_names=names, mask=mask)
    else:
        request = request if folder is None else replace(request, output=folder)
        # Checked before anything is read, which may take long.
        folder = _writable(request.output or (options.reports and _in_reports(options, request.models()[0].name)))
        sources = open_files(request)
    calibration = open_calibration(request, sources[0], options.conformal)
    file = None if request is None else request.counts_file()
    counts = _counts(sources[0], options, file)
    # no command can express counts that were passed as an array
    command = (
        "" if request is None or options.token_counts is not None else request.command(options.seed, options.conformal)
    )
    with _threads_for(sources):
        results = _evaluate(sources, counts, command, options)
        if (alpha := options.conformal) is not None:
            results = with_sets(results, sources, calibration, alpha=alpha, seed=options.seed, on_rows=options.on_rows)
    if folder is None:
        return results
    release_freed()
    options.on_rows("writing the page", 0, None)
    # imported here, since the drawing tools take 0.4 s and 40 MB
    from softtargets.evaluate.page import write_page

    return replace(results, page=write_page(results, folder))


@contextmanager
def _threads_for(sources: Sequence[PredictionSource]) -> Iterator[None]:
    """Use one thread, unless the predictions are large.

    The metrics of few rows are many short operations. Several threads wait for each other after each of them, which on
    a busy machine takes seven times the processor time, and longer.
    """
    before, data = torch.get_num_threads(), sources[0].data
    numbers = (data.num_rows or 0) * data.num_classes * len(sources)
    torch.set_num_threads(before if numbers >= _LARGE else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _counts(main: PredictionSource, options: EvaluationOptions, file: tuple[Path, str] | None) -> Tensor | None:
    """Return the given counts of tokens, (K,) int64; None if there are none."""
    if main.data.positions is None and not (options.token_counts is None and file is None):
        remedy = "pass values of shape (N, L, K), or leave out the counts"
        raise fail("token_counts", "predictions for sequences", "predictions of shape (N, K)", remedy)
    return given_counts(options.token_counts, file, main.data.num_classes)


def _evaluate(
    sources: Sequence[PredictionSource], counts: Tensor | None, command: str, options: EvaluationOptions
) -> EvaluationResults:
    seed, draws, on_rows = options.seed, options.n_draws, options.on_rows
    positions, labels, bins = sources[0].data.positions, None, None
    if positions is not None:
        labels = count_labels(next(source for source in sources if source.data.has_labels))
        bins = TokenBins.of(labels.counts if counts is None else counts, positions)
    accumulated = accumulate(sources, bins, seed=seed, draws=draws, on_rows=on_rows)
    calibrated = calibrate(accumulated, seed=seed, draws=draws, on_rows=on_rows)
    release_freed()
    on_rows("computing intervals", 0, None)
    counted_in = "the labels of this evaluation" if counts is None else "the training data, as given"
    models = evaluate_models(accumulated, calibrated, labels, counted_in)
    differences = compare_models(accumulated, calibrated)
    return EvaluationResults(
        command=command,
        findings=(*find_votes(models[0]), *find(models, differences, CONFIDENCE), *find_tokens(models[0])),
        models=models,
        num_classes=sources[0].data.num_classes,
        confidence=CONFIDENCE,
        bins=BINS,
        intervals=describe_intervals(draws, several=len(models) > 1, tokens=bins is not None),
        classes_rule=CLASSES_RULE if bins is None else NO_CLASSES_RULE,
        calibration_rule=CALIBRATION_RULE,
        tokens_rule="" if bins is None else TOKENS_RULE,
        class_names=next((s.data.class_names for s in sources if s.data.class_names), ()),
        differences=differences,
        notes=(*vote_notes(models[0]), *assumptions(tokens=bins is not None, votes=models[0].votes is not None)),
        vote_rows=accumulated[0].recorder and accumulated[0].recorder.rows(),
        versions={
            "softtargets": package_version(),
            "torch": version("torch"),
            "python": platform.python_version(),
        },
    )


def _request(
    predictions: PathsLike | EvaluateRequest,
    against: Mapping[str, ArrayLike] | None,
    arrays: tuple[ArrayLike | None, ...],
    options: EvaluationOptions,
) -> EvaluateRequest:
    """Return the files that were given; every other argument must be a name in them."""
    whole = isinstance(predictions, EvaluateRequest)
    probs, labels, logits, mask = arrays
    given = {"probs": probs, "labels": labels, "logits": logits, "mask": mask, "against": against}
    refused = {name: value for name, value in given.items() if whole or not isinstance(value, str | Mapping)}
    refused |= {"options.class_names": options.class_names}
    if whole:
        refused |= {"options.name": options.name, "options.token_counts": options.token_counts}
    for name, value in refused.items():
        if value is not None:
            required = "nothing" if whole or name not in given else "a name in the files, or nothing,"
            remedy = "pass either arrays or files; an EvaluateRequest contains everything about files"
            raise fail(name, f"{required} beside predictions", type(value).__name__, remedy)
    if isinstance(predictions, EvaluateRequest):
        return predictions
    main = ModelFiles.of("predictions", predictions, options.name)
    others = tuple(ModelFiles.of(f"against[{name!r}]", files, str(name)) for name, files in (against or {}).items())
    return EvaluateRequest(main, others, logits=logits, probs=probs, labels=labels, mask=mask)


def _in_reports(options: EvaluationOptions, name: str) -> Path | None:
    """Return the folder for the page of a model in the folder of reports; None without one."""
    return options.reports and options.reports / re.sub(r"[^\w.-]+", "_", f"evaluate-{name}")


def _writable(folder: Path | None) -> Path | None:
    """Return the folder of the page if it can be written, and raise an error otherwise."""
    if folder is None:
        return None
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing))
    return folder
