"""Logit gaps of the mislabelled training examples: a label's logit minus the mean logit."""

from torch import Tensor

from softtargets.analysis import logit_gap
from softtargets.measures.fit import mislabelled
from softtargets.measures.registry import measure
from softtargets.runs.record import Predictions, Record

_LABELS = {"true": "train.labels", "observed": "train.observed"}


def gaps_of(predictions: Predictions, labels: str) -> Tensor:
    """Return the logit gaps of the mislabelled training examples, (M,), for their "true" or their "observed" label."""
    rows = mislabelled(predictions)
    if not bool(rows.any()):
        return predictions["train.logits"].new_zeros(0)
    return logit_gap(predictions["train.logits"][rows], predictions[_LABELS[labels]][rows])


@measure("gap.true", label="gap of the true label", unit="logits")
def gap_of_true_label(record: Record) -> float | None:
    """Mean over mislabelled training examples of the true label's logit minus the mean logit."""
    return _mean_gap(record, "true")


@measure("gap.observed", label="gap of the noisy label", unit="logits")
def gap_of_observed_label(record: Record) -> float | None:
    """Mean over mislabelled training examples of the observed label's logit minus the mean logit."""
    return _mean_gap(record, "observed")


def _mean_gap(record: Record, labels: str) -> float | None:
    gaps = gaps_of(record.predictions, labels)
    return float(gaps.double().mean()) if len(gaps) else None
