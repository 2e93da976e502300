"""cross_fit and CrossFit: no row is calibrated by what has seen it, and folds are dealt evenly."""

import functools

import pytest
import torch
from torch import Tensor, nn

from softtargets import metrics
from softtargets.calibration import CrossFit, HistogramBinning, TemperatureScaling, cross_fit

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(203, 5, generator=generator) * 3
LABELS = torch.multinomial((LOGITS / 2).softmax(-1), 1, generator=generator)[:, 0]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(nn.Module):
    """Remembers which rows it was fitted on, told apart by their first logit."""

    def __init__(self, logits: Tensor, labels: Tensor) -> None:
        super().__init__()
        self.seen, self.labels = set(logits[:, 0].tolist()), labels

    def forward(self, logits: Tensor) -> Tensor:
        assert not self.seen & set(logits[:, 0].tolist()), "a row calibrated by what was fitted on it"
        return logits.log_softmax(-1)


@pytest.mark.parametrize("folds", [2, 5, 203])
def test_no_row_is_calibrated_by_what_has_seen_it(folds: int) -> None:
    crossed = cross_fit(Recorder, LOGITS, LABELS, folds=folds, generator=seeded())
    assert isinstance(crossed, CrossFit)
    torch.testing.assert_close(crossed.log_probs, LOGITS.log_softmax(-1), rtol=0, atol=0)
    assert len(crossed.calibrators) == folds
    for k, calibrator in enumerate(crossed.calibrators):
        assert calibrator.seen == set(LOGITS[crossed.fold != k, 0].tolist())
        assert torch.equal(calibrator.labels, LABELS[crossed.fold != k])


def test_each_row_is_by_the_calibrator_of_its_fold() -> None:
    crossed = cross_fit(TemperatureScaling.fit, LOGITS, LABELS, generator=seeded())
    for k, calibrator in enumerate(crossed.calibrators):
        rows = crossed.fold == k
        torch.testing.assert_close(crossed.log_probs[rows], calibrator(LOGITS[rows]), rtol=0, atol=0)
        assert float(calibrator.temperature) == float(TemperatureScaling.fit(LOGITS[~rows], LABELS[~rows]).temperature)
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


def test_it_tells_what_fitting_on_the_same_rows_hides() -> None:
    # a histogram of 200 bins learns its rows by heart
    fit = functools.partial(HistogramBinning.fit, bins=200, binning="mass", uniform=0.01)
    crossed = cross_fit(fit, LOGITS, LABELS, generator=seeded())
    same = fit(LOGITS, LABELS)(LOGITS)
    naive, honest = (float(metrics.nll(None, LABELS, logits=log_probs)) for log_probs in (same, crossed.log_probs))
    assert honest > naive + 0.5


def test_errors() -> None:
    for folds in (1, 204, 2.0, True):
        with pytest.raises(ValueError, match=f"folds: an int from 2 to 203; got {folds}"):
            cross_fit(TemperatureScaling.fit, LOGITS, LABELS, folds=folds)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"logits: shape \(N, K\) with K >= 2; got \(1, 203, 5\)"):
        cross_fit(TemperatureScaling.fit, LOGITS[None], LABELS[None])
    with pytest.raises(TypeError, match="logits: a floating-point tensor; got list"):
        cross_fit(TemperatureScaling.fit, LOGITS.tolist(), LABELS)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"labels: labels of at least 0 and below 5.*; got 9 at row 1"):
        cross_fit(TemperatureScaling.fit, LOGITS, LABELS.index_fill(0, torch.tensor([1]), 9))
