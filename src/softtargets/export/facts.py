"""What a model card says: everything is read from the record of a run, or measured on its test split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import parse_json, read_regular, user_path
from softtargets.calibration.calibrator import Calibrator
from softtargets.ensembles import LoadedEnsemble
from softtargets.evaluate import EvaluationOptions, EvaluationResults, evaluate_predictions
from softtargets.evaluate.counts import FLOOR
from softtargets.evaluate.text import text_of
from softtargets.evaluate.values import WORSE
from softtargets.report.numbers import count, listed
from softtargets.train import Classifier, LoadedRun

CALIBRATED, UNCALIBRATED = "calibrated", "not calibrated"
# measures that a calibrator can change
CALIBRATION = ("nll", "brier", "ece")
_AUDIT = "audit.json"


@dataclass(frozen=True)
class NoiseFacts:
    """The noise of the training labels that an audit estimated.

    Args:
        estimate, low, high: share of wrong labels, with its range.
        told: whether the range is narrow enough to tell the rate.
        rows: number of audited labels.
        path: of the audit.
    """

    estimate: float
    low: float
    high: float
    told: bool
    rows: int
    path: Path


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a trained classifier.

    Args:
        run: the run; of an ensemble the run of its first member.
        calibrator: what the probabilities are calibrated by; None: nothing.
        evaluation: of the test split: the predictions as they are exported, and without calibrator; None if the split
            has no rows.
        noise: from an audit; None without one.
        calibrated_on: number of validation rows that the calibrator was fitted on; 0 without one.
        ensemble: None for a single run.
    """

    run: LoadedRun
    calibrator: Calibrator | None
    evaluation: EvaluationResults | None
    noise: NoiseFacts | None
    calibrated_on: int
    ensemble: LoadedEnsemble | None = None


def gather_facts(trained: LoadedRun | LoadedEnsemble, audit: Path | str | None = None) -> ModelFacts:
    """Evaluate a classifier on its test split, before and after its calibrator, and read an audit of its labels.

    Args:
        trained: a run with its calibrator, or an ensemble.
        audit: folder or `audit.json` of an audit of the labels.

    Raises:
        InputError: if there is no such audit, or it is of other classes.
    """
    ensemble = trained if isinstance(trained, LoadedEnsemble) else None
    run = trained if isinstance(trained, LoadedRun) else trained.members[0].run
    noise = None if audit is None else _read_audit(audit, run)
    split = "selected.test" if run.selected else "test"
    labels = run.predictions.get("test.labels")
    logits = run.predictions.get(f"{split}.logits") if ensemble is None else ensemble.test_logits
    classifier = trained.classifier
    evaluation = None if logits is None or labels is None or not len(labels) else _evaluated(classifier, logits, labels)
    return ModelFacts(run, classifier.calibrator, evaluation, noise, calibrated_on(trained), ensemble)


def calibrated_on(trained: LoadedRun | LoadedEnsemble) -> int:
    """Return the number of validation rows that a calibrator was fitted on; 0 without one."""
    run = trained if isinstance(trained, LoadedRun) else trained.members[0].run
    return 0 if trained.classifier.calibrator is None else len(run.predictions.get("validation.ids", ()))


def _evaluated(classifier: Classifier, logits: Tensor, labels: Tensor) -> EvaluationResults:
    names = classifier.class_names
    if classifier.calibrator is None:
        return evaluate_predictions(
            logits=logits, labels=labels, options=EvaluationOptions(name=UNCALIBRATED, class_names=names)
        )
    # probabilities, since a calibrator may give a class the probability 0
    probs, plain = (values.double().softmax(-1) for values in (classifier.calibrated(logits.double()), logits))
    named = EvaluationOptions(name=CALIBRATED, class_names=names)
    return evaluate_predictions(probs, labels, against={UNCALIBRATED: plain}, options=named)


def calibration_warnings(calibrator: Calibrator | None, rows: int, found: EvaluationResults | None) -> tuple[str, ...]:
    """Return, in sentences, what speaks against a calibrator.

    Args:
        calibrator: fitted; None: nothing is said.
        rows: number of validation rows that it was fitted on.
        found: evaluation of the test split with and without it; None if there is none.
    """
    if calibrator is None:
        return ()
    said: list[str] = []
    if not bool(calibrator.converged):
        said.append(
            f"The calibrator did not converge on its {count(rows, 'validation row')}, as when all of them are "
            "predicted correctly: its confidences are rough."
        )
    if found is None:
        return tuple(said)
    plain = next(model for model in found.models if model.name == UNCALIBRATED)
    if found.main.zero_rows > plain.zero_rows:
        floored = found.main.metric("nll_floored")
        value = "" if floored is None else f" ({text_of(floored.value, 'nats')} nats with probabilities ≥ {FLOOR:g})"
        said.append(
            f"The calibrator gives the label of {count(found.main.zero_rows, 'test row')} the probability 0, so that "
            f"NLL is infinite{value}. Histogram binning and isotonic calibration can do so; temperature scaling cannot."
        )
    worse = [
        one.definition.label
        for one in found.differences
        if (one.against, one.verdict, one.scaled) == (UNCALIBRATED, WORSE, False) and one.metric in CALIBRATION
    ]
    if worse:
        said.append(f"The calibrator makes the test split significantly worse in {listed(worse)}.")
    return tuple(said)


def _read_audit(audit: Path | str, run: LoadedRun) -> NoiseFacts:
    path = user_path("audit", audit)
    path = path / _AUDIT if path.is_dir() else path
    remedy = "give the folder that softtargets audit wrote"
    try:
        content: Mapping[str, Any] = parse_json(read_regular(path))
        rate, names = content["noise_rate"], tuple(content["class_names"])
        facts = NoiseFacts(
            float(rate["estimate"]),
            float(rate["low"]),
            float(rate["high"]),
            bool(content["noise_rate_told"]),
            int(content["rows"]),
            path,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise fail("audit", f"a folder with an {_AUDIT}", f"'{path}' ({reason})", remedy) from error
    if set(names) != set(run.class_names):
        others, missing = sorted(set(names) - set(run.class_names)), sorted(set(run.class_names) - set(names))
        got = f"one with the class '{others[0]}'" if others else f"one without the class '{missing[0]}'"
        raise fail("audit", "an audit of the classes of the run", got, remedy)
    return facts


def spread(counts: list[int]) -> tuple[int, int]:
    """Return the smallest and the largest number of rows of a class."""
    values = torch.tensor(counts)
    return int(values.min()), int(values.max())
