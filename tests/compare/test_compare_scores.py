"""Scores of examples: their means are the metrics of the library, and ECE and AURC are pseudo-values."""

import pytest
import torch

from softtargets import metrics
from softtargets.calibration import TemperatureScaling
from softtargets.compare.measures import MEASURES
from softtargets.compare.scores import aurc_scores, ece_scores, scores_of, validation_nll
from softtargets.compare.training import RunOutputs

ROWS = 60


@pytest.fixture
def outputs() -> RunOutputs:
    draws = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2 * ROWS, 4, generator=draws)
    labels = torch.where(
        torch.rand(2 * ROWS, generator=draws) < 0.6,
        logits.argmax(1),
        torch.randint(4, (2 * ROWS,), generator=draws),
    )
    return RunOutputs(logits[:ROWS], labels[:ROWS], logits[ROWS:], labels[ROWS:], 1.0)


def test_means_are_the_metrics_of_the_library(outputs):
    scores, temperature = scores_of(outputs)
    logits, labels = outputs.test_logits.double(), outputs.test_labels
    expected = {
        "accuracy": metrics.accuracy(logits=logits, labels=labels),
        "nll": metrics.nll(logits=logits, labels=labels),
        "ece": metrics.ece(logits=logits, labels=labels),
        "nll_scaled": metrics.nll(logits=logits / temperature, labels=labels),
        "ece_scaled": metrics.ece(logits=logits / temperature, labels=labels),
        "aurc": metrics.aurc(logits=logits / temperature, labels=labels),
    }
    assert scores.keys() == MEASURES.keys() == expected.keys()
    assert {name: float(values.mean()) for name, values in scores.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-9
    )


@pytest.mark.parametrize(("function", "metric"), [(ece_scores, metrics.ece), (aurc_scores, metrics.aurc)])
def test_scores_are_shifted_pseudo_values(outputs, function, metric):
    log_probs, labels = outputs.test_logits.double().log_softmax(1), outputs.test_labels
    value = float(metric(logits=log_probs, labels=labels))
    rows = torch.arange(ROWS)
    without = [float(metric(logits=log_probs[rows != row], labels=labels[rows != row])) for row in range(ROWS)]
    pseudo = torch.tensor([ROWS * value - (ROWS - 1) * one for one in without], dtype=torch.float64)
    found = function(log_probs, labels)
    assert torch.allclose(found, pseudo - pseudo.mean() + value, atol=1e-6)
    assert float(found.std()) > 0.01


def test_confidences_that_round_to_one_are_still_ranked():
    # both are 1.0 in float64; the wrong one is less confident
    log_probs = torch.tensor([[60.0, 0.0], [50.0, 0.0], [40.0, 0.0]], dtype=torch.float64).log_softmax(1)
    labels = torch.tensor([0, 0, 1])
    assert float(aurc_scores(log_probs, labels).mean()) == pytest.approx(1 / 9)
    assert float(aurc_scores(log_probs.flip(0), labels.flip(0)).mean()) == pytest.approx(1 / 9)


def test_temperatures_are_fitted_on_the_validation_split_alone(outputs):
    _, temperature = scores_of(outputs)
    other = RunOutputs(
        outputs.validation_logits, outputs.validation_labels, outputs.test_logits.flip(0), outputs.test_labels, 1.0
    )
    assert scores_of(other)[1] == temperature
    assert validation_nll(outputs) == pytest.approx(
        float(metrics.nll(logits=outputs.validation_logits / temperature, labels=outputs.validation_labels)), abs=1e-6
    )


def test_a_validation_split_without_a_wrong_prediction_has_a_temperature_that_keeps_predictions_uncertain(outputs):
    perfect = RunOutputs(
        outputs.validation_logits,
        outputs.validation_logits.argmax(1),
        outputs.test_logits,
        outputs.test_labels,
        1.0,
    )
    scores, temperature = scores_of(perfect)
    assert 0.05 < temperature < 1.0
    probs = (perfect.validation_logits.double() / temperature).softmax(1)
    assert 0.8 < float(probs.amax(1).mean()) < 1 - 1e-3
    assert float(scores["nll_scaled"].mean()) == pytest.approx(
        float(metrics.nll(logits=perfect.test_logits.double() / temperature, labels=perfect.test_labels))
    )


def test_scores_against_votes_are_expected_scores(outputs):
    """With two votes for each row, scores that are linear in the label are the mean over the two."""
    draws = torch.Generator().manual_seed(1)
    second = torch.randint(4, (2 * ROWS,), generator=draws)
    labels = torch.cat([outputs.validation_labels, outputs.test_labels])
    votes = sum(torch.nn.functional.one_hot(each, 4) for each in (labels, second)).float()  # pyright: ignore[reportAttributeAccessIssue]
    voted = RunOutputs(outputs.validation_logits, votes[:ROWS], outputs.test_logits, votes[ROWS:], 1.0)
    scores, temperature = scores_of(voted)
    logits = outputs.test_logits.double()
    assert temperature == pytest.approx(
        float(TemperatureScaling().fit(voted.validation_logits.double(), votes[:ROWS]).temperature)
    )
    expected = {
        "accuracy": metrics.accuracy(logits=logits, labels=votes[ROWS:]),
        "nll": metrics.nll(logits=logits, labels=votes[ROWS:]),
        "ece": metrics.ece(logits=logits, labels=votes[ROWS:]),
        "nll_scaled": metrics.nll(logits=logits / temperature, labels=votes[ROWS:]),
        "ece_scaled": metrics.ece(logits=logits / temperature, labels=votes[ROWS:]),
    }
    assert {name: float(scores[name].mean()) for name in expected} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-9
    )
    log_probs = (logits / temperature).log_softmax(-1)
    both = [aurc_scores(log_probs, each[ROWS:]) for each in (labels, second)]
    torch.testing.assert_close(scores["aurc"], (both[0] + both[1]) / 2)
    assert validation_nll(voted) == pytest.approx(
        float(metrics.nll(logits=outputs.validation_logits.double() / temperature, labels=votes[:ROWS])), abs=1e-9
    )


def test_one_vote_is_a_class(outputs):
    votes = [torch.nn.functional.one_hot(each, 4).float() for each in (outputs.validation_labels, outputs.test_labels)]
    voted = RunOutputs(outputs.validation_logits, votes[0], outputs.test_logits, votes[1], 1.0)
    (scores, temperature), (expected, other) = scores_of(voted), scores_of(outputs)
    assert temperature == pytest.approx(other)
    for name, values in expected.items():
        torch.testing.assert_close(scores[name], values, rtol=1e-6, atol=1e-9)
