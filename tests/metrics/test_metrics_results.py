"""Results of metrics: short texts, plain Python values and plots."""

import json
import sys
from typing import Any

import numpy as np
import pytest
import torch

from softtargets import calibration, metrics

PROBS = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
LABELS = torch.tensor([0, 1, 1, 1])

RESULTS: dict[str, tuple[Any, str]] = {
    "bins": (metrics.reliability_bins(PROBS, LABELS, n_bins=4), "Bins(n_bins=4, examples=4)"),
    "class-wise": (
        metrics.reliability_bins(PROBS, LABELS, n_bins=3, classwise=True),
        "Bins(num_classes=2, n_bins=3, examples=4)",
    ),
    "brier": (
        metrics.brier_decomposition(PROBS, LABELS, n_bins=1),
        "BrierParts(reliability=0.125, resolution=0, uncertainty=0.375, within_bin=-0.25)",
    ),
    "curve": (metrics.risk_coverage(PROBS, LABELS), "RiskCoverage(points=4, error_rate=0.25)"),
    "smooth": (metrics.smooth_reliability(PROBS, LABELS), "SmoothReliability(points=2049, width=0.1321)"),
    "interval": (
        metrics.Interval(torch.tensor(0.5), torch.tensor(0.25), torch.tensor(0.75), 0.95, "basic", torch.tensor(0.01)),
        "Interval(estimate=0.5, low=0.25, high=0.75, confidence=0.95, method='basic', p_value=0.01)",
    ),
    "intervals": (
        metrics.Interval(torch.ones(2), torch.zeros(2), torch.full((2,), 2.0), 0.9, "percentile"),
        "Interval(estimate=[1, 1], low=[0, 0], high=[2, 2], confidence=0.9, method='percentile')",
    ),
    "norm": (
        calibration.choose_logit_norm(PROBS.log(), LABELS, candidates=(1.0, 2.0)),
        "LogitNorm(p=1, aurc=0.25, max_probability_aurc=0.0625)",
    ),
}
every = pytest.mark.parametrize("name", RESULTS)


@every
def test_a_short_text(name: str) -> None:
    result, text = RESULTS[name]
    assert repr(result) == text


@every
def test_plain_values_that_json_takes(name: str) -> None:
    result, _ = RESULTS[name]
    made = result.to_dict()
    assert json.loads(json.dumps(made)).keys() == vars(result).keys()
    for key, value in vars(result).items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(
                torch.tensor(made[key], dtype=value.dtype), value, rtol=0, atol=0, equal_nan=True
            )


@every
def test_results_are_frozen_and_compare_without_an_error(name: str) -> None:
    result, _ = RESULTS[name]
    with pytest.raises(AttributeError):
        setattr(result, next(iter(vars(result))), 1)
    assert result == result
    assert result != 1


def test_means_per_bin() -> None:
    table = metrics.reliability_bins(PROBS, LABELS, n_bins=2)
    assert table.accuracy.isnan().tolist() == [True, False]
    assert float(table.accuracy[1]) == 0.75
    assert float(table.mean_confidence[1]) == pytest.approx(0.75)
    assert isinstance(table.with_arrays().accuracy, np.ndarray)


@pytest.fixture
def pyplot() -> Any:
    """matplotlib without a display; figures are closed afterwards."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("bins", "confidence", "accuracy"),
        ("class-wise", "mean probability", "frequency"),
        ("curve", "coverage", "risk (error rate)"),
        ("smooth", "confidence", "accuracy"),
    ],
)
def test_plots_return_their_axes(pyplot: Any, name: str, x: str, y: str) -> None:
    result, _ = RESULTS[name]
    ax = result.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == (x, y)
    own = pyplot.subplots()[1]
    assert result.plot(own) is own
    own.figure.canvas.draw()
    assert result.with_arrays().plot(own) is own


def test_a_reliability_diagram_shows_accuracies_and_gaps(pyplot: Any) -> None:
    ax = metrics.reliability_bins(PROBS, LABELS, n_bins=2).plot()
    accuracy, gap = ax.patches
    assert (accuracy.get_x(), accuracy.get_width(), accuracy.get_height()) == (0.5, 0.5, 0.75)
    assert gap.get_height() == pytest.approx(0, abs=1e-7)
    curve = metrics.risk_coverage(PROBS, LABELS)
    (line,) = curve.plot().lines
    assert line.get_xdata().tolist() == curve.coverage.tolist()
    assert line.get_ydata().tolist() == curve.risk.tolist()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("bins", "class-wise", "curve", "smooth"):
        with pytest.raises(ModuleNotFoundError, match=r"plot: the package matplotlib; .*softtargets\[plot\]"):
            RESULTS[name][0].plot()
