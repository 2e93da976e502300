"""Temperature scaling as a scikit-learn classifier."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from softtargets._errors import InputError, InputTypeError
from softtargets.calibration import TemperatureScaling
from softtargets.integrations.sklearn import TemperatureScaledClassifier

THREE: Any = make_classification(400, 8, n_informative=5, n_classes=3, flip_y=0.2, random_state=0)
TWO: Any = make_classification(400, 6, n_informative=4, flip_y=0.2, random_state=1)
X, Y = THREE

# how many times ours their temperature is: of two classes they take log-odds d for the scores (-d, d)
MODELS = {
    "scores": (SVC(), THREE, 1),
    "log-odds": (SVC(), TWO, 2),
    "probabilities of three": (GaussianNB(), THREE, 1),
    "probabilities of two": (GaussianNB(), TWO, 1),
    "probabilities with zeros": (RandomForestClassifier(10, random_state=0), THREE, 1),
}


class ByProbabilities(ClassifierMixin, BaseEstimator):
    """Logistic regression that gives probabilities alone."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


# blobs that are far apart have no best temperature
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([TemperatureScaledClassifier(model, cv=2) for model in (LogisticRegression(), GaussianNB())])
def test_the_estimator_checks_of_scikit_learn(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("name", MODELS)
def test_the_temperature_is_that_of_scikit_learn(name: str) -> None:
    model, (x, y), times = MODELS[name]
    ours = TemperatureScaledClassifier(model, cv=4).fit(x, y)
    theirs: Any = CalibratedClassifierCV(model, method="temperature", cv=4).set_params(ensemble=False).fit(x, y)
    (pair,) = theirs.calibrated_classifiers_
    assert ours.temperature_ * times == pytest.approx(1 / pair.calibrators[0].beta_, rel=2e-6)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=2e-6)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))


@pytest.mark.parametrize("data", [TWO, THREE])
def test_scores_and_log_probabilities_are_one(data: Any) -> None:
    scores, probs = (
        TemperatureScaledClassifier(LogisticRegression()).fit(*data),
        TemperatureScaledClassifier(ByProbabilities()).fit(*data),
    )
    assert scores.temperature_ == pytest.approx(probs.temperature_, rel=1e-6)
    np.testing.assert_allclose(scores.predict_proba(data[0]), probs.predict_proba(data[0]), atol=1e-6)


def test_it_is_the_temperature_of_predictions_held_out() -> None:
    model = TemperatureScaledClassifier(LogisticRegression(), cv=4).fit(X, Y)
    held_out = cross_val_predict(LogisticRegression(), X, Y, cv=4, method="decision_function")
    fitted = TemperatureScaling().fit(torch.from_numpy(held_out), torch.from_numpy(Y))
    assert model.temperature_ == float(fitted.temperature)
    assert model.converged_
    whole = LogisticRegression().fit(X, Y)
    logits = torch.from_numpy(whole.decision_function(X))
    np.testing.assert_array_equal(model.predict_log_proba(X), fitted(logits).numpy())
    np.testing.assert_array_equal(model.predict_proba(X), fitted(logits).exp().numpy())
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))


def test_a_frozen_classifier_stays_and_all_examples_serve_the_temperature() -> None:
    """By hand: log-odds 4 each time, right in 3 of 4: sigmoid(4 / T) = 3/4, so T = 4 / log 3."""
    fitted = LogisticRegression().fit([[0.0], [1.0]], ["a", "b"])
    fitted.coef_, fitted.intercept_ = np.array([[4.0]]), np.array([0.0])
    model = TemperatureScaledClassifier(FrozenEstimator(fitted)).fit([[1.0]] * 4, ["b", "b", "b", "a"])
    assert model.temperature_ == pytest.approx(4 / math.log(3), rel=1e-6)
    assert model.estimator_.estimator is fitted
    np.testing.assert_allclose(model.predict_proba([[1.0], [0.0]]), [[0.25, 0.75], [0.5, 0.5]], atol=1e-6)
    assert model.predict([[1.0]]).tolist() == ["b"]


def test_a_frozen_classifier_knows_classes_that_were_not_held_out() -> None:
    fitted = GaussianNB().fit(X, Y)
    known = Y < 2
    model = TemperatureScaledClassifier(FrozenEstimator(fitted)).fit(X[known], Y[known])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X).shape == (len(X), 3)
    with pytest.raises(InputError, match="y: classes that the estimator knows; got 3 at row 1; drop that example"):
        TemperatureScaledClassifier(FrozenEstimator(fitted)).fit(X[:2], [0, 3])


