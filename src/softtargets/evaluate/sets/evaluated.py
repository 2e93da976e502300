"""Prediction sets from calibration rows, measured on other rows, and the finding about them."""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.calibration import APS, LAC, RAPS, ConformalPredictor, coverage_range
from softtargets.evaluate.calibrate import as_logits
from softtargets.evaluate.inputs import OnRows, PredictionSource, RowBlock, open_files, read_blocks
from softtargets.evaluate.request import EvaluateRequest, ModelFiles
from softtargets.evaluate.results import EvaluatedModel, EvaluationResults, Finding
from softtargets.evaluate.sets.results import MethodSets, SetEvaluation
from softtargets.evaluate.suite import CONFIDENCE, LEVEL
from softtargets.evaluate.text import range_of, text_of
from softtargets.evaluate.values import IntervalEnds
from softtargets.metrics import SetCoverage
from softtargets.metrics.groups import group_of
from softtargets.metrics.statistics import wilson
from softtargets.report.encoding import printable

# The shares of a row in [0, 1) are multiples of the rounding error of a float64.
_SHARES = 2**53
BY_CLASS = "LAC, per class"


def methods() -> dict[str, ConformalPredictor]:
    """Return unfitted predictors by the names of their methods."""
    by_class = LAC(class_conditional=True, rare="merge")
    return {"LAC": LAC(), "APS": APS(), "RAPS": RAPS(), BY_CLASS: by_class}


def open_calibration(
    request: EvaluateRequest | None, main: PredictionSource, alpha: float | None
) -> PredictionSource | None:
    """Open the file of calibration rows, if there is one, and check that prediction sets can be computed.

    Args:
        request: the files that were given; None for arrays.
        main: predictions of the main model.
        alpha: share of sets that may miss the label; None: no sets were asked for.

    Raises:
        InputError: sequences, a file without `alpha`, other models to compare with, other classes, or the rows that
            are evaluated.
    """
    option, given = "--conformal-from", None if request is None else request.conformal_from
    if alpha is None and given is not None:
        raise fail(option, "given together with --conformal", f"'{given}' without it", "add --conformal 0.1")
    if alpha is not None and main.data.positions is not None:
        remedy = "leave the option out; the tokens of a sequence depend on each other, so no coverage is guaranteed"
        raise fail("--conformal", "one example in each row", "sequences of tokens", remedy)
    if request is None or given is None:
        return None
    if request.against:
        remedy = "leave one of the two out; without the option, half of the rows calibrate the sets of every model"
        raise fail(option, "left out together with --against", f"'{given}'", remedy)
    files = replace(request, main=ModelFiles((given,)), labels_from=None, conformal_from=None, output=None)
    (source,) = open_files(files)
    remedy = "give rows of the same model that are not evaluated"
    if source.data.num_classes != main.data.num_classes or source.data.positions is not None:
        raise fail(option, f"rows of {main.data.num_classes} classes", f"those of '{given}'", remedy)
    if {path.resolve() for path in source.data.paths} & {path.resolve() for path in main.data.paths} or (
        _same_rows(source, main)
    ):
        raise fail(option, "rows that are not evaluated", f"the same rows in '{given}'", remedy)
    return source


def _same_rows(one: PredictionSource, other: PredictionSource) -> bool:
    """Return whether the first rows of two sources have the same values."""
    first, second = (next(iter(source.data.chunks())).values for source in (one, other))
    rows = min(len(first), len(second))
    return first.dtype == second.dtype and torch.equal(first[:rows], second[:rows])


def with_sets(
    results: EvaluationResults,
    sources: Sequence[PredictionSource],
    calibration: PredictionSource | None,
    *,
    alpha: float,
    seed: int,
    on_rows: OnRows,
) -> EvaluationResults:
    """Return the results with the prediction sets of all models; the arguments are those of :func:`evaluate_sets`."""
    found = evaluate_sets(sources, calibration, alpha=alpha, seed=seed, on_rows=on_rows)
    models = tuple(replace(model, sets=sets) for model, sets in zip(results.models, found, strict=True))
    return replace(results, models=models, findings=(*results.findings, *find_sets(models[0])))


def evaluate_sets(
    sources: Sequence[PredictionSource],
    calibration: PredictionSource | None,
    *,
    alpha: float,
    seed: int,
    on_rows: OnRows,
) -> tuple[SetEvaluation, ...]:
    """Fit the thresholds of every model and method, and measure coverage and size on other rows.

    Args:
        sources: predictions of all models, of single examples.
        calibration: rows of the main model to fit on; None: a random half of the rows.
        alpha: share of sets that may miss the label.
        seed: seed of the hashes that divide the rows and randomise APS and RAPS.
        on_rows: called with the progress.

    Raises:
        InputError: if there are no rows to fit on or to measure on.
    """
    fitting = tuple(sources) if calibration is None else (calibration,)
    own = seed if calibration is None else seed + 1
    blocks = read_blocks(fitting, "calibrating prediction sets", on_rows)
    fitted = _fitted(_half(blocks, seed, 0) if calibration is None else blocks, fitting, alpha, own)
    counted = [{name: SetCoverage(alpha=alpha, confidence=CONFIDENCE) for name in one} for one in fitted]
    blocks = read_blocks(sources, "evaluating prediction sets", on_rows)
    for block in _half(blocks, seed, 1) if calibration is None else blocks:
        for place, (source, predictors) in enumerate(zip(sources, fitted, strict=True)):
            logits = as_logits(block.values[place], source.data.kind)
            for name, predictor in predictors.items():
                sets = predictor.predict_sets(logits, **_numbers(predictor, block.ids, seed))
                counted[place][name].update(sets, block.labels)
    if counted[0]["LAC"].count == 0:
        raise fail("--conformal", "rows to measure the coverage on", "none", "add rows")
    file = "" if calibration is None else printable(str(calibration.data.paths[0]))
    return tuple(_evaluation(*pair, alpha, file) for pair in zip(fitted, counted, strict=True))


