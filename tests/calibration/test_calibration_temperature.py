"""Temperature: hand numbers, the slow loop, scikit-learn, scipy and netcal, its limits, and its use as a module."""

import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import calibration as reference
from scipy.optimize import minimize_scalar
from torch.nn import functional

from softtargets import noise
from softtargets.calibration import TemperatureScaling
from softtargets.calibration._search import FIRST, TemperatureNLL


def drawn(number: int, num_classes: int, seed: int, *, sharp: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn from their softmax; then the logits are made `sharp` times as large."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, num_classes, dtype=torch.float64, generator=generator) * 2
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    return logits * sharp, labels


def slope(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> float:
    log_t = torch.tensor(math.log(temperature), dtype=torch.float64, requires_grad=True)
    functional.cross_entropy(logits / log_t.exp(), labels).backward()
    assert log_t.grad is not None
    return float(log_t.grad)


def test_by_hand() -> None:
    # right in 3 of 4, each time by the same difference of 4: sigmoid(4 / T) = 3/4
    logits = torch.tensor([[4.0, 0.0]]).expand(4, 2)
    fitted = TemperatureScaling().fit(logits, torch.tensor([0, 0, 0, 1]))
    assert float(fitted.temperature) == pytest.approx(4 / math.log(3), rel=1e-12)
    assert bool(fitted.converged)
    assert int(fitted.left_out) == 0
    assert fitted(logits[:1]).exp().tolist()[0] == pytest.approx([0.75, 0.25], rel=1e-6)
    # three classes, the others alike, right in one of two: e^b / (e^b + 2) = 1/2 for b = log 2
    logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    assert float(TemperatureScaling().fit(logits, torch.tensor([0, 2])).temperature) == pytest.approx(
        1 / math.log(2), rel=1e-12
    )


@settings(deadline=None, database=None, max_examples=25)
@given(st.integers(20, 60), st.integers(2, 5), st.floats(0.3, 5.0), st.integers(0, 2**31))
def test_it_agrees_with_the_slow_loop(number: int, num_classes: int, sharp: float, seed: int) -> None:
    logits, labels = drawn(number, num_classes, seed, sharp=sharp)
    fitted = TemperatureScaling().fit(logits, labels)
    rows, marks = logits.tolist(), labels.tolist()
    slow = math.exp(reference.golden(lambda x: reference.nll(rows, marks, math.exp(x)), math.log(1e-2), math.log(1e2)))
    if bool(fitted.converged) and 0.02 < float(fitted.temperature) < 50:
        assert float(fitted.temperature) == pytest.approx(slow, rel=1e-6)
        assert abs(slope(logits, labels, float(fitted.temperature))) < 1e-10


@pytest.mark.parametrize("sharp", [0.2, 1.0, 3.0])
def test_scipy_and_scikit_learn_find_the_same(sharp: float) -> None:
    from sklearn.calibration import _TemperatureScaling

    logits, labels = drawn(3000, 7, 0, sharp=sharp)
    found = float(TemperatureScaling().fit(logits, labels).temperature)
    by_scipy: Any = minimize_scalar(
        lambda x: float(functional.cross_entropy(logits * math.exp(-x), labels)),
        bounds=(-5, 5),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert found == pytest.approx(math.exp(by_scipy.x), rel=1e-6)
    by_sklearn = _TemperatureScaling().fit(logits.numpy(), labels.numpy())
    assert found == pytest.approx(1 / float(by_sklearn.beta_), rel=1e-6)


def test_netcal_finds_the_same() -> None:
    logits, labels = drawn(1000, 4, 1, sharp=2.0)
    found = TemperatureScaling().fit(logits, labels)
    # netcal 1.4.0: TemperatureScaling().fit(logits.softmax(-1).numpy(), labels.numpy(), random_state=0)
    assert 1 / float(found.temperature) == pytest.approx(0.50915987, abs=1e-4)
    first = [0.3456388648890771, 0.15250440318861588, 0.1476035697825811, 0.35425316213972585]
    assert found(logits)[0].exp().tolist() == pytest.approx(first, abs=1e-4)


def test_many_rows_in_several_samples() -> None:
    logits, labels = drawn(3 * FIRST // 8, 16, 2, sharp=1.5)  # six first samples
    logits = logits.float()
    order = labels.argsort(stable=True)  # sorted by label: a sample of the first rows would see one class
    fitted = TemperatureScaling().fit(logits[order], labels[order])
    assert bool(fitted.converged)
    assert abs(slope(logits.double(), labels, float(fitted.temperature))) < 1e-10
    assert float(fitted.temperature) == pytest.approx(1.5, rel=0.02)


def test_a_misleading_sample_is_corrected_by_all_rows() -> None:
    # every second row, which the first sample is, is right; of the others only one in four
    number = 2 * FIRST // 4
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0]]).expand(number, 4)
    labels = (torch.arange(number) % 8).apply_(lambda i: int(i in (1, 3, 5)))
    fitted = TemperatureScaling().fit(logits, labels)
    right = 5 / 8  # e^b / (e^b + 3) = right
    assert bool(fitted.converged)
    assert float(fitted.temperature) == pytest.approx(2 / math.log(3 * right / (1 - right)), rel=1e-9)


def test_it_does_not_depend_on_order_shift_or_names() -> None:
    logits, labels = drawn(2000, 6, 3, sharp=2.5)
    found = float(TemperatureScaling().fit(logits, labels).temperature)
    generator = torch.Generator().manual_seed(0)
    order, names = torch.randperm(2000, generator=generator), torch.randperm(6, generator=generator)
    again = [
        TemperatureScaling().fit(logits[order], labels[order]),
        TemperatureScaling().fit(logits[:, names], names.argsort()[labels]),
        TemperatureScaling().fit(logits + torch.linspace(-50, 50, 2000, dtype=torch.float64)[:, None], labels),
        TemperatureScaling().fit(logits.view(40, 50, 6), labels.view(40, 50)),
        TemperatureScaling().fit(torch.cat([logits, logits]), torch.cat([labels, labels])),
    ]
    assert [float(fitted.temperature) for fitted in again] == pytest.approx([found] * 5, rel=1e-9)
    halved = float(TemperatureScaling().fit(logits / 2, labels).temperature)
    assert halved == pytest.approx(found / 2, rel=1e-9)


def test_the_objective_has_the_slope_and_curvature_of_its_values() -> None:
    from softtargets.calibration._inputs import examples

    logits, labels = drawn(50, 4, 5)
    columns = noise.symmetric(0.3, 4).to_dense().T.log()
    for objective in (TemperatureNLL(examples(logits, labels)), TemperatureNLL(examples(logits, labels), columns)):
        for x in (-1.5, 0.0, 2.0):
            _, slope, curvature = objective(x)
            (high, up, _), (low, down, _) = objective(x + 1e-5), objective(x - 1e-5)
            assert slope == pytest.approx((high - low) / 2e-5, rel=1e-6, abs=1e-9)
            assert curvature == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-9)


