"""Calibration on the test split, before and after temperature scaling: NLL, ECE and confidence."""

from torch import Tensor

from softtargets.calibration import TemperatureScaling
from softtargets.measures.registry import measure
from softtargets.metrics import Bins, ece, nll, reliability_bins
from softtargets.runs.record import Predictions, Record

# Calibration errors of the test split: number of equal-width bins, and whether the logits are temperature-scaled.
DIAGRAMS = {"test.ece15": (15, False), "test.ece15.scaled": (15, True), "test.ece100": (100, False)}


def reliability_of(predictions: Predictions, name: str) -> Bins | None:
    """Return the reliability bins of a calibration error in `DIAGRAMS`; None where it is not defined."""
    bins, scaled = DIAGRAMS[name]
    logits = _test_logits(predictions, scaled=scaled)
    return None if logits is None else reliability_bins(logits=logits, labels=predictions["test.labels"], n_bins=bins)


@measure("test.nll", label="test NLL", unit="nats")
def nll_of_test(record: Record) -> float | None:
    """Mean negative log-likelihood of the true test labels."""
    return _nll(record, scaled=False)


@measure("test.nll.scaled", label="test NLL, temperature-scaled", unit="nats")
def scaled_nll_of_test(record: Record) -> float | None:
    """Mean negative log-likelihood of the true test labels, with logits divided by the fitted temperature."""
    return _nll(record, scaled=True)


@measure("test.ece100", label="test ECE, 100 bins", unit="fraction", bounds=(0.0, 1.0))
def ece_of_100_bins(record: Record) -> float | None:
    """Expected calibration error on the test split, 100 bins of equal width."""
    return _ece(record, "test.ece100")


@measure("test.ece15", label="test ECE, 15 bins", unit="fraction", bounds=(0.0, 1.0))
def ece_of_15_bins(record: Record) -> float | None:
    """Expected calibration error on the test split, 15 bins of equal width."""
    return _ece(record, "test.ece15")


@measure("test.ece15.scaled", label="test ECE, 15 bins, temperature-scaled", unit="fraction", bounds=(0.0, 1.0))
def scaled_ece_of_15_bins(record: Record) -> float | None:
    """Expected calibration error on the test split, 15 bins, with logits divided by the fitted temperature."""
    return _ece(record, "test.ece15.scaled")


@measure("temperature", label="temperature", unit="factor")
def temperature(record: Record) -> float | None:
    """Temperature fitted to the observed labels of the validation split by likelihood; none if the fit diverges."""
    fitted = _fitted(record.predictions)
    return None if fitted is None else float(fitted.temperature)


@measure("test.overconfidence", label="confidence minus accuracy", unit="fraction", bounds=(-1.0, 1.0))
def overconfidence(record: Record) -> float | None:
    """Mean confidence minus accuracy on the test split; above 0 the network is over-confident."""
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
    """Return the logits of the test split, or the temperature-scaled log-probabilities."""
    if len(predictions["test.labels"]) == 0:
        return None
    logits = predictions["test.logits"].double()
    if not scaled:
        return logits
    fitted = _fitted(predictions)
    return None if fitted is None else fitted(logits)


def _fitted(predictions: Predictions) -> TemperatureScaling | None:
    """Fit a temperature to the observed labels of the validation split; None if it is empty or the fit diverges."""
    logits = predictions.get("validation.logits")
    if logits is None or len(logits) == 0:
        return None
    fitted = TemperatureScaling().fit(logits, predictions["validation.observed"])
    return fitted if bool(fitted.converged) else None