def _half(blocks: Iterable[RowBlock], seed: int, half: int) -> Iterator[RowBlock]:
    """Yield the rows of a random half, by a hash that differs from those of the groups and of the folds."""
    for block in blocks:
        kept = group_of(block.ids, 2, seed + 2) == half
        if bool(kept.any()):
            yield RowBlock(tuple(values[kept] for values in block.values), block.labels[kept], block.ids[kept])


def _numbers(predictor: ConformalPredictor, ids: Tensor, seed: int) -> dict[str, Any]:
    """Return the random number of each row, which depends on its id alone."""
    return {"uniform": group_of(ids, _SHARES, seed + 3).double() / _SHARES} if predictor.randomized else {}


def _fitted(
    blocks: Iterable[RowBlock], sources: Sequence[PredictionSource], alpha: float, seed: int
) -> list[dict[str, ConformalPredictor]]:
    """Return the predictors of each model by method, fitted on all rows."""
    made = [methods() for _ in sources]
    scores: list[dict[str, list[Tensor]]] = [{name: [] for name in one} for one in made]
    labels: list[Tensor] = []
    for block in blocks:
        labels.append(block.labels)
        for place, source in enumerate(sources):
            logits = as_logits(block.values[place], source.data.kind)
            for name, predictor in made[place].items():
                found = predictor.scores(logits, **_numbers(predictor, block.ids, seed))
                scores[place][name].append(found.gather(1, block.labels[:, None])[:, 0])
    if not labels:
        raise fail("--conformal", "rows to calibrate the sets on", "none", "add rows, or pass --conformal-from FILE")
    num_classes, whole = sources[0].data.num_classes, torch.cat(labels)
    with warnings.catch_warnings():
        # a note says so
        warnings.filterwarnings("ignore", "alpha: at least", UserWarning)
        for predictors, of_methods in zip(made, scores, strict=True):
            for name, predictor in predictors.items():
                predictor.fit_scores(torch.cat(of_methods[name]), whole, num_classes=num_classes, alpha=alpha)
    return made


def _evaluation(
    fitted: dict[str, ConformalPredictor], counted: dict[str, SetCoverage], alpha: float, file: str
) -> SetEvaluation:
    rows, test = int(fitted["LAC"].class_rows.sum()), counted["LAC"].count
    finite = bool(fitted["LAC"].thresholds.isfinite().all())
    notes = []
    if not finite:
        notes.append(f"With {rows:,} calibration rows and alpha = {alpha:g}, every set has all classes.")
    few = int(fitted[BY_CLASS].thresholds.isinf().sum())
    if few and finite:
        notes.append(f"{few:,} of {len(fitted[BY_CLASS].class_rows):,} classes have too few rows and are in every set.")
    expected = None
    if finite:
        expected = IntervalEnds(
            *coverage_range(alpha=alpha, calibration_rows=rows, test_rows=test, confidence=CONFIDENCE)
        )
    measured = tuple(_measured(name, predictor, counted[name]) for name, predictor in fitted.items())
    return SetEvaluation(alpha, rows, test, file, expected, measured, tuple(notes))


def _measured(name: str, predictor: ConformalPredictor, counted: SetCoverage) -> MethodSets:
    found = counted.compute()
    worst = int(found.worst_class)
    share, rows = float(found.class_coverage[worst]), int(found.class_rows[worst])
    threshold = float(predictor.thresholds[0])
    return MethodSets(
        method=name,
        threshold=None if predictor.class_conditional or math.isinf(threshold) else threshold,
        coverage=float(found.coverage),
        coverage_interval=IntervalEnds(*found.coverage_interval.tolist()),
        mean_size=float(found.mean_size),
        size_interval=IntervalEnds(*found.size_interval.tolist()),
        empty=float(found.empty),
        sizes=tuple(found.size_rows.tolist()),
        stratified_coverage=float(found.stratified_coverage),
        class_gap=float(found.class_gap),
        worst_class=worst,
        worst_coverage=share,
        worst_rows=rows,
        worst_interval=IntervalEnds(*wilson(round(share * rows), rows, LEVEL)),
    )


def find_sets(model: EvaluatedModel) -> tuple[Finding, ...]:
    """Return whether the coverage of the main model's sets is as expected, and how many classes they have."""
    sets = model.sets
    if sets is None:
        return ()
    wanted, lac = text_of(1 - sets.alpha, "percent"), sets.method("LAC")
    sentences = (
        " ".join(
            f"{one.method}: coverage {text_of(one.coverage, 'percent')} "
            f"({range_of(one.coverage_interval, 'percent')}), {one.mean_size:.2f} classes."
            for one in sets.methods
        ),
    )
    if sets.expected is None:
        return (Finding("not-run", f"Too few rows for prediction sets with a coverage of {wanted}.", sets.notes),)
    if lac.coverage < sets.expected.low:
        between = f"Rows like the calibration rows give {range_of(sets.expected, 'percent')} % in 95 % of cases."
        title = f"Prediction sets do not reach a coverage of {wanted}: the rows differ from the calibration rows."
        return (Finding("contradicted", title, (between, *sentences)),)
    title = f"Prediction sets with a coverage of {wanted} have {lac.mean_size:.2f} classes on average."
    return (Finding("reproduced", title, sentences),)