def test_noise_agrees_with_the_slow_loop() -> None:
    logits, labels = drawn(80, 3, 6, sharp=2.0)
    transition = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.8, 0.2], [0.1, 0.1, 0.8]], dtype=torch.float64)
    observed = torch.multinomial(transition[labels], 1, generator=torch.Generator().manual_seed(0))[:, 0]
    fitted = TemperatureScaling().fit(logits, observed, transition=transition)
    rows, marks = logits.tolist(), observed.tolist()
    slow = reference.golden(lambda x: reference.nll(rows, marks, math.exp(x), transition.tolist()), -1.0, 3.0)
    assert bool(fitted.converged)
    assert float(fitted.temperature) == pytest.approx(math.exp(slow), rel=1e-6)


def test_no_noise_is_the_plain_fit() -> None:
    logits, labels = drawn(500, 5, 7, sharp=2.0)
    plain = float(TemperatureScaling().fit(logits, labels).temperature)
    for transition in (noise.Transition.identity(5), torch.eye(5)):
        assert float(TemperatureScaling().fit(logits, labels, transition=transition).temperature) == pytest.approx(
            plain, rel=1e-9
        )


def test_masked_classes_and_masked_rows() -> None:
    logits, labels = drawn(300, 5, 8, sharp=2.0)
    narrow = float(TemperatureScaling().fit(logits, labels).temperature)
    wide = torch.cat([logits, torch.full((300, 2), -math.inf, dtype=torch.float64)], 1)
    assert float(TemperatureScaling().fit(wide, labels).temperature) == narrow
    # rows that do not count may hold anything
    padded = torch.cat([logits, torch.full((4, 5), math.nan, dtype=torch.float64)])
    mask = torch.arange(304) < 300
    ignored = torch.cat([labels, torch.full((4,), -100)])
    assert float(TemperatureScaling().fit(padded, ignored, mask=mask).temperature) == narrow
    assert torch.equal(TemperatureScaling(2.0)(wide)[:, :5], TemperatureScaling(2.0)(logits))
    assert bool((TemperatureScaling(2.0)(wide)[:, 5:] == -math.inf).all())


def test_labels_that_no_temperature_makes_possible_are_left_out_and_counted() -> None:
    logits, labels = drawn(300, 5, 9, sharp=2.0)
    impossible = logits.clone()
    impossible[:7].scatter_(1, labels[:7, None], -math.inf)
    fitted = TemperatureScaling().fit(impossible, labels)
    assert int(fitted.left_out) == 7
    assert float(fitted.temperature) == float(TemperatureScaling().fit(logits[7:], labels[7:]).temperature)
    # noise may explain them: then they count
    assert int(TemperatureScaling().fit(impossible, labels, transition=noise.symmetric(0.1, 5)).left_out) == 0
    assert int(TemperatureScaling().fit(impossible, labels, transition=torch.eye(5)).left_out) == 7
    with pytest.raises(
        ValueError, match="labels: at least one row whose label has a finite logit; got -inf in every row"
    ):
        TemperatureScaling().fit(impossible[:7], labels[:7])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_it_gives_log_probs_in_at_least_float32(dtype: torch.dtype) -> None:
    logits = drawn(12, 4, 10)[0].to(dtype).view(2, 6, 4)
    made = TemperatureScaling(1.7)(logits)
    assert made.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(made, (logits.to(made.dtype) / 1.7).log_softmax(-1))
    torch.testing.assert_close(made.log_softmax(-1), made)
    assert torch.equal(TemperatureScaling(1.0)(logits), logits.to(made.dtype).log_softmax(-1))


