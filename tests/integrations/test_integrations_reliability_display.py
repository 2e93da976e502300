"""Reliability diagrams with scikit-learn's display interface: the numbers of the library, classes of any type."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from softtargets import metrics
from softtargets.integrations.sklearn import ReliabilityDisplay


@pytest.fixture(autouse=True)
def pyplot() -> Iterator[None]:
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def test_by_hand() -> None:
    probs = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]
    display = ReliabilityDisplay.from_predictions([0, 1, 1, 0], probs, n_bins=2)
    # one filled bin: mean confidence .75, accuracy .75
    assert display.ece == pytest.approx(0.0)
    assert display.bins.count.tolist() == [0, 4]
    display = ReliabilityDisplay.from_predictions([0, 1, 1, 1], probs, n_bins=2)
    assert display.ece == pytest.approx(0.25)


@pytest.mark.parametrize(("strategy", "binning"), [("uniform", "width"), ("quantile", "mass")])
def test_strings_get_the_numbers_of_the_library(strategy: str, binning: str) -> None:
    draw = np.random.default_rng(0)
    probs = draw.dirichlet(np.ones(3), 200)
    numbers = draw.integers(0, 3, 200)
    names = np.array(["ant", "bee", "cat"])
    display = ReliabilityDisplay.from_predictions(names[numbers], probs, strategy=strategy, n_bins=5)
    assert display.ece == float(metrics.ece(probs, numbers, n_bins=5, binning=binning))  # pyright: ignore[reportArgumentType]
    # columns in another order
    order = [2, 0, 1]
    other = ReliabilityDisplay.from_predictions(
        names[numbers], probs[:, order], labels=names[order].tolist(), strategy=strategy, n_bins=5
    )
    assert other.ece == pytest.approx(display.ece)


def test_one_column_is_the_second_class() -> None:
    display = ReliabilityDisplay.from_predictions(["no", "yes", "yes"], [0.1, 0.8, 0.4], n_bins=1)
    # confidences .9, .8, .6; two of three are right
    assert display.ece == pytest.approx(abs((0.9 + 0.8 + 0.6) / 3 - 2 / 3))


def test_an_estimator_is_named_and_drawn_on_given_axes() -> None:
    from matplotlib import pyplot

    inputs, labels = load_iris(return_X_y=True)
    model = LogisticRegression().fit(inputs[::2], labels[::2])
    figure, axes = pyplot.subplots()
    display = ReliabilityDisplay.from_estimator(model, inputs[1::2], labels[1::2], ax=axes)
    assert display.ax_ is axes
    assert display.figure_ is figure
    assert axes.get_title() == f"LogisticRegression (ECE {display.ece:.3f})"
    again = display.plot(name="mine")
    assert again is display
    assert display.ax_ is not axes
    assert display.ax_.get_title().startswith("mine (ECE ")


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"^y_prob: one column for each of 3 classes; got 2 columns"):
        ReliabilityDisplay.from_predictions([0, 1, 2], [[0.5, 0.5]] * 3)
    with pytest.raises(ValueError, match=r"^y_true: classes in labels; got 'c' at row 1"):
        ReliabilityDisplay.from_predictions(["a", "c"], [[0.5, 0.5]] * 2, labels=["a", "b"])
    with pytest.raises(ValueError, match=r"^strategy: 'uniform' or 'quantile'; got 'width'"):
        ReliabilityDisplay.from_predictions([0, 1], [[0.5, 0.5]] * 2, strategy="width")
    with pytest.raises(ValueError, match=r"^y_true: shape \(N,\)"):
        ReliabilityDisplay.from_predictions([[0, 1]], [[0.5, 0.5]])
    with pytest.raises(TypeError, match=r"^estimator: a classifier with predict_proba; got LinearSVC"):
        ReliabilityDisplay.from_estimator(LinearSVC(), [[0.0]], [0])
