"""The contract of fit, for every calibrator: it changes and returns the instance, and unfitted ones are refused."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from softtargets.calibration import (
    EnsembleTemperatureScaling,
    HistogramBinning,
    IsotonicCalibration,
    TemperatureScaling,
    VectorScaling,
    choose_logit_norm,
    cross_fit,
    logit_normalized,
    margin,
    max_probability,
    negative_entropy,
)

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(300, 4, generator=generator) * 3
LABELS = torch.multinomial((LOGITS / 2).softmax(-1), 1, generator=generator)[:, 0]
MAKE: dict[str, Any] = {
    "temperature": TemperatureScaling,
    "vector": VectorScaling,
    "ensemble": EnsembleTemperatureScaling,
    "histogram": HistogramBinning,
    "histogram of equal counts": lambda: HistogramBinning(binning="mass", n_bins=20),
    "isotonic": IsotonicCalibration,
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def same(first: Any, second: Any) -> bool:
    states = first.state_dict(), second.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0].keys() | states[1].keys())


@every
def test_trap_41_fit_changes_and_returns_the_instance(make: Any) -> None:
    calibrator = make()
    assert calibrator.fit(LOGITS, LABELS) is calibrator
    assert bool(calibrator.converged)
    assert not torch.equal(calibrator(LOGITS), LOGITS.log_softmax(-1))
    # a second fit replaces the first one
    calibrator.fit(LOGITS[:100], LABELS[:100])
    assert same(calibrator, make().fit(LOGITS[:100], LABELS[:100]))


@every
def test_an_unfitted_calibrator_is_refused_until_it_is_fitted_or_loaded(make: Any) -> None:
    calibrator = make()
    assert "unfitted" in repr(calibrator)
    model = torch.nn.Sequential(torch.nn.Identity(), calibrator)
    for call in (calibrator, model):
        with pytest.raises(
            ValueError, match=r"a fitted calibrator; got an unfitted one; call fit\(logits, labels\), or"
        ):
            call(LOGITS)
    empty = make()
    empty.load_state_dict(calibrator.state_dict())
    with pytest.raises(ValueError, match="a fitted calibrator; got an unfitted one"):
        empty(LOGITS)
    model.load_state_dict(torch.nn.Sequential(torch.nn.Identity(), make().fit(LOGITS, LABELS)).state_dict())
    assert torch.equal(model(LOGITS), make().fit(LOGITS, LABELS)(LOGITS))
    assert torch.equal(copy.deepcopy(model)(LOGITS), model(LOGITS))


def test_a_temperature_that_is_given_counts_as_fitted() -> None:
    expected = (LOGITS / 2).log_softmax(-1)
    kinds: Any = (2, 2.0, np.float32(2.0), np.int64(2), torch.tensor(2.0))
    for given in kinds:
        assert torch.equal(TemperatureScaling(given)(LOGITS), expected)


@every
def test_a_fit_that_fails_changes_nothing(make: Any) -> None:
    calibrator = make().fit(LOGITS, LABELS)
    before = copy.deepcopy(calibrator)
    with pytest.raises(ValueError, match="labels: labels of at least 0 and below 4"):
        calibrator.fit(LOGITS, LABELS + 4)
    assert same(calibrator, before)


@every
def test_rows_are_left_out_by_label_and_by_mask_alike(make: Any) -> None:
    left_out = torch.arange(300) % 4 == 1
    logits = LOGITS.masked_fill(left_out[:, None], torch.nan)
    expected = make().fit(LOGITS[~left_out], LABELS[~left_out])
    assert same(make().fit(logits, LABELS.masked_fill(left_out, -100)), expected)
    assert same(make().fit(logits, LABELS.masked_fill(left_out, 9), mask=~left_out), expected)
    both = LABELS.masked_fill(left_out & (LABELS > 1), -1)
    assert same(make().fit(logits, both, mask=~(left_out & (LABELS <= 1)), ignore_index=-1), expected)


@every
def test_the_classes_may_be_on_any_axis(make: Any) -> None:
    images = LOGITS.view(3, 10, 10, 4).movedim(-1, 1)
    fitted = make().fit(images, LABELS.view(3, 10, 10), class_dim=1)
    assert same(fitted, make().fit(LOGITS, LABELS))
    made = fitted(images, class_dim=1)
    torch.testing.assert_close(made.movedim(1, -1).reshape(300, 4), fitted(LOGITS), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"labels: shape \(3, 4, 10\); got \(3, 10, 10\); use class_dim=1"):
        make().fit(images, LABELS.view(3, 10, 10))


@every
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.uint16])
def test_labels_of_any_integer_dtype(make: Any, dtype: torch.dtype) -> None:
    assert same(make().fit(LOGITS, LABELS.to(dtype)), make().fit(LOGITS, LABELS))


@every
def test_numpy_in_and_out(make: Any) -> None:
    calibrator = make()
    assert calibrator.fit(LOGITS.numpy(), LABELS.numpy()) is calibrator
    assert same(calibrator, make().fit(LOGITS, LABELS))
    made: Any = calibrator(LOGITS.numpy())
    assert isinstance(made, np.ndarray)
    np.testing.assert_array_equal(made, calibrator(LOGITS).numpy())
    assert isinstance(torch.nn.Sequential(calibrator)(LOGITS), torch.Tensor)


def test_functions_take_numpy() -> None:
    order: Any = np.float32(2.0)
    for score in (max_probability, margin, negative_entropy, lambda z: logit_normalized(z, order)):
        made: Any = score(LOGITS.numpy())
        assert isinstance(made, np.ndarray)
        np.testing.assert_array_equal(made, score(LOGITS).numpy())
    assert choose_logit_norm(LOGITS.numpy(), LABELS.numpy()).p == choose_logit_norm(LOGITS, LABELS).p
    crossed = cross_fit(TemperatureScaling(), LOGITS.numpy(), LABELS.numpy(), generator=torch.Generator())
    assert isinstance(crossed.log_probs, np.ndarray)
    assert crossed.log_probs.shape == (300, 4)


@pytest.mark.parametrize("kind", ["histogram", "histogram of equal counts", "isotonic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_trap_49_a_model_of_lower_precision_leaves_every_example_in_its_bin(kind: str, dtype: torch.dtype) -> None:
    # quantiles and knots are probabilities of fitted rows: rounded, they would move exactly these rows
    logits = torch.randn(2000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3
    labels = torch.multinomial(logits.softmax(-1), 1, generator=torch.Generator().manual_seed(2))[:, 0]
    fitted = MAKE[kind]().fit(logits, labels)
    expected = fitted(logits)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), fitted).to(dtype)
    assert model[0].weight.dtype == dtype
    assert torch.equal(fitted(logits), expected)


def test_shared_settings_are_checked() -> None:
    temperature: Any = TemperatureScaling
    histogram: Any = HistogramBinning
    isotonic: Any = IsotonicCalibration
    choose: Any = choose_logit_norm
    normalized: Any = logit_normalized
    calls: Any = [
        (lambda: TemperatureScaling().fit(LOGITS, LABELS, class_dim=5), "class_dim: an axis of logits, from -2 to 1"),
        (lambda: temperature().fit(LOGITS, LABELS, class_dim="1"), "class_dim: an axis of logits, .*; got '1'"),
        (lambda: temperature().fit(LOGITS, LABELS, ignore_index=None), "ignore_index: an int; got None"),
        (lambda: TemperatureScaling(2.0)(LOGITS, class_dim=2), "class_dim: an axis of logits, from -2 to 1; got 2"),
        (lambda: TemperatureScaling(2.0)(LOGITS.tolist()), r"logits: a floating-point .*; got list; use torch.as_ten"),
        (lambda: TemperatureScaling(2.0)(None), "logits: a floating-point .*; got NoneType; pass logits"),
        (lambda: TemperatureScaling(2.0)(torch.tensor(1.0)), r"logits: shape \(..., K\); got shape \(\); pass one"),
        (lambda: TemperatureScaling().fit(LOGITS, LABELS[:, None]), r"labels: shape \(300,\); .*squeeze\(-1\)"),
        (lambda: TemperatureScaling().fit(LOGITS, None), "labels: integer labels .*; got NoneType"),
        (lambda: histogram(uniform="1"), "uniform: a number of at least 0 and below 1; got '1'"),
        (lambda: isotonic(uniform=torch.ones(2)), "uniform: a number of at least 0 and below 1; got tensor"),
        (lambda: choose(LOGITS, LABELS, candidates=3.0), "candidates: a sequence of numbers; got 3.0"),
        (lambda: choose(LOGITS, LABELS, candidates=("2",)), "p: a number above 0; got '2'"),
        (lambda: normalized(LOGITS, None), "p: a number above 0; got None"),
    ]
    for call, message in calls:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
