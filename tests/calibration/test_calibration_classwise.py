"""IsotonicCalibration and HistogramBinning: hand numbers, slow loops and scikit-learn; rows of zeros; the uniform
share."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import calibration as reference
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from softtargets.calibration import HistogramBinning, IsotonicCalibration
from softtargets.calibration._classwise import count_below


def drawn(number: int, num_classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, num_classes, dtype=torch.float64, generator=generator) * 2
    labels = torch.multinomial((logits / 2).softmax(-1), 1, generator=generator)[:, 0]
    return logits, labels


def normalised(columns: list[list[float]]) -> torch.Tensor:
    rows = torch.tensor(columns, dtype=torch.float64).T
    total = rows.sum(1, keepdim=True)
    return torch.where(total > 0, rows / total, 1 / rows.shape[1])


@settings(deadline=None, database=None, max_examples=25)
@given(st.integers(2, 40), st.integers(2, 4), st.integers(0, 2**31))
def test_isotonic_agrees_with_the_slow_loop_where_it_was_fitted(number: int, num_classes: int, seed: int) -> None:
    logits, labels = drawn(number, num_classes, seed)
    probs = logits.softmax(-1)
    slow = [reference.isotonic(probs[:, k].tolist(), (labels == k).long().tolist()) for k in range(num_classes)]
    fitted = IsotonicCalibration().fit(logits, labels)
    torch.testing.assert_close(fitted(logits).exp(), normalised(slow), rtol=0, atol=1e-12)
    assert bool(fitted.converged)


class Softmax(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are those of its inputs, taken for logits."""

    def fit(self, inputs: np.ndarray, labels: np.ndarray) -> "Softmax":
        self.classes_ = np.unique(labels)
        return self

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        return torch.as_tensor(inputs).softmax(-1).numpy()

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return self.classes_[inputs.argmax(1)]


def test_isotonic_is_scikit_learns_calibrated_classifier() -> None:
    logits, labels = drawn(400, 3, 0)
    unseen = drawn(300, 3, 1)[0] * 1.5  # beyond the knots, too
    inner = Softmax().fit(logits.numpy(), labels.numpy())
    theirs = CalibratedClassifierCV(FrozenEstimator(inner), method="isotonic", cv=2, ensemble=False)  # pyright: ignore[reportArgumentType]
    theirs.fit(logits.numpy(), labels.numpy())
    ours = IsotonicCalibration().fit(logits, labels)(unseen).exp()
    np.testing.assert_allclose(ours.numpy(), theirs.predict_proba(unseen.numpy()), rtol=0, atol=1e-6)


def test_isotonic_by_hand() -> None:
    # class 1's probabilities .2 .4 .6 .8 with marks 0 1 0 1: pooled to 0 1/2 1/2 1; half way between .6 and .8: 3/4
    said = torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=torch.float64)
    fitted = IsotonicCalibration().fit(torch.stack([1 - said, said], 1).log(), torch.tensor([0, 1, 0, 1]))
    asked = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
    made = fitted(torch.stack([1 - asked, asked], 1).log())[:, 1].exp()
    assert made.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-12)
    assert fitted.knots[1].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])


@settings(deadline=None, database=None, max_examples=25)
@given(st.integers(1, 40), st.integers(2, 4), st.sampled_from([1, 2, 5, 15]), st.integers(0, 2**31))
def test_histogram_agrees_with_the_slow_loop(number: int, num_classes: int, bins: int, seed: int) -> None:
    logits, labels = drawn(number, num_classes, seed)
    probs = logits.softmax(-1)
    fitted = HistogramBinning(n_bins=bins).fit(logits, labels)
    for k in range(num_classes):
        slow = reference.histogram(probs[:, k].tolist(), (labels == k).long().tolist(), bins)
        assert fitted.shares[k].tolist() == pytest.approx(slow, abs=1e-12)
    place = (probs * bins).ceil().clamp(min=1).long() - 1
    columns = [fitted.shares[k][place[:, k]].tolist() for k in range(num_classes)]
    torch.testing.assert_close(fitted(logits).exp(), normalised(columns), rtol=0, atol=1e-12)


def test_histogram_by_hand() -> None:
    # said .2 .2 .7 .7 of class 1, right in 0 of 2 and 1 of 2; empty bins keep their middle
    said = torch.tensor([0.2, 0.2, 0.7, 0.7], dtype=torch.float64)
    logits = torch.stack([1 - said, said], 1).log()
    fitted = HistogramBinning(n_bins=4).fit(logits, torch.tensor([0, 0, 0, 1]))
    assert fitted.edges.tolist() == [[0, 0.25, 0.5, 0.75, 1]] * 2
    assert fitted.shares.tolist() == [[0.125, 0.5, 0.625, 1], [0, 0.375, 0.5, 0.875]]
    assert fitted(logits).exp().tolist() == [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]]
    # class 0 at .6 and class 1 at .4: bins that nothing fell in, .625 and .375
    unseen = torch.tensor([[0.6, 0.4]], dtype=torch.float64).log()
    assert fitted(unseen).exp().tolist()[0] == pytest.approx([0.625, 0.375], abs=1e-15)


