"""What `softtargets evaluate` does: how good predictions are, how far they can be trusted, and which are better."""

import errno
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from softtargets._errors import fail
from softtargets.evaluate import page
from softtargets.evaluate.exhibits import classes_of, histogram_of, reliability_of, risk_coverage_of
from softtargets.evaluate.gauges import BINS, DRAWS, FEWER, GROUPS, SHARES, Change, Gauges
from softtargets.evaluate.inputs import OnRows, Source, open_sources, walk
from softtargets.evaluate.measures import MEASURES
from softtargets.evaluate.request import EvaluateRequest, folder_name
from softtargets.evaluate.results import Difference, EvaluationResults, Metric, Model, Temperature
from softtargets.evaluate.statistics import CLASSES_RULE, CONFIDENCE, LEVEL, holm
from softtargets.evaluate.temperature import FOLDS, Sample, Scaling, fit_scaling

REPORTS = Path("reports")
NOTES = (
    "Labels are taken for true: where some are wrong, every model looks worse and less calibrated than it is. "
    "“softtargets audit” says how many are.",
    "Rows are taken for new to the models: on rows that a model was trained on all of this flatters it.",
    "Each row is one example with one label; of sequences, write one row for each token that counts.",
)
# For how many p-values the draws of an interval suffice: the least that 1,000 draws can show is 0.002, and the adjusted
# one of so many must be able to lie well below 0.05.
_PER_DRAWS = 12
_WITHIN = "Not called real: the metrics come of sketches, which may be off by as much."


@dataclass(frozen=True)
class EvaluateOutcome:
    """The page, and what it says."""

    page: Path
    results: EvaluationResults


@dataclass(frozen=True, eq=False)
class Judged:
    """What was gathered of one model.

    Args:
        source: its files.
        gauges: before temperature.
        sample: rows that temperatures are fitted on.
        scaling: the temperatures, or why there are none.
        after: with them; None without.
    """

    source: Source
    gauges: Gauges
    sample: Sample
    scaling: Scaling | str
    after: Gauges | None


def run_evaluate(
    request: EvaluateRequest, *, draws: int = DRAWS, on_rows: OnRows = lambda stage, done, total: None
) -> EvaluateOutcome:
    """Evaluate predictions and write the page; arguments and errors as :func:`evaluate_predictions`.

    Raises:
        InputError: for bad input, before anything is written.
        OSError: where the page cannot be written.
    """
    folder = request.output or REPORTS
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise fail("--output", "a folder, in folders", f"the file '{place}'", "name another place")
    # asked before anything is read, which may take long
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))
    results = evaluate_predictions(request, draws=draws, on_rows=on_rows)
    on_rows("writing the page", 0, None)
    return EvaluateOutcome(page.write(results, request.output or REPORTS / folder_name(results.main.name)), results)


def evaluate_predictions(
    request: EvaluateRequest, *, draws: int = DRAWS, on_rows: OnRows = lambda stage, done, total: None
) -> EvaluationResults:
    """Read predictions twice, in bounded memory: all metrics, then what temperatures change.

    Args:
        request: what the user asked for.
        draws: of each interval.
        on_rows: told what is being done and how many rows are.

    Raises:
        InputError: for bad input.
    """
    sources = open_sources(request)
    judged = _judge(sources, request.seed, draws, on_rows)
    on_rows("computing intervals", 0, None)
    return EvaluationResults(
        command=request.command,
        models=tuple(_model(one, judged) for one in judged),
        num_classes=sources[0].files.num_classes,
        confidence=CONFIDENCE,
        bins=BINS,
        intervals=_intervals(draws, several=len(judged) > 1),
        classes_rule=CLASSES_RULE,
        class_names=next((s.files.class_names for s in sources if s.files.class_names), ()),
        differences=_differences(judged),
        notes=NOTES,
        versions={
            "softtargets": version("softtargets"),
            "torch": version("torch"),
            "python": platform.python_version(),
        },
    )


def _judge(sources: Sequence[Source], seed: int, draws: int, on_rows: OnRows) -> list[Judged]:
    """Gather all metrics in one pass, fit temperatures, and gather what they change in another."""
    num_classes = sources[0].files.num_classes
    gathered = [Gauges(num_classes, seed, draws=draws) for _ in sources]
    samples = [Sample(num_classes, source.kind, seed) for source in sources]
    for block in walk(sources, "reading", on_rows):
        ids = torch.arange(block.first_row, block.first_row + len(block.labels))
        for values, source, gauges, sample in zip(block.values, sources, gathered, samples, strict=True):
            gauges.update(values, source.kind, block.labels, ids)
            sample.add(values, block.labels, ids)
    on_rows("fitting temperatures", 0, None)
    scalings = [fit_scaling(sample) for sample in samples]
    after = [Gauges(num_classes, seed, draws=draws, whole=False) if isinstance(s, Scaling) else None for s in scalings]
    if any(after):
        for block in walk(sources, "judging temperatures", on_rows, gathered[0].tally.count):
            ids = torch.arange(block.first_row, block.first_row + len(block.labels))
            for values, scaling, gauges in zip(block.values, scalings, after, strict=True):
                if gauges is not None and isinstance(scaling, Scaling):
                    gauges.update(scaling.logits(values, ids), "logits", block.labels, ids)
    return [Judged(*row) for row in zip(sources, gathered, samples, scalings, after, strict=True)]


