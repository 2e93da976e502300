"""Numbers of a finished run, computed from its predictions alone and kept in the store's `derived`."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from softtargets.runs.spec import canonical_json
from softtargets.runs.store import PREDICTIONS, RunStore

if TYPE_CHECKING:
    from torch import Tensor

# Raised by hand when a change alters a measure; kept numbers of an older version are computed again.
MEASURES_VERSION = 2

Predictions = dict[str, "Tensor"]


@dataclass(frozen=True)
class Measure:
    """What a number is called and shown in.

    Args:
        label: for people.
        unit: "percent" is a fraction, shown times 100.
        describes: one sentence.
        of: (predictions) -> the value, or None where it is not defined (no flipped labels, say).
    """

    label: str
    unit: Literal["percent", "fraction", "nats", "logits"]
    describes: str
    of: Callable[[Predictions], "float | None"]


def _accuracy(split: str, labels: str, part: str = "all", epoch: str = "") -> Callable[[Predictions], "float | None"]:
    def of(predictions: Predictions) -> "float | None":
        from softtargets.metrics import accuracy

        logits = predictions.get(f"{epoch}{split}.logits")
        rows = _part(predictions, split, part)
        if logits is None or not bool(rows.any()):
            return None
        return float(accuracy(logits[rows], predictions[f"{split}.{labels}"][rows]))

    return of


def _part(predictions: Predictions, split: str, part: str) -> "Tensor":
    flipped = predictions[f"{split}.labels"] != predictions[f"{split}.observed"]
    return {"all": flipped | ~flipped, "clean": ~flipped, "noisy": flipped}[part]


def _nll(predictions: Predictions) -> "float | None":
    from softtargets.metrics import nll

    if len(predictions["test.labels"]) == 0:
        return None
    return float(nll(predictions["test.logits"].double().log_softmax(-1), predictions["test.labels"]))


def _ece(bins: int) -> Callable[[Predictions], "float | None"]:
    def of(predictions: Predictions) -> "float | None":
        from softtargets.metrics import ece

        if len(predictions["test.labels"]) == 0:
            return None
        return float(ece(predictions["test.logits"].double().softmax(-1), predictions["test.labels"], bins=bins))

    return of


def _transition_distance(predictions: Predictions) -> "float | None":
    from softtargets.noise import from_confusion

    used = predictions.get("transition")
    if used is None:
        return None
    size = len(used)
    pairs = predictions["train.labels"] * size + predictions["train.observed"]
    realised = from_confusion(pairs.bincount(minlength=size * size).view(size, size), keep_empty=True)
    return float(realised.total_variation(used).mean())


def _mean_gap(labels: str) -> Callable[[Predictions], "float | None"]:
    def of(predictions: Predictions) -> "float | None":
        gaps = gaps_of(predictions, labels)
        return float(gaps.double().mean()) if len(gaps) else None

    return of


def gaps_of(predictions: Predictions, labels: str) -> "Tensor":
    """Return the logit gaps of the mislabelled training examples, (M,), for their true or their observed label."""
    from softtargets.analysis import logit_gap

    rows = _part(predictions, "train", "noisy")
    if not bool(rows.any()):
        return predictions["train.logits"].new_zeros(0)
    names = {"true": "labels", "observed": "observed"}
    return logit_gap(predictions["train.logits"][rows], predictions[f"train.{names[labels]}"][rows])


MEASURES: dict[str, Measure] = {
    "test.accuracy": Measure(
        "test accuracy", "percent", "Accuracy on the test split, which is clean.", _accuracy("test", "labels")
    ),
    "selected.test.accuracy": Measure(
        "test accuracy, selected epoch",
        "percent",
        "Accuracy on the test split of the epoch that does best on the observed labels of the validation split.",
        _accuracy("test", "labels", epoch="selected."),
    ),
    "selected.validation.accuracy": Measure(
        "validation accuracy, selected epoch",
        "percent",
        "Accuracy of the selected epoch against the observed labels it was selected by: too high for that reason.",
        _accuracy("validation", "observed", epoch="selected."),
    ),
    "transition.distance": Measure(
        "error of T",
        "fraction",
        "Total variation between the transition that was used and that of the training labels, mean of rows.",
        _transition_distance,
    ),
    "test.nll": Measure("test NLL", "nats", "Mean negative log-likelihood of the clean test labels.", _nll),
    "test.ece100": Measure(
        "test ECE, 100 bins", "fraction", "Expected calibration error on the test split, 100 equal widths.", _ece(100)
    ),
    "test.ece15": Measure(
        "test ECE, 15 bins", "fraction", "Expected calibration error on the test split, 15 equal widths.", _ece(15)
    ),
    "validation.accuracy": Measure(
        "validation accuracy",
        "percent",
        "Accuracy on the validation split, against the observed labels.",
        _accuracy("validation", "observed"),
    ),
    "train.accuracy": Measure(
        "full train, true labels",
        "percent",
        "Accuracy on all training examples, against their true labels.",
        _accuracy("train", "labels"),
    ),
    "clean.accuracy": Measure(
        "clean part, true labels",
        "percent",
        "Accuracy on the training examples whose label is right.",
        _accuracy("train", "labels", "clean"),
    ),
    "noisy.accuracy": Measure(
        "noisy part, true labels",
        "percent",
        "Accuracy on the mislabelled training examples, against their true labels.",
        _accuracy("train", "labels", "noisy"),
    ),
    "noisy.fit": Measure(
        "noisy part, noisy labels",
        "percent",
        "Accuracy on the mislabelled training examples, against the wrong labels they carry.",
        _accuracy("train", "observed", "noisy"),
    ),
    "gap.true": Measure(
        "gap of the true label",
        "logits",
        "Mean over mislabelled training examples of the true label's logit less the mean logit.",
        _mean_gap("true"),
    ),
    "gap.observed": Measure(
        "gap of the noisy label",
        "logits",
        "Mean over mislabelled training examples of the observed label's logit less the mean logit.",
        _mean_gap("observed"),
    ),
}


def measure(store: RunStore, identity: str) -> dict[str, float]:
    """Return every measure of a finished run that is defined for it; from `derived` where it was computed before."""
    key = canonical_json({"measures": sorted(MEASURES), "version": MEASURES_VERSION})
    known: Any = store.derived(identity, key)
    if known is None:
        predictions = read_predictions(store.path(identity))
        values = {name: item.of(predictions) for name, item in MEASURES.items()}
        known = {name: value for name, value in values.items() if value is not None}
        # only a cache: on a full disk the page is still written
        with suppress(OSError):
            store.put_derived(identity, key, known)
    return {name: known[name] for name in MEASURES if name in known}


def read_predictions(folder: Path) -> Predictions:
    """Return a run's predictions: for every split its ids, logits, labels and observed labels."""
    from safetensors.torch import load_file

    return load_file(folder / PREDICTIONS)
