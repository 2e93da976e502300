"""Networks that write rows of tokens: likelihood, accuracy and calibration of the next token after the true ones."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets.calibration import TemperatureScaling
from softtargets.measures.registry import Measure, measure, network_measures
from softtargets.measures.subject import Subject, evenly
from softtargets.metrics import Bins, nll, reliability_bins
from softtargets.models.sequences import token_labels
from softtargets.runs.record import Record

BINS = 15
# Tokens that a temperature is fitted on: "around 10k tokens of the validation set" (Müller et al. 2019, A.3).
FITTED_TOKENS = 10_000
# Logits that are computed at a time: 64 MiB in float32.
LOGITS = 2**24
# Calibration errors of the next test token, and whether the logits are temperature-scaled.
TOKEN_DIAGRAMS = {"test.token_ece15": False, "test.token_ece15.scaled": True}

_FITTED = f"The temperature is fitted by likelihood to {FITTED_TOKENS:,} evenly spaced tokens of the validation split."


@measure("test.token_nll", label="test NLL per token", unit="nats", of_tokens=True)
def nll_of_tokens(record: Record) -> float | None:
    """Mean negative log-likelihood of the test tokens, each predicted from the true tokens before it."""
    return _per_token(record, "nll")


@measure("test.token_accuracy", label="test accuracy of the next token", unit="percent", of_tokens=True)
def accuracy_of_tokens(record: Record) -> float | None:
    """Share of the test tokens that are predicted correctly from the true tokens before them."""
    return _per_token(record, "correct")


def _per_token(record: Record, name: str) -> float | None:
    count = int(record.predictions["test.tokens"].sum())
    return None if count == 0 else float(record.predictions[f"test.{name}"].sum()) / count


@dataclass(frozen=True)
class TokenFeatures:
    """The inputs of the last layer for the tokens of a split, from which logits are computed in parts.

    Args:
        features: (T, D) float32.
        labels: (T,) int64.
        head: the last layer.
    """

    features: Tensor
    labels: Tensor
    head: nn.Linear

    @classmethod
    def of(cls, subject: Subject, split: str) -> Self:
        """Compute the features of a split.

        Raises:
            InputError: if the network does not write rows of tokens, or the split is empty.
        """
        require_sequences(subject)
        network: Any = subject.network
        rows, inputs = subject.dataset.splits[split], subject.reader
        if len(rows) == 0:
            raise fail("data", f"a {split} split", "none", f"hold rows out with data.{split}")
        features, labels = [], []
        with torch.no_grad():
            for batch in inputs.batches(rows, inputs.measured_rows):
                features.append(network.features(batch))
                labels.append(token_labels(batch))
        return cls(torch.cat(features), torch.cat(labels), subject.head)

    def temperature(self) -> TemperatureScaling | None:
        """Fit a temperature to at most `FITTED_TOKENS` of the tokens; None if the fit does not converge."""
        places = evenly(torch.arange(len(self.labels)), FITTED_TOKENS)
        with torch.no_grad():
            fitted = TemperatureScaling().fit(self.head(self.features[places]), self.labels[places])
        return fitted if bool(fitted.converged) else None

    def scores(self, temperature: float) -> tuple[float, Bins]:
        """Return the NLL per token and the reliability bins with logits divided by a temperature."""
        size = max(1, LOGITS // self.head.out_features)
        total, tables = 0.0, list[Bins]()
        for features, labels in zip(self.features.split(size), self.labels.split(size), strict=True):
            with torch.no_grad():
                logits = self.head(features).double() / temperature
            total += float(nll(logits=logits, labels=labels)) * len(labels)
            tables.append(reliability_bins(logits=logits, labels=labels, n_bins=BINS))
        sums = (torch.stack([getattr(table, name) for table in tables]).sum(0) for name in _SUMS)
        return total / len(self.labels), Bins(tables[0].edges, *sums)


_SUMS = ("count", "confidence", "correct")


def require_sequences(subject: Subject) -> None:
    """Require a network that writes rows of tokens."""
    if not subject.dataset.is_sequence:
        remedy = "measure it on runs on data with data.target"
        raise fail("run", "a network that writes rows of tokens", f"one on '{subject.dataset.name}'", remedy)


def error_of(bins: Bins) -> float:
    """Return the expected calibration error of bins, a fraction."""
    return float((bins.confidence - bins.correct).abs().sum() / bins.count.sum())


def token_bins(subject: Subject, name: str) -> Bins | None:
    """Return the reliability bins of one of `TOKEN_DIAGRAMS`; None if no temperature can be fitted."""
    temperature = 1.0
    if TOKEN_DIAGRAMS[name]:
        fitted = TokenFeatures.of(subject, "validation").temperature()
        if fitted is None:
            return None
        temperature = float(fitted.temperature)
    return TokenFeatures.of(subject, "test").scores(temperature)[1]


@network_measures(
    "tokens",
    Measure(
        "test.token_ece15",
        "test ECE of the next token, 15 bins",
        "fraction",
        "Expected calibration error of the next token after the true ones on the test split, 15 bins of equal width.",
        bounds=(0.0, 1.0),
    ),
    Measure(
        "test.token_ece15.scaled",
        "test ECE of the next token, temperature-scaled",
        "fraction",
        f"As test.token_ece15, with logits divided by a temperature. {_FITTED}",
        bounds=(0.0, 1.0),
    ),
    Measure(
        "test.token_nll.scaled",
        "test NLL per token, temperature-scaled",
        "nats",
        f"As test.token_nll, with logits divided by a temperature. {_FITTED}",
    ),
    Measure("token_temperature", "temperature of next tokens", "factor", _FITTED),
    Measure(
        "test.token_overconfidence",
        "confidence minus accuracy of the next token",
        "fraction",
        "Mean confidence minus accuracy of the next token after the true ones on the test split.",
        bounds=(-1.0, 1.0),
    ),
)
def token_calibration(subject: Subject) -> dict[str, float]:
    """Return the calibration of next tokens, before and after temperature scaling."""
    test = TokenFeatures.of(subject, "test")
    _, bins = test.scores(1.0)
    found = {
        "test.token_ece15": error_of(bins),
        "test.token_overconfidence": float((bins.confidence.sum() - bins.correct.sum()) / bins.count.sum()),
    }
    fitted = TokenFeatures.of(subject, "validation").temperature()
    if fitted is not None:
        temperature = float(fitted.temperature)
        scaled_nll, scaled = test.scores(temperature)
        found |= {"token_temperature": temperature, "test.token_nll.scaled": scaled_nll}
        found["test.token_ece15.scaled"] = error_of(scaled)
    return found
