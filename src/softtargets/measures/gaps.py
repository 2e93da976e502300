"""Logit gaps of training examples: a label's logit minus the mean logit, as in Lukasik et al. 2020, Figs. 3 and 7."""

from functools import partial

import torch
from torch import Tensor

from softtargets.analysis import logit_gap
from softtargets.measures.fit import mislabelled
from softtargets.measures.registry import measure
from softtargets.runs.record import Predictions, Record

# Name of the measure after "gap." -> the labels, the part of the training split, the label on pages, the definition.
GAPS = {
    "true": ("labels", "noisy", "gap of the true label", "mislabelled training examples of the true label's logit"),
    "observed": (
        "observed",
        "noisy",
        "gap of the noisy label",
        "mislabelled training examples of the observed label's logit",
    ),
    "clean": (
        "labels",
        "clean",
        "gap of the label, clean part",
        "training examples with a right label of that label's logit",
    ),
    "full.true": (
        "labels",
        "all",
        "gap of the true label, all examples",
        "all training examples of the true label's logit",
    ),
    "full.observed": (
        "observed",
        "all",
        "gap of the observed label, all examples",
        "all training examples of the observed label's logit",
    ),
}


def gaps_of(predictions: Predictions, name: str) -> Tensor:
    """Return the logit gaps of the training examples of one of `GAPS`, (M,)."""
    labels, part, _, _ = GAPS[name]
    wrong = mislabelled(predictions)
    rows = {"noisy": wrong, "clean": ~wrong, "all": torch.ones_like(wrong)}[part]
    if not bool(rows.any()):
        return predictions["train.logits"].new_zeros(0)
    return logit_gap(predictions["train.logits"][rows], predictions[f"train.{labels}"][rows])


def _mean_gap(record: Record, name: str) -> float | None:
    gaps = gaps_of(record.predictions, name)
    return float(gaps.double().mean()) if len(gaps) else None


for _name, (_, _, _label, _what) in GAPS.items():
    measure(f"gap.{_name}", label=_label, unit="logits", describes=f"Mean over {_what} minus the mean logit.")(
        partial(_mean_gap, name=_name)
    )