def test_histogram_of_equal_counts() -> None:
    logits, labels = drawn(101, 3, 2)
    probs = logits.softmax(-1)
    fitted = HistogramBinning(n_bins=4, binning="mass").fit(logits, labels)
    for k in range(3):
        place = torch.bucketize(probs[:, k].contiguous(), fitted.edges[k, 1:-1].contiguous())
        assert sorted(place.bincount(minlength=4).tolist()) == [25, 25, 25, 26]
        for b in range(4):
            assert float(fitted.shares[k, b]) == pytest.approx(float((labels == k)[place == b].double().mean()))


@pytest.mark.parametrize("kind", [IsotonicCalibration, HistogramBinning])
def test_rows_of_zeros_become_uniform_and_a_uniform_share_keeps_the_nll_finite(kind: type) -> None:
    # class 2 never occurs; class 0 is wrong where it is faint, and so is class 1
    logits = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.9, 0.05, 0.05], [0.05, 0.9, 0.05]]).log()
    labels = torch.tensor([0, 1, 0, 1])
    nobody = torch.tensor([[0.05, 0.05, 0.9]]).log()
    fitted = (
        kind(uniform=0.3).fit(logits, labels)
        if kind is IsotonicCalibration
        else kind(n_bins=2, uniform=0.3).fit(logits, labels)
    )
    plain = kind()
    plain.load_state_dict(fitted.state_dict())
    plain.fill(uniform=0.0)
    if kind is IsotonicCalibration:
        assert plain(nobody).exp().tolist()[0] == pytest.approx([1 / 3] * 3)
    assert plain(logits).exp()[0].tolist() == pytest.approx([1, 0, 0])
    assert plain(logits)[0, 1] == -math.inf
    assert fitted(logits).exp()[0].tolist() == pytest.approx([0.8, 0.1, 0.1])
    assert fitted(logits).exp().sum(-1).tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize("kind", [IsotonicCalibration, HistogramBinning])
def test_shapes_dtypes_and_errors(kind: type) -> None:
    logits, labels = drawn(60, 3, 3)
    fitted = kind().fit(logits, labels)
    torch.testing.assert_close(fitted(logits.view(4, 15, 3)), fitted(logits).view(4, 15, 3), rtol=0, atol=0)
    assert fitted(logits.half()).dtype == fitted(logits.float()).dtype == torch.float32
    assert fitted(logits).dtype == torch.float64
    assert fitted(logits[:0]).shape == (0, 3)
    assert bool(fitted(logits.index_fill(1, torch.tensor([1]), -math.inf)).exp().sum(-1).sub(1).abs().max() < 1e-12)
    mask = torch.arange(60) < 40
    assert torch.equal(kind().fit(logits, labels, mask=mask)(logits), kind().fit(logits[:40], labels[:40])(logits))
    with pytest.raises(ValueError, match=r"logits: 3 classes on axis -1, as fitted; got \(60, 2\)"):
        fitted(logits[:, :2])
    with pytest.raises(ValueError, match="uniform: at least 0 and below 1; got 1"):
        kind(uniform=1.0)
    with pytest.raises(ValueError, match="labels: labels of at least 0 and below 3"):
        kind().fit(logits, labels + 1)


def test_new_objects_and_errors_of_their_own() -> None:
    logits, labels = drawn(60, 3, 4)
    for kind in (IsotonicCalibration, HistogramBinning):
        with pytest.raises(ValueError, match=f"{kind.__name__}: a fitted calibrator; got an unfitted one; call fit"):
            kind()(logits)
    with pytest.raises(ValueError, match="n_bins: at least 1; got 0"):
        HistogramBinning(n_bins=0)
    with pytest.raises(TypeError, match=r"n_bins: an int of at least 1; got 2.5"):
        HistogramBinning(n_bins=2.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"binning: one of width, mass; got 'with'; did you mean 'width'"):
        HistogramBinning(binning="with")  # pyright: ignore[reportArgumentType]
    assert repr(IsotonicCalibration()) == "IsotonicCalibration(unfitted)"
    assert (
        repr(HistogramBinning().fit(logits, labels))
        == "HistogramBinning(num_classes=3, n_bins=15, uniform=0, converged=True)"
    )


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(0, 9), st.integers(1, 3), st.integers(0, 2**31))
def test_the_search_for_a_bin_is_that_of_torch(bounds: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # few values, so that some bounds and values are equal
    edges = torch.randint(0, 6, (rows, bounds), generator=generator).double().sort(1).values
    values = torch.randint(-1, 8, (rows, 20), generator=generator).double()
    values[:, 0], values[:, 1] = math.nan, math.inf
    found = count_below(edges, values)
    assert torch.equal(found, torch.searchsorted(edges, values))
    assert found.dtype == torch.int64
