"""Calibration on the test split: likelihood, calibration error and confidence, as predicted and temperature-scaled."""

from torch import Tensor

from softtargets.calibration import TemperatureScaling
from softtargets.measures.registry import measure
from softtargets.metrics import Bins, ece, nll, reliability_bins
from softtargets.runs.record import Predictions, Record

# The calibration errors of the test split: how many bins of equal width, and whether of temperature-scaled logits.
DIAGRAMS = {"test.ece15": (15, False), "test.ece15.scaled": (15, True), "test.ece100": (100, False)}


def reliability_of(predictions: Predictions, name: str) -> Bins | None:
    """Return the bins that a calibration error is made of, by its name in `DIAGRAMS`; None where it is not defined."""
    bins, scaled = DIAGRAMS[name]
    logits = _test_logits(predictions, scaled=scaled)
    return None if logits is None else reliability_bins(logits=logits, labels=predictions["test.labels"], n_bins=bins)


@measure("test.nll", label="test NLL", unit="nats")
def nll_of_test(record: Record) -> float | None:
    """Mean negative log-likelihood of the clean test labels."""
    return _nll(record, scaled=False)


@measure("test.nll.scaled", label="test NLL, temperature-scaled", unit="nats")
def scaled_nll_of_test(record: Record) -> float | None:
    """The same with logits divided by the temperature."""
    return _nll(record, scaled=True)


@measure("test.ece100", label="test ECE, 100 bins", unit="fraction")
def ece_of_100_bins(record: Record) -> float | None:
    """Expected calibration error on the test split, 100 equal widths."""
    return _ece(record, "test.ece100")


@measure("test.ece15", label="test ECE, 15 bins", unit="fraction")
def ece_of_15_bins(record: Record) -> float | None:
    """Expected calibration error on the test split, 15 equal widths."""
    return _ece(record, "test.ece15")


@measure("test.ece15.scaled", label="test ECE, 15 bins, temperature-scaled", unit="fraction")
def scaled_ece_of_15_bins(record: Record) -> float | None:
    """The same with logits divided by the temperature."""
    return _ece(record, "test.ece15.scaled")


@measure("temperature", label="temperature", unit="factor")
def temperature(record: Record) -> float | None:
    """Temperature at which the observed labels of the validation split are most likely; none where it has no end."""
    fitted = _fitted(record.predictions)
    return None if fitted is None else float(fitted.temperature)


@measure("test.overconfidence", label="confidence less accuracy", unit="fraction")
def overconfidence(record: Record) -> float | None:
    """Mean confidence less accuracy on the test split; above 0 the network is too sure of itself."""
    table = reliability_of(record.predictions, "test.ece15")
    return None if table is None else float((table.confidence.sum() - table.correct.sum()) / table.count.sum())


def _nll(record: Record, *, scaled: bool) -> float | None:
    logits = _test_logits(record.predictions, scaled=scaled)
    return None if logits is None else float(nll(logits=logits, labels=record.predictions["test.labels"]))


def _ece(record: Record, name: str) -> float | None:
    bins, scaled = DIAGRAMS[name]
    logits = _test_logits(record.predictions, scaled=scaled)
    return None if logits is None else float(ece(logits=logits, labels=record.predictions["test.labels"], n_bins=bins))


def _test_logits(predictions: Predictions, *, scaled: bool) -> Tensor | None:
    """Return the logits of the test split, or their calibrated log-probabilities, which stand in for logits."""
    if len(predictions["test.labels"]) == 0:
        return None
    logits = predictions["test.logits"].double()
    if not scaled:
        return logits
    fitted = _fitted(predictions)
    return None if fitted is None else fitted(logits)


def _fitted(predictions: Predictions) -> TemperatureScaling | None:
    """Fit a temperature to the observed labels of the validation split; None without any, or with no optimum."""
    logits = predictions.get("validation.logits")
    if logits is None or len(logits) == 0:
        return None
    fitted = TemperatureScaling().fit(logits, predictions["validation.observed"])
    return fitted if bool(fitted.converged) else None
