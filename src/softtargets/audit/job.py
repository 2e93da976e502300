"""An audit: inputs, estimates, advice, results, page."""

import platform
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from softtargets._errors import fail, fail_type
from softtargets._memory import release_freed
from softtargets.audit.advice import ENOUGH, SURE, AdviceInputs, advise, asymmetry_of
from softtargets.audit.annotators import annotator_columns, audit_annotators
from softtargets.audit.classes import audit_classes, find_confusions
from softtargets.audit.estimates import IntervalEstimate
from softtargets.audit.inputs import AuditInputs, gather
from softtargets.audit.outputs import audited_rows
from softtargets.audit.paired_check import LEAST_ROWS, check_dropping
from softtargets.audit.passes import read_evidence
from softtargets.audit.previews import preview_examples
from softtargets.audit.ranking import estimate_cutoffs
from softtargets.audit.request import AuditOptions, AuditRequest, AuditStage, OnStage, RunsFailedError
from softtargets.audit.results import (
    AuditedLabels,
    AuditProvenance,
    AuditResults,
    LabelRanking,
    NoiseEstimate,
    PairedCheck,
)
from softtargets.audit.scores import PRECISION_AT, RANKED_BY, judge_scores
from softtargets.audit.transitions import CHOSEN, CHOSEN_BECAUSE, CONFIDENCE, TransitionFit
from softtargets.audit.trusted import read_trusted
from softtargets.data.predictions import predictions_of
from softtargets.noise import NoiseRange
from softtargets.report.folders import read_folder, read_path, read_paths
from softtargets.report.numbers import duration

SAMPLING = (
    "The range of the noise rate allows for errors of the model, as large as in our benchmark. The intervals of the "
    "transition matrix describe the uncertainty from sampling the examples."
)

LISTED = "The suspects that are listed are the first {:,} of {:,}."


def audit_labels(
    labels: Any = None,
    probs: Any = None,
    *,
    logits: Any = None,
    predictions: str | Path | Sequence[str | Path] | None = None,
    data: str | Path | None = None,
    output: str | Path | None = None,
    options: AuditOptions | None = None,
) -> AuditResults:
    """Find wrong labels: estimate how many, rank them, and recommend what to do.

    The audit needs held-out predictions: of a model that was not trained on the examples it predicts. They are given as
    arrays, ``audit_labels(labels, probs)``, or as files, ``audit_labels(predictions="held_out.npz")``. Without them,
    models are cross-validated on a data set, ``audit_labels(data="train.csv")``.

    Args:
        labels: (N,) integers in [0, K), the labels to audit, for the rows of `probs` or `logits`. Or text
            "FILE:COLUMN": other labels of `data`; the labels of the data set then only evaluate the audit.
        probs: (N, K) held-out probabilities, a NumPy array or a tensor. With `predictions`: name of the array or
            columns of probabilities.
        logits: (N, K) held-out logits, instead of `probs`. With `predictions`: name of the array or columns.
        predictions: .npz, .npy, .safetensors, .csv or .parquet files of held-out predictions and labels, in row order.
        data: data set: "digits", a file or folder, or a name on the Hugging Face Hub. Its training split is audited.
            With predictions, it provides the labels, the names of the classes and the examples that the page shows.
        output: folder for the page and its files (default: no page is written).
        options: columns of the data, names of the classes, cross-validation, seed, progress.

    Returns:
        AuditResults. :func:`write_page` writes its page and files. Arrays and files with equal content give equal
        results.

    Raises:
        InputError: for invalid input, before anything is written.
        InputTypeError: for arguments of the wrong type.
        RunsFailedError: if the training of a model failed.
        OSError: if the page cannot be written.

    Complexity:
        The rows are read three times, in blocks: sums of each class; the confident joint; the scores of the labels.
        Besides a block, memory holds some arrays of K x K numbers, and 40 bytes for each label that may be a suspect:
        at most 2 noise rates of the labels. The first 5,000,000 suspects are listed. With reference labels, or a data
        set, it also holds some numbers for each row. The results do not depend on the division of the rows into files.

    Limitations:
        Labels that a model contradicts with confidence look wrong, whether or not they are: a weak model gives a wide
        range. Predictions that are not held out hide noise.

    Example:
        >>> labels = torch.arange(400) % 2
        >>> probs = torch.eye(2)[labels] * 0.8 + 0.1
        >>> labels[:40] = 1 - labels[:40]  # 10 % of the labels are wrong
        >>> results = audit_labels(labels, probs)
        >>> round(results.noise.rate.estimate, 3), len(results.ranking.suspects)
        (0.088, 40)
        >>> results.recommendation.action
        'drop and relabel'
    """
    options = AuditOptions() if options is None else options
    if not isinstance(options, AuditOptions):
        raise fail_type("options", "AuditOptions", type(options).__name__, "write AuditOptions(seed=1)")
    given = {"labels": labels, "probs": probs, "logits": logits}
    names = {name: value for name, value in given.items() if isinstance(value, str)}
    arrays = {name: value for name, value in given.items() if value is not None and name not in names}
    paths = () if predictions is None else read_paths("predictions", predictions)
    request = AuditRequest(
        data=None if data is None else str(data),
        predictions=tuple(read_path("predictions", path) for path in paths),
        arrays=predictions_of(**arrays, class_names=options.class_names) if arrays else None,
        output=None if output is None else read_folder("output", output),
        options=options,
        **names,
    )
    request.check()
    if request.arrays is not None and request.arrays.soft is not None:
        remedy = "use labels.argmax(-1), or give the labels of every annotator as AuditOptions(annotators=...)"
        raise fail("labels", "one class for each row", "soft labels", remedy)
    if options.annotators is not None:
        annotator_columns(options.annotators)

    def on_stage(name: str, done: float) -> None:
        options.on_progress(AuditStage(name, done))

    inputs = gather(request, on_stage)
    results = _examine(inputs, request, on_stage)
    folder = _folder(request, results.audited.name)
    if folder is None:
        return results
    release_freed()
    on_stage("writing the page", 0.0)
    # imported here, since the drawing tools take 0.4 s and 40 MB
    from softtargets.audit.page import write_page

    page = write_page(results, folder)
    on_stage("writing the page", 1.0)
    return replace(results, page=page)


