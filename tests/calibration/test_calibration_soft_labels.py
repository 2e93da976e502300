"""Calibrators fitted on votes or label distributions, and on one column of a binary problem."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from softtargets import calibration, metrics
from softtargets.calibration import (
    EnsembleTemperatureScaling,
    HistogramBinning,
    IsotonicCalibration,
    TemperatureScaling,
    VectorScaling,
    cross_fit,
)

CALIBRATORS = [TemperatureScaling, VectorScaling, EnsembleTemperatureScaling, HistogramBinning, IsotonicCalibration]
every = pytest.mark.parametrize("kind", CALIBRATORS, ids=lambda kind: kind.__name__)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10n" / "train.parquet"

N, K, VOTES = 1500, 4, 5
generator = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(N, K, generator=generator)
TRUE = (LOGITS * 0.4 + torch.tensor([0.0, 0.3, 0.0, -0.3])).softmax(-1)
DRAWN = torch.multinomial(TRUE, VOTES, replacement=True, generator=generator)
COUNTS = one_hot(DRAWN, K).sum(1)
MAJORITY = COUNTS.max(1).indices
MASK = torch.arange(N) % 2 == 0


def _nll(calibrated: Tensor, labels: Tensor, mask: Tensor | None = None) -> float:
    return float(metrics.nll(logits=calibrated, labels=labels, mask=mask))


def _state(calibrator: Any) -> dict[str, Tensor]:
    return {name: buffer.double() for name, buffer in calibrator.named_buffers()}


@every
def test_one_vote_per_example_gives_the_fit_on_the_labels(kind: Any) -> None:
    hard = _state(kind().fit(LOGITS, MAJORITY))
    for votes in (one_hot(MAJORITY, K), 3 * one_hot(MAJORITY, K), one_hot(MAJORITY, K).float()):
        soft = _state(kind().fit(LOGITS, votes))
        for name, value in hard.items():
            assert torch.allclose(soft[name], value, rtol=1e-9, atol=1e-12), name


@every
def test_votes_are_the_examples_of_every_annotator(kind: Any) -> None:
    """With equally many votes, the fit is that on one row for each vote."""
    soft = kind().fit(LOGITS, COUNTS)
    repeated = kind().fit(LOGITS.repeat_interleave(VOTES, 0), DRAWN.reshape(-1))
    assert torch.allclose(soft(LOGITS).exp(), repeated(LOGITS).exp(), atol=1e-5)
    shares = kind().fit(LOGITS, COUNTS.double() / VOTES)
    assert torch.allclose(soft(LOGITS).exp(), shares(LOGITS).exp(), atol=1e-9)


@every
def test_it_predicts_votes_better_than_a_fit_on_the_majority(kind: Any) -> None:
    options: dict[str, Any] = {"uniform": 0.02} if kind in (HistogramBinning, IsotonicCalibration) else {}
    soft = kind(**options).fit(LOGITS, COUNTS, mask=MASK)(LOGITS)
    majority = kind(**options).fit(LOGITS, MAJORITY, mask=MASK)(LOGITS)
    assert _nll(soft, COUNTS, ~MASK) < min(_nll(majority, COUNTS, ~MASK), _nll(LOGITS, COUNTS, ~MASK))
    assert float(metrics.ece(logits=soft, labels=COUNTS, mask=~MASK)) < 0.05


def test_the_temperature_is_the_minimum_of_the_expected_nll() -> None:
    fitted = TemperatureScaling().fit(LOGITS, COUNTS)
    assert bool(fitted.converged)
    at = float(fitted.temperature)
    least = _nll(LOGITS.double() / at, COUNTS)
    assert all(_nll(LOGITS.double() / (at * factor), COUNTS) > least for factor in (0.99, 0.999, 1.001, 1.01))


def test_vector_scaling_is_flat_at_its_minimum() -> None:
    fitted = VectorScaling().fit(LOGITS, COUNTS)
    assert bool(fitted.converged)
    scale, bias = (part.clone().requires_grad_() for part in (fitted.scale, fitted.bias))
    log_probs = (LOGITS.double() * scale + bias).log_softmax(-1)
    (-(COUNTS / VOTES * log_probs).sum(1).mean()).backward()
    assert all(float(part.grad.abs().max()) < 1e-5 for part in (scale, bias) if part.grad is not None)


def test_ensemble_weights_beat_every_corner() -> None:
    fitted = EnsembleTemperatureScaling().fit(LOGITS, COUNTS)
    parts = [(LOGITS.double() / float(fitted.temperature)).log_softmax(-1), LOGITS.double().log_softmax(-1)]
    assert _nll(fitted(LOGITS.double()), COUNTS) <= min(_nll(part, COUNTS) for part in parts) + 1e-8


def test_rows_with_a_vote_for_a_masked_class_are_left_out_and_counted() -> None:
    logits = LOGITS.clone()
    logits[:, 3] = -torch.inf
    fitted = TemperatureScaling().fit(logits, COUNTS)
    without = COUNTS[:, 3] == 0
    assert int(fitted.left_out) == int((~without).sum()) > 0
    assert float(fitted.temperature) == float(TemperatureScaling().fit(logits[without], COUNTS[without]).temperature)


def test_rows_that_a_mask_leaves_out_are_not_checked_and_axes_can_be_moved() -> None:
    counts = COUNTS.clone()
    counts[1] = -3
    expected = float(TemperatureScaling().fit(LOGITS[MASK], COUNTS[MASK]).temperature)
    assert float(TemperatureScaling().fit(LOGITS, counts, mask=MASK).temperature) == expected
    moved = TemperatureScaling().fit(LOGITS.T, counts.T, mask=MASK, class_dim=0)
    assert float(moved.temperature) == expected
    arrays = TemperatureScaling().fit(LOGITS.numpy(), counts.numpy(), mask=MASK.numpy())
    assert float(arrays.temperature) == expected


def test_cross_fitting_on_votes_improves_the_predictions_of_them() -> None:
    crossed = cross_fit(TemperatureScaling(), LOGITS, COUNTS, generator=torch.Generator().manual_seed(0))
    assert _nll(crossed.log_probs, COUNTS) < _nll(LOGITS, COUNTS)
    by_fold = [float(one.temperature) for one in crossed.calibrators]
    fitted = TemperatureScaling().fit(LOGITS, COUNTS, mask=crossed.fold != 0)
    assert by_fold[0] == pytest.approx(float(fitted.temperature), abs=1e-9)


WRONG: dict[str, tuple[Tensor, str]] = {
    "negative": (COUNTS.index_fill(0, torch.tensor([3]), -1), "labels: .* at least 0; got -1 at row 3, class 0; fix"),
    "no votes": (
        COUNTS.index_fill(0, torch.tensor([5]), 0),
        "labels: at least one vote in every row; got none at row 5",
    ),
    "not whole": (COUNTS + 0.5, "labels: whole numbers .* or probabilities that sum to 1; got a sum of 7 at row 0"),
    "other classes": (COUNTS[:, :3], r"labels: shape \(1500,\), or \(1500, 4\) for soft labels; got \(1500, 3\); give"),
}


@every
@pytest.mark.parametrize("wrong", WRONG)
def test_bad_votes_are_one_sentence_and_leave_the_calibrator_unfitted(kind: Any, wrong: str) -> None:
    labels, message = WRONG[wrong]
    calibrator = kind()
    with pytest.raises(ValueError, match=message):
        calibrator.fit(LOGITS, labels)
    with pytest.raises(ValueError, match="a fitted calibrator; got an unfitted one"):
        calibrator(LOGITS)


def test_what_takes_hard_labels_alone_says_so() -> None:
    with pytest.raises(ValueError, match=r"transition: hard labels, .*; got soft labels; omit transition"):
        TemperatureScaling().fit(LOGITS, COUNTS, transition=torch.eye(K))
    with pytest.raises(ValueError, match=r"labels: integer labels .*; got soft labels; .*use labels.argmax"):
        calibration.choose_logit_norm(LOGITS, COUNTS)


@every
def test_one_column_is_the_log_odds_of_class_1(kind: Any) -> None:
    column, labels = LOGITS[:, 0], (TRUE[:, 0] > 0.3).long()
    two = torch.stack([column * 0, column], 1)
    fitted, expected = kind().fit(column, labels), kind().fit(two, labels)
    assert torch.equal(fitted(column), expected(two))
    assert torch.equal(fitted(column[:, None]), expected(two))
    assert fitted(column.numpy()).shape == (N, 2)
    votes = torch.stack([VOTES - COUNTS[:, 0], COUNTS[:, 0]], 1)
    assert torch.equal(kind().fit(column, votes)(column), kind().fit(two, votes)(two))
    with pytest.raises(ValueError, match=r"labels: .* below 2, the number of classes"):
        kind().fit(column, MAJORITY)


def test_cross_fitting_one_column() -> None:
    column, labels = LOGITS[:, 0], (TRUE[:, 0] > 0.3).long()
    crossed = cross_fit(TemperatureScaling(), column, labels, generator=torch.Generator().manual_seed(0))
    assert crossed.log_probs.shape == (N, 2)
    assert float(crossed.log_probs.exp().sum(1).sub(1).abs().max()) < 1e-5


@pytest.mark.skipif(not SHARED.exists(), reason="needs cifar10n in ../shared/data beside the repository")
def test_three_annotators_of_cifar10n_keep_the_temperature_of_a_model_that_predicts_them() -> None:
    """A model that predicts the annotators' confusion is calibrated. A majority of their labels sharpens it.

    The votes are those of random_label1 to 3. The model knows the class of an image, and its probabilities are the
    shares of the labels that the annotators of one half of the images gave to that class.
    """
    pq = pytest.importorskip("pyarrow.parquet")
    columns = ["label", *(f"random_label{i}" for i in (1, 2, 3))]
    clean, *given = (torch.as_tensor(column.to_numpy()) for column in pq.read_table(SHARED, columns=columns).columns)
    votes = sum(one_hot(labels, 10) for labels in given)
    assert isinstance(votes, Tensor)
    known = torch.arange(len(clean)) < 25_000
    confusion = torch.zeros(10, 10).index_add_(0, clean[known], votes[known].float())
    logits = (confusion / confusion.sum(1, keepdim=True)).log()[clean[~known]]
    votes = votes[~known]
    fit, test = torch.arange(25_000) < 5_000, torch.arange(25_000) >= 5_000
    soft = TemperatureScaling().fit(logits, votes, mask=fit)
    majority = TemperatureScaling().fit(logits, votes.max(1).indices, mask=fit)
    before, after, worse = (_nll(z, votes, test) for z in (logits, soft(logits), majority(logits)))
    assert float(soft.temperature) == pytest.approx(1, abs=0.03)
    assert after < before + 0.001
    assert float(majority.temperature) < 0.8
    assert worse > before + 0.03
