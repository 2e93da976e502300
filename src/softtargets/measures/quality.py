"""Numbers of a finished run, computed from what it recorded and kept in the store's `derived`."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from softtargets.measures.measure import Measure, predicted
from softtargets.measures.stability import PREDICTED
from softtargets.measures.training import TRAINING
from softtargets.runs.record import Predictions, read_record
from softtargets.runs.spec import canonical_json
from softtargets.runs.store import RunStore

if TYPE_CHECKING:
    from torch import Tensor

    from softtargets.calibration import Temperature
    from softtargets.metrics import Bins

# Raised by hand when a change alters a measure; kept numbers of an older version are computed again.
MEASURES_VERSION = 6


def _accuracy(split: str, labels: str, part: str = "all", epoch: str = "") -> Callable[[Predictions], "float | None"]:
    def of(predictions: Predictions) -> "float | None":
        from softtargets.metrics import accuracy

        logits = predictions.get(f"{epoch}{split}.logits")
        rows = _part(predictions, split, part)
        if logits is None or not bool(rows.any()):
            return None
        return float(accuracy(logits=logits[rows], labels=predictions[f"{split}.{labels}"][rows]))

    return of


def _part(predictions: Predictions, split: str, part: str) -> "Tensor":
    flipped = predictions[f"{split}.labels"] != predictions[f"{split}.observed"]
    return {"all": flipped | ~flipped, "clean": ~flipped, "noisy": flipped}[part]


# The calibration errors of the test split: how many bins of equal width, and whether of temperature-scaled logits.
DIAGRAMS = {"test.ece15": (15, False), "test.ece15.scaled": (15, True), "test.ece100": (100, False)}


def _temperature(predictions: Predictions) -> "float | None":
    fitted = _fitted(predictions)
    return None if fitted is None else float(fitted.temperature)


def _fitted(predictions: Predictions) -> "Temperature | None":
    """Fit a temperature to the observed labels of the validation split; None without any, or with no optimum."""
    from softtargets.calibration import Temperature

    logits = predictions.get("validation.logits")
    if logits is None or len(logits) == 0:
        return None
    fitted = Temperature.fit(logits, predictions["validation.observed"])
    return fitted if bool(fitted.converged) else None


def _test_logits(predictions: Predictions, *, scaled: bool) -> "Tensor | None":
    """Return the logits of the test split, or their calibrated log-probabilities, which stand in for logits."""
    if len(predictions["test.labels"]) == 0:
        return None
    logits = predictions["test.logits"].double()
    if not scaled:
        return logits
    fitted = _fitted(predictions)
    return None if fitted is None else fitted(logits)


def _nll(*, scaled: bool) -> Callable[[Predictions], "float | None"]:
    def of(predictions: Predictions) -> "float | None":
        from softtargets.metrics import nll

        logits = _test_logits(predictions, scaled=scaled)
        return None if logits is None else float(nll(logits=logits, labels=predictions["test.labels"]))

    return of


def _ece(name: str) -> Callable[[Predictions], "float | None"]:
    def of(predictions: Predictions) -> "float | None":
        from softtargets.metrics import ece

        bins, scaled = DIAGRAMS[name]
        logits = _test_logits(predictions, scaled=scaled)
        return None if logits is None else float(ece(logits=logits, labels=predictions["test.labels"], bins=bins))

    return of


def reliability_of(predictions: Predictions, name: str) -> "Bins | None":
    """Return the bins that a calibration error is made of, by its name in `DIAGRAMS`; None where it is not defined."""
    from softtargets.metrics import reliability_bins

    bins, scaled = DIAGRAMS[name]
    logits = _test_logits(predictions, scaled=scaled)
    return None if logits is None else reliability_bins(logits=logits, labels=predictions["test.labels"], bins=bins)


def _overconfidence(predictions: Predictions) -> "float | None":
    table = reliability_of(predictions, "test.ece15")
    return None if table is None else float((table.confidence.sum() - table.correct.sum()) / table.count.sum())


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


def _error(predictions: Predictions) -> "float | None":
    reached = _accuracy("test", "labels")(predictions)
    return None if reached is None else 1 - reached


MEASURES: dict[str, Measure] = {
    "test.accuracy": Measure(
        "test accuracy",
        "percent",
        "Accuracy on the test split, which is clean.",
        predicted(_accuracy("test", "labels")),
    ),
    "test.error": Measure(
        "test error", "percent", "Share of the test split that is predicted wrong.", predicted(_error)
    ),
    "selected.test.accuracy": Measure(
        "test accuracy, selected epoch",
        "percent",
        "Accuracy on the test split of the epoch that does best on the observed labels of the validation split.",
        predicted(_accuracy("test", "labels", epoch="selected.")),
    ),
    "selected.validation.accuracy": Measure(
        "validation accuracy, selected epoch",
        "percent",
        "Accuracy of the selected epoch against the observed labels it was selected by: too high for that reason.",
        predicted(_accuracy("validation", "observed", epoch="selected.")),
    ),
    "transition.distance": Measure(
        "error of T",
        "fraction",
        "Total variation between the transition that was used and that of the training labels, mean of rows.",
        predicted(_transition_distance),
    ),
    "test.nll": Measure(
        "test NLL", "nats", "Mean negative log-likelihood of the clean test labels.", predicted(_nll(scaled=False))
    ),
    "test.nll.scaled": Measure(
        "test NLL, temperature-scaled",
        "nats",
        "The same with logits divided by the temperature.",
        predicted(_nll(scaled=True)),
    ),
    "test.ece100": Measure(
        "test ECE, 100 bins",
        "fraction",
        "Expected calibration error on the test split, 100 equal widths.",
        predicted(_ece("test.ece100")),
    ),
    "test.ece15": Measure(
        "test ECE, 15 bins",
        "fraction",
        "Expected calibration error on the test split, 15 equal widths.",
        predicted(_ece("test.ece15")),
    ),
    "test.ece15.scaled": Measure(
        "test ECE, 15 bins, temperature-scaled",
        "fraction",
        "The same with logits divided by the temperature.",
        predicted(_ece("test.ece15.scaled")),
    ),
    "temperature": Measure(
        "temperature",
        "factor",
        "Temperature at which the observed labels of the validation split are most likely; none where it has no end.",
        predicted(_temperature),
    ),
    "test.overconfidence": Measure(
        "confidence less accuracy",
        "fraction",
        "Mean confidence less accuracy on the test split; above 0 the network is too sure of itself.",
        predicted(_overconfidence),
    ),
    "validation.accuracy": Measure(
        "validation accuracy",
        "percent",
        "Accuracy on the validation split, against the observed labels.",
        predicted(_accuracy("validation", "observed")),
    ),
    "train.accuracy": Measure(
        "full train, true labels",
        "percent",
        "Accuracy on all training examples, against their true labels.",
        predicted(_accuracy("train", "labels")),
    ),
    "clean.accuracy": Measure(
        "clean part, true labels",
        "percent",
        "Accuracy on the training examples whose label is right.",
        predicted(_accuracy("train", "labels", "clean")),
    ),
    "noisy.accuracy": Measure(
        "noisy part, true labels",
        "percent",
        "Accuracy on the mislabelled training examples, against their true labels.",
        predicted(_accuracy("train", "labels", "noisy")),
    ),
    "noisy.fit": Measure(
        "noisy part, noisy labels",
        "percent",
        "Accuracy on the mislabelled training examples, against the wrong labels they carry.",
        predicted(_accuracy("train", "observed", "noisy")),
    ),
    "gap.true": Measure(
        "gap of the true label",
        "logits",
        "Mean over mislabelled training examples of the true label's logit less the mean logit.",
        predicted(_mean_gap("true")),
    ),
    "gap.observed": Measure(
        "gap of the noisy label",
        "logits",
        "Mean over mislabelled training examples of the observed label's logit less the mean logit.",
        predicted(_mean_gap("observed")),
    ),
    **PREDICTED,
    **TRAINING,
}


def measure(store: RunStore, identity: str) -> dict[str, float]:
    """Return every measure of a finished run that is defined for it; from `derived` where it was computed before."""
    key = canonical_json({"measures": sorted(MEASURES), "version": MEASURES_VERSION})
    known: Any = store.derived(identity, key)
    if known is None:
        record = read_record(store, identity)
        values = {name: item.of(record) for name, item in MEASURES.items()}
        known = {name: value for name, value in values.items() if value is not None}
        # only a cache: on a full disk the page is still written
        with suppress(OSError):
            store.put_derived(identity, key, known)
    return {name: known[name] for name in MEASURES if name in known}