def _examine(inputs: AuditInputs, request: AuditRequest, on_stage: OnStage) -> AuditResults:
    """Compute the results of the audit."""
    evidence, options = inputs.evidence, request.options
    trusted = None if options.trusted is None else read_trusted(options.trusted, evidence.class_names)
    found = read_evidence(evidence, seed=options.seed, on_stage=on_stage, trusted=trusted)
    fit, ranked, size = found.fit, found.ranked, int(found.class_counts.sum())
    suspects = ranked.suspects
    reviewed = 0 if evidence.reviewed is None else len(evidence.reviewed)
    noise = _noise_estimate(fit, ranked.rate, size)
    classes = tuple(audit_classes(fit, found.class_counts, suspects.given))
    check, unchecked = _check(inputs, ranked.num_suspects, options, on_stage)
    recommendation = advise(
        AdviceInputs(
            noise_rate=noise.rate,
            told=noise.told,
            suspects=ranked.num_suspects,
            accuracy=noise.accuracy,
            asymmetry=asymmetry_of(fit.interval, fit.class_prior),
            condition=noise.estimate.condition,
            sure=ranked.curve.share_above(SURE),
            agreement=found.agreement,
            check=check,
            unchecked=unchecked,
            rare=tuple(n for n, row in zip(evidence.class_names, classes, strict=True) if row.observed < ENOUGH),
        )
    )
    annotators = None
    if options.annotators is not None:
        annotators = audit_annotators(options.annotators, evidence.class_names, seed=options.seed)
    listed = () if ranked.num_suspects == len(suspects) else (LISTED.format(len(suspects), ranked.num_suspects),)
    model = None if inputs.held_out is None else inputs.held_out.model
    return AuditResults(
        audited=AuditedLabels(
            name=inputs.name,
            labels=inputs.labels,
            predictions=inputs.predictions,
            row_order=inputs.row_order,
            num_rows=size,
            class_names=evidence.class_names,
            agreement=found.agreement.share,
            reviewed=reviewed,
        ),
        noise=noise,
        ranking=LabelRanking(
            scores=judge_scores(ranked.scores or suspects.scores, found.wrong),
            ranked_by=RANKED_BY,
            precision_at=min(PRECISION_AT, size),
            suspects=suspects,
            previews=preview_examples(inputs.dataset, suspects.rows[: options.top]),
            cutoffs=tuple(estimate_cutoffs(ranked, found.wrong)),
        ),
        classes=classes,
        recommendation=recommendation,
        annotators=annotators,
        provenance=AuditProvenance(
            request.command, model, (SAMPLING, *listed, *inputs.notes), _versions(), request.settings
        ),
        check=check,
        rows=audited_rows(inputs, ranked, recommendation.action),
    )


def _check(
    inputs: AuditInputs, suspects: int, options: AuditOptions, on_stage: OnStage
) -> tuple[PairedCheck | None, str]:
    """Return whether training without the suspects helps, or why that was not checked (empty: nothing to check)."""
    held = inputs.held_out
    if not suspects:
        return None, ""
    if held is None:
        return None, "that takes a model of scikit-learn that the audit trains, and predictions were given."
    if held.refit is None:
        return None, "networks are not checked, since two trainings of a network differ by chance."
    if options.reviewed is not None:
        return None, "a part of the labels was reviewed, and these are not dropped."
    if not options.check:
        return None, "the check was left out."
    if len(held.refit.labels) < LEAST_ROWS:
        return None, f"that takes at least {LEAST_ROWS} rows."
    stage = f"checking whether training without the suspects helps, about {duration(held.refit.check_seconds)}"
    on_stage(stage, 0.0)
    try:
        check = check_dropping(held.refit, held.probs, dropped_from=SURE, on_done=lambda done: on_stage(stage, done))
    except RunsFailedError as error:
        # the audit is valid without the check
        return None, f"{error}."
    return check, ""


def _noise_estimate(fit: TransitionFit, found: NoiseRange, num_labels: int) -> NoiseEstimate:
    return NoiseEstimate(
        rate=IntervalEstimate(found.estimate, found.low, found.high),
        told=found.told,
        principles=found.principles,
        accuracy=found.accuracy,
        confidence=CONFIDENCE,
        estimates=fit.estimates,
        chosen=CHOSEN,
        chosen_because=CHOSEN_BECAUSE,
        confusions=tuple(find_confusions(fit, num_labels)),
        reference=fit.reference,
        mixture=found.mixture,
    )


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("softtargets", "torch")}
    return {**packages, "python": platform.python_version()}


def _folder(request: AuditRequest, name: str) -> Path | None:
    """Return the folder of the page; None for no page."""
    if request.output is not None or request.options.reports is None:
        return request.output
    parts = ["audit", name, *([request.labels.rpartition(":")[2]] if request.labels else [])]
    return request.options.reports / re.sub(r"[^\w.-]+", "_", "-".join(parts)).lstrip(".")