@pytest.mark.parametrize(
    "labels", [np.array(["red", "green", "blue"]), np.array([7, -1, 30]), np.array([0.0, 2.0, 1.0])]
)
def test_labels_may_be_anything(labels: np.ndarray) -> None:
    plain = TemperatureScaledClassifier(GaussianNB()).fit(X, Y)
    named = TemperatureScaledClassifier(GaussianNB()).fit(X, labels[Y])
    assert named.classes_.tolist() == sorted(labels.tolist())
    assert named.temperature_ == pytest.approx(plain.temperature_, rel=1e-9)
    np.testing.assert_array_equal(named.predict(X), labels[plain.predict(X)])


def test_a_well_calibrated_logistic_regression_has_temperature_1() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20_000, 1))
    y = generator.random(20_000) < 1 / (1 + np.exp(-2 * x[:, 0]))
    assert TemperatureScaledClassifier(LogisticRegression(C=1e6)).fit(x, y).temperature_ == pytest.approx(1, abs=0.01)


def test_calibration_lowers_the_held_out_nll() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    half = np.arange(len(y)) % 2 == 0
    plain = GaussianNB().fit(x[half], y[half])
    model = TemperatureScaledClassifier(GaussianNB()).fit(x[half], y[half])

    def nll(probs: np.ndarray) -> float:
        return float(-np.log(probs[np.arange(len(probs)), y[~half]].clip(1e-12)).mean())

    assert nll(model.predict_proba(x[~half])) < 0.5 * nll(plain.predict_proba(x[~half]))


def test_where_no_temperature_is_best_it_warns() -> None:
    x = np.array([[-1.0], [-2.0], [-3.0], [1.0], [2.0], [3.0]])
    model = TemperatureScaledClassifier(DecisionTreeClassifier(), cv=3)
    with pytest.warns(ConvergenceWarning, match=r"no optimal temperature, 1 is used: .* all right"):
        model.fit(x, [0, 0, 0, 1, 1, 1])
    assert not model.converged_
    assert model.predict(x).tolist() == [0, 0, 0, 1, 1, 1]


def test_it_works_in_pipelines_grid_searches_and_pickles() -> None:
    search = GridSearchCV(
        TemperatureScaledClassifier(make_pipeline(StandardScaler(), LogisticRegression())),
        {"estimator__logisticregression__C": [0.01, 1.0]},
        scoring="neg_log_loss",
        cv=2,
    ).fit(X, Y)
    best = search.best_estimator_
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(again.predict_proba(X), best.predict_proba(X))
    assert best.n_features_in_ == 8
    assert not hasattr(clone(best), "temperature_")
    assert make_pipeline(StandardScaler(), best).fit(X, Y).score(X, Y) > 0.6


def test_folds_may_be_any_that_hold_out_every_example_once() -> None:
    groups = np.arange(len(Y)) % 7
    by_group = TemperatureScaledClassifier(GaussianNB(), cv=GroupKFold(7).split(X, Y, groups)).fit(X, Y)
    held_out = cross_val_predict(GaussianNB(), X, Y, cv=GroupKFold(7), groups=groups, method="predict_proba")
    fitted = TemperatureScaling().fit(torch.from_numpy(held_out).clamp(min=1e-12).log(), torch.from_numpy(Y))
    assert by_group.temperature_ == float(fitted.temperature)
    with pytest.raises(ValueError, match="partitions"):
        TemperatureScaledClassifier(GaussianNB(), cv=ShuffleSplit(3, random_state=0)).fit(X, Y)


def test_a_classifier_whose_fit_failed_is_not_fitted() -> None:
    X, y = load_iris(return_X_y=True)
    model = TemperatureScaledClassifier(GaussianNB(), cv=[(np.arange(50, 150), np.arange(50))])
    with pytest.raises(ValueError, match="cv: every class in every training part"):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_errors_say_what_to_do() -> None:
    x, y = load_iris(return_X_y=True)
    with pytest.raises(
        InputTypeError, match="estimator: a classifier with decision_function or predict_proba; got Lin"
    ):
        TemperatureScaledClassifier(LinearRegression()).fit(x, y)
    with pytest.raises(InputError, match="y: at least two classes; got 1 class"):
        TemperatureScaledClassifier(GaussianNB()).fit(x, np.zeros(len(y)))
    parts = [(np.arange(100), np.arange(100, 150)), (np.arange(50, 150), np.arange(50))]
    with pytest.raises(
        InputError, match="cv: every class in every training part; got class 2 missing in training part 0"
    ):
        TemperatureScaledClassifier(GaussianNB(), cv=parts).fit(x, y)
    four = SVC(decision_function_shape="ovo"), np.tile(x, (2, 1)), np.arange(300) % 4
    with pytest.raises(InputError, match=r"a score for each of 4 classes; got 6 columns; an SVC needs .*'ovr'"):
        TemperatureScaledClassifier(four[0]).fit(*four[1:])