def test_it_is_exported_compiled_and_scripted_with_its_model() -> None:
    logits, labels = drawn(200, 4, 11, sharp=3.0)
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), TemperatureScaling().fit(logits, labels)).eval()
    expected = model(inputs)
    rows = torch.export.Dim("rows")
    exported = torch.export.export(model, (inputs,), dynamic_shapes=({0: rows},))
    assert torch.equal(exported.module()(inputs), expected)
    assert exported.module()(inputs[:2]).shape == (2, 4)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(inputs), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's advice to export instead
        scripted = torch.jit.script(model)
    assert torch.equal(scripted(inputs), expected)


def test_state_goes_into_a_new_object() -> None:
    logits, labels = drawn(200, 4, 12, sharp=3.0)
    fitted, other = TemperatureScaling().fit(logits, labels), TemperatureScaling()
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(logits), fitted(logits))
    assert bool(other.converged)
    assert repr(TemperatureScaling(2.0)) == "TemperatureScaling(temperature=2, converged=False)"


def test_errors() -> None:
    logits, labels = drawn(6, 3, 13)
    cases = [
        (lambda: TemperatureScaling(0.0), "temperature: a finite number above 0; got 0"),
        (lambda: TemperatureScaling(math.nan), "temperature: a finite number above 0; got nan"),
        (
            lambda: TemperatureScaling(bounds=(2.0, 1.0)),
            r"bounds: 0 < low < high < inf; got \(2, 1\)",
        ),
        (lambda: TemperatureScaling(tolerance=0.0), r"tolerance: in \[1e-12, 1\]; got 0"),
        (lambda: TemperatureScaling().fit(logits, labels[:5]), r"labels: shape \(6,\); got \(5,\)"),
        (
            lambda: TemperatureScaling().fit(logits[:, :1], labels),
            "labels: labels of at least 0 and below 2, the number of classes; got 2",
        ),
        (
            lambda: TemperatureScaling().fit(logits[:, :1, None], labels[:, None]),
            r"logits: shape \(..., K\) with K >= 2; got \(6, 1, 1\)",
        ),
        (lambda: TemperatureScaling().fit(logits, labels + 3), "labels: labels of at least 0 and below 3.*at row 0"),
        (
            lambda: TemperatureScaling().fit(logits[:0], labels[:0]),
            "logits: at least one row that is not left out; got 0",
        ),
        (
            lambda: TemperatureScaling().fit(logits, labels, mask=labels > 5),
            "logits: at least one row that is not left out; got 0",
        ),
        (
            lambda: TemperatureScaling().fit(logits, labels, mask=labels[:5] > 0),
            r"mask: shape \(6,\), one per row; got \(5,\)",
        ),
        (
            lambda: TemperatureScaling().fit(logits, labels, transition=torch.eye(4)),
            "transition: 3 classes, as the logits; got 4",
        ),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    for bad in (math.nan, math.inf):
        broken = logits.clone()
        broken[4, 1] = bad
        with pytest.raises(ValueError, match=f"logits: no NaN or .inf.*got a largest logit of {bad} at row 4; fix"):
            TemperatureScaling().fit(broken, labels)
    with pytest.raises(ValueError, match="got a largest logit of -inf at row 2"):
        TemperatureScaling().fit(logits.index_fill(0, torch.tensor([2]), -math.inf), labels)
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor .*; got dtype torch.int64"):
        TemperatureScaling().fit(logits.long(), labels)
    masks: Any = ((labels, "dtype torch.int64"), ([True] * 6, "list"))
    for mask, got in masks:
        with pytest.raises(TypeError, match=f"mask: a bool tensor, True for the entries to include; got {got}"):
            TemperatureScaling().fit(logits, labels, mask=mask)
    with pytest.raises(TypeError, match=r"labels: integer labels .*; got list; use torch.as_tensor\(labels\)"):
        TemperatureScaling().fit(logits, labels.tolist())
    with pytest.raises(TypeError, match=r"labels: integer labels .*; got dtype torch.float64"):
        TemperatureScaling().fit(logits, labels.double())
    with pytest.raises(TypeError, match=r"logits: a floating-point .*; got dtype torch.int64; swap logits and labels"):
        TemperatureScaling().fit(labels, logits)
    kinds: Any = (("2", "'2'"), (True, "True"), (torch.ones(2, 1), r"shape \(2, 1\)"), ([2.0], r"\[2.0\]"))
    for temperature, got in kinds:
        with pytest.raises(TypeError, match=f"temperature: a number above 0; got {got}; pass one number"):
            TemperatureScaling(temperature)
    pairs: Any = (1e3, "12", (1.0,), (None, 1.0))
    for bounds in pairs:
        with pytest.raises(TypeError, match="bounds: a pair of numbers; got"):
            TemperatureScaling(bounds=bounds)
