"""cross_fit and CrossFit: no row is calibrated by a calibrator fitted on it, and folds are balanced."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softtargets import metrics, noise
from softtargets.calibration import CrossFit, HistogramBinning, TemperatureScaling, cross_fit

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(203, 5, generator=generator) * 3
LABELS = torch.multinomial((LOGITS / 2).softmax(-1), 1, generator=generator)[:, 0]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(nn.Module):
    """Records the rows on which it was fitted, identified by their first logit."""

    def fit(self, logits: Tensor, labels: Tensor) -> "Recorder":
        self.seen, self.labels = set(logits[:, 0].tolist()), labels
        return self

    def forward(self, logits: Tensor) -> Tensor:
        assert not self.seen & set(logits[:, 0].tolist()), "a row calibrated by a calibrator that was fitted on it"
        return logits.log_softmax(-1)


@pytest.mark.parametrize("folds", [2, 5, 203])
def test_no_row_is_calibrated_by_a_calibrator_fitted_on_it(folds: int) -> None:
    crossed = cross_fit(Recorder, LOGITS, LABELS, folds=folds, generator=seeded())
    assert isinstance(crossed, CrossFit)
    torch.testing.assert_close(crossed.log_probs, LOGITS.log_softmax(-1), rtol=0, atol=0)
    assert len(crossed.calibrators) == folds
    for k, calibrator in enumerate(crossed.calibrators):
        assert calibrator.seen == set(LOGITS[crossed.fold != k, 0].tolist())
        assert torch.equal(calibrator.labels, LABELS[crossed.fold != k])


def test_each_row_is_by_the_calibrator_of_its_fold() -> None:
    calibrator = TemperatureScaling()
    crossed = cross_fit(calibrator, LOGITS, LABELS, generator=seeded())
    assert "unfitted" in repr(calibrator)
    for k, calibrator in enumerate(crossed.calibrators):
        rows = crossed.fold == k
        torch.testing.assert_close(crossed.log_probs[rows], calibrator(LOGITS[rows]), rtol=0, atol=0)
        assert float(calibrator.temperature) == float(
            TemperatureScaling().fit(LOGITS[~rows], LABELS[~rows]).temperature
        )
    assert len({float(c.temperature) for c in crossed.calibrators}) == 5


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_are_even_in_all_and_in_each_class(folds: int) -> None:
    fold = cross_fit(Recorder, LOGITS, LABELS, folds=folds, generator=seeded()).fold
    for chosen in (fold, *(fold[k == LABELS] for k in range(5))):
        counts = chosen.bincount(minlength=folds)
        assert int(counts.max() - counts.min()) <= 1


def test_folds_follow_the_generator() -> None:
    first, again, other = (cross_fit(Recorder, LOGITS, LABELS, generator=seeded(s)).fold for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_shows_the_overfitting_that_the_fitted_rows_hide() -> None:
    # 200 bins overfit 203 rows
    calibrator = HistogramBinning(n_bins=200, binning="mass", uniform=0.01)
    crossed = cross_fit(calibrator, LOGITS, LABELS, generator=seeded())
    same = calibrator.fit(LOGITS, LABELS)(LOGITS)
    naive, honest = (float(metrics.nll(logits=log_probs, labels=LABELS)) for log_probs in (same, crossed.log_probs))
    assert honest > naive + 0.5


def test_rows_that_are_left_out_are_calibrated_and_not_fitted_on() -> None:
    mask = torch.arange(203) % 3 > 0
    labels = LABELS.masked_fill(torch.arange(203) == 1, -100)
    crossed = cross_fit(Recorder, LOGITS.T, labels, mask=mask, class_dim=0, generator=seeded())
    torch.testing.assert_close(crossed.log_probs, LOGITS.log_softmax(-1).T, rtol=0, atol=0)
    counted = mask & (labels >= 0)
    for k, calibrator in enumerate(crossed.calibrators):
        assert calibrator.seen == set(LOGITS[counted & (crossed.fold != k), 0].tolist())
    assert int(crossed.fold.min()) == 0
    assert int(crossed.fold.max()) == 4


def test_options_of_the_fit_and_the_result_as_text_and_as_plain_values() -> None:
    options: dict[str, Any] = {"transition": noise.symmetric(0.2, 5)}
    crossed = cross_fit(TemperatureScaling, LOGITS, LABELS, folds=2, generator=seeded(), fit_options=options)
    rows = crossed.fold == 1
    alone = TemperatureScaling().fit(LOGITS[rows], LABELS[rows], **options)
    assert float(crossed.calibrators[0].temperature) == float(alone.temperature)
    assert repr(crossed).startswith("CrossFit(log_probs=<(203, 5)>, folds=2, calibrators=(TemperatureScaling(temp")
    plain = json.loads(json.dumps(crossed.to_dict()))
    assert plain["calibrators"][0]["temperature"] == float(alone.temperature)
    assert plain["fold"] == crossed.fold.tolist()


def test_errors() -> None:
    for folds in (1, 204, 2.0, True):
        with pytest.raises(ValueError, match=f"folds: an int from 2 to 203; got {folds}"):
            cross_fit(TemperatureScaling(), LOGITS, LABELS, folds=folds)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(ValueError, match="labels: labels of at least 0 and below 2, the number of classes; got 3"):
        cross_fit(TemperatureScaling(), LOGITS[:, 0], LABELS)
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor .*; got list; use torch.as_tensor\(logits\)"):
        cross_fit(TemperatureScaling(), LOGITS.tolist(), LABELS)
    wrong: Any = ((TemperatureScaling().fit, "a method fit"), (None, "NoneType"), (nn.Linear(2, 2), "Linear"))
    for calibrator, got in wrong:
        with pytest.raises(TypeError, match=f"calibrator: a calibrator, or .*; got {got}; pass an instance such as"):
            cross_fit(calibrator, LOGITS, LABELS)
    with pytest.raises(ValueError, match=r"labels: labels of at least 0 and below 5.*; got 9 at row 1"):
        cross_fit(TemperatureScaling(), LOGITS, LABELS.index_fill(0, torch.tensor([1]), 9))
