"""What `softtargets audit` does: which labels are wrong, how they are wrong, and what to do about it."""

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from softtargets._errors import fail
from softtargets.audit import page
from softtargets.audit.advice import ENOUGH, SURE, Grounds, advise, asymmetry_of
from softtargets.audit.estimates import (
    CHOSEN,
    CHOSEN_BECAUSE,
    CONFIDENCE,
    PRECISION_AT,
    RANKING,
    Findings,
    Stage,
    examine,
)
from softtargets.audit.inputs import Gathered, gather
from softtargets.audit.previews import exhibit
from softtargets.audit.request import AuditRequest
from softtargets.audit.results import AuditResults, Interval
from softtargets.runs.store import RunStore
from softtargets.train.progress import Progress

REPORTS = Path("reports")
SAMPLING = (
    "Every interval says what the sample of examples leaves open, and nothing of what the model gets wrong by itself: "
    "where it confuses classes that are alike, noise is overestimated."
)


@dataclass(frozen=True)
class AuditOutcome:
    """The page, and what it says."""

    page: Path
    results: AuditResults


def run_audit(
    request: AuditRequest,
    *,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda state: None,
    on_stage: Stage = lambda stage, done: None,
) -> AuditOutcome:
    """Gather held-out probabilities, estimate how the labels are wrong, rank the suspects and write the page.

    Args:
        request: what the user asked for.
        workers: processes that train models; None: one per core.
        on_progress: told how training goes, from a thread of its own.
        on_stage: told what is computed after that and how far it is, a fraction.

    Raises:
        InputError: for bad input, before anything is written.
        RunsFailedError: where a model could not be trained to its end.
        OSError: where the page cannot be written.
    """
    _check(request, workers)
    store = RunStore(request.runs)
    gathered = gather(request, store, workers=workers, on_progress=on_progress, on_stage=on_stage)
    findings = examine(gathered.evidence, seed=request.seed, sure_from=SURE, on_stage=on_stage)
    results = _results(request, gathered, findings)
    on_stage("writing the page", 0.0)
    folder = request.output or REPORTS / _folder(results.name, request.labels)
    written = page.write(results, folder)
    on_stage("writing the page", 1.0)
    return AuditOutcome(written, results)


def _check(request: AuditRequest, workers: int | None) -> None:
    """Require options that go together, before anything is read."""
    if request.data is None and not request.predictions:
        raise fail("audit", "--data, --predictions, or both", "neither", "say what to audit")
    for option in ("label", "labels", "text", "features"):
        value = getattr(request, option)
        if value and request.data is None:
            raise fail(f"--{option}", "given with --data", f"'{value}' alone", "name the data set too")
    for option in ("logits", "probs"):
        value = getattr(request, option)
        if value is not None and not request.predictions:
            raise fail(f"--{option}", "given with --predictions", f"'{value}' alone", "name the files too")
    for option, value in (("folds", request.folds), ("epochs", request.epochs), ("workers", workers)):
        if value is not None and request.predictions:
            raise fail(f"--{option}", "nothing beside --predictions", value, "leave it out: no model is trained")
    for option, folder in (("--output", request.output or REPORTS), ("--runs", request.runs)):
        for place in (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                raise fail(option, "a folder, in folders", f"the file '{place}'", "name another place")


def _results(request: AuditRequest, gathered: Gathered, findings: Findings) -> AuditResults:
    evidence, suspects = gathered.evidence, findings.suspects
    interval = findings.interval
    noise_rate = Interval(interval.noise_rate, interval.noise_rate_low, interval.noise_rate_high)
    chosen = next(estimate for estimate in findings.estimates if estimate.name == CHOSEN)
    grounds = Grounds(
        noise_rate,
        asymmetry_of(interval, findings.prior),
        chosen.condition,
        findings.sure,
        findings.accuracy,
        findings.largest,
        findings.guessed,
        tuple(n for n, row in zip(evidence.class_names, findings.classes, strict=True) if row.observed < ENOUGH),
    )
    first = suspects.rows[: request.top]
    return AuditResults(
        name=gathered.name,
        labels=gathered.labels,
        predictions=gathered.predictions,
        command=request.command,
        row_order=gathered.row_order,
        num_rows=len(evidence.labels),
        class_names=evidence.class_names,
        accuracy=findings.accuracy,
        noise_rate=noise_rate,
        confidence=CONFIDENCE,
        estimates=findings.estimates,
        chosen=CHOSEN,
        chosen_because=CHOSEN_BECAUSE,
        confusions=findings.confusions,
        scores=findings.scores,
        ranking=RANKING,
        precision_at=min(PRECISION_AT, len(evidence.labels)),
        classes=findings.classes,
        suspects=suspects,
        exhibits=exhibit(gathered.dataset, first if gathered.rows is None else gathered.rows[first]),
        cuts=findings.cuts,
        recommendation=advise(grounds),
        reference=findings.reference,
        model=gathered.model,
        notes=(SAMPLING, *gathered.notes),
        versions={
            "softtargets": version("softtargets"),
            "torch": version("torch"),
            "python": platform.python_version(),
        },
    )


def _folder(name: str, labels: str | None) -> str:
    parts = ["audit", name, *([labels.rpartition(":")[2]] if labels else [])]
    return re.sub(r"[^\w.-]+", "_", "-".join(parts)).lstrip(".")