def _intervals(draws: int, *, several: bool) -> tuple[str, ...]:
    """Say how intervals are made."""
    differences = (
        "Differences are paired: both models are judged on the same draws. Their p-values are Holm-adjusted over all "
        f"that are shown, and a difference is called real where the adjusted one is below {LEVEL:g}."
    )
    return (
        "Intervals say what the sample of rows leaves open, and nothing of what another training would change. They "
        f"are bootstrapped by {draws:,} draws: rows fall into {GROUPS:,} random groups ({FEWER} for metrics with a "
        "large state), and groups are drawn with replacement; single rows where there are few.",
        "Calibration errors are means of absolute values: noise alone lifts them above 0, the more the fewer rows a "
        "bin has. Their intervals are basic ones (Davison and Hinkley 1997), which take that off where an error is "
        "well above its noise. Near 0 they are not to be relied on: of a calibrated model that of ECE holds 0 every "
        "second time or so, and that of smooth ECE hardly ever. All others are percentile intervals.",
        "Bins, recalls and accuracies of 0 % or 100 % have Wilson intervals.",
        *((differences,) if several else ()),
    )


def _model(one: Judged, judged: Sequence[Judged]) -> Model:
    gauges, files = one.gauges, one.source.files
    zero_rows = int(gauges.tally.total("zero"))
    return Model(
        name=one.source.name,
        files=tuple(map(str, files.paths)),
        kind=one.source.kind,
        num_rows=gauges.tally.count,
        metrics=gauges.measured(),
        zero_rows=zero_rows,
        reliability=reliability_of(gauges),
        temperature=_temperature(one),
        histogram=histogram_of(gauges),
        risk_coverage=risk_coverage_of(gauges),
        classes=classes_of(gauges),
        no_temperature=one.scaling if isinstance(one.scaling, str) else "",
        notes=(*_notes(one, zero_rows, judged), *files.notes),
    )


def _notes(one: Judged, zero_rows: int, judged: Sequence[Judged]) -> list[str]:
    notes: list[str] = []
    if zero_rows:
        notes.append(
            f"{zero_rows:,} {'row gives its' if zero_rows == 1 else 'rows give their'} own label the probability 0: "
            "NLL is infinite, and temperatures are fitted on the other rows."
        )
    if not one.source.files.has_labels:
        whose = next(other.source.name for other in judged if other.source.files.has_labels)
        notes.append(f"There are no labels in its files: its rows are taken for those of {whose}, in the same order.")
    if not one.sample.is_whole and isinstance(one.scaling, Scaling):
        notes.append(f"Temperatures are fitted on {len(one.sample):,} of its rows, drawn at random, by {FOLDS} folds.")
    return notes


def _temperature(one: Judged) -> Temperature | None:
    if one.after is None or isinstance(one.scaling, str):
        return None
    shown = tuple(m for m in one.after.measured() if m.measure.core or m.name == "overconfidence")
    changes = tuple(
        Metric(change.name, change.value, change.interval, change.why)
        for change in one.after.less(one.gauges)
        # over these a temperature has no say: it keeps the order of a row's classes
        if change.name not in SHARES
    )
    return Temperature(one.scaling.temperatures, one.scaling.converged, shown, changes, reliability_of(one.after))


def _within(change: Change) -> bool:
    """Say whether a difference is no greater than what the sketches may be off; what is 0 needs no such excuse."""
    return bool(change.value) and abs(change.value or 0.0) <= change.bound


def _differences(judged: Sequence[Judged]) -> tuple[Difference, ...]:
    """Return how the main model differs from each other one, with p-values adjusted over all of it."""
    main, *others = judged
    count = len(others) * sum(measure.core for measure in MEASURES.values())
    draws = main.gauges.draws * math.ceil(count / _PER_DRAWS)
    found = [(other.source.name, change) for other in others for change in main.gauges.less(other.gauges, draws=draws)]
    known = [index for index, (_, change) in enumerate(found) if change.p is not None]
    adjusted = dict(zip(known, holm([found[index][1].p or 0.0 for index in known]), strict=True))
    return tuple(
        Difference(
            metric=change.name,
            against=name,
            value=change.value,
            interval=change.interval,
            p=change.p,
            adjusted=adjusted.get(index),
            real=adjusted.get(index, 1.0) < LEVEL and not _within(change),
            why=change.why or (_WITHIN if _within(change) else ""),
        )
        for index, (name, change) in enumerate(found)
    )
