"""Temperature scaling as a scikit-learn classifier that wraps another one, and reliability diagrams as a display.

Example:
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from softtargets.integrations.sklearn import TemperatureScaledClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = TemperatureScaledClassifier(GaussianNB()).fit(X, y)
    >>> model.temperature_ > 1, model.converged_                        # it was overconfident
    (True, True)
    >>> round(float(model.predict_proba(X[:1]).sum()), 6)
    1.0
"""

import warnings
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.calibration import TemperatureScaling
from softtargets.integrations._late import late_classes
from softtargets.integrations._reliability_display import ReliabilityDisplay

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin

    class _Estimator(ClassifierMixin, MetaEstimatorMixin, BaseEstimator): ...
else:
    _Estimator = object  # see the end of the file

__all__ = ["ReliabilityDisplay", "TemperatureScaledClassifier"]

_METHODS = ("decision_function", "predict_proba")
# Probabilities are at least this, as in scikit-learn. Forests return 0, which no temperature can change.
_FLOOR = 1e-12


class TemperatureScaledClassifier(_Estimator):
    """Calibrate the probabilities of a classifier by temperature scaling (Guo et al. 2017).

    softmax(scores / temperature_), scores = decision_function(X), or log predict_proba(X) if it does not exist

    The temperature is fitted on out-of-fold predictions of a cross-validation, and the classifier is then fitted on all
    examples. Wrap a classifier that is already fitted in `sklearn.frozen.FrozenEstimator`: the temperature is then
    fitted on all of X and y, which the classifier must not have seen.

    For two classes the decision function d is the log-odds, and the scores are (0, d). A well calibrated logistic
    regression has temperature_ 1. `CalibratedClassifierCV(method="temperature", ensemble=False)` uses (-d, d) and has 2
    for the same probabilities. Probabilities below 1e-12 count as 1e-12.

    Noisy labels make temperature_ too high; see :class:`softtargets.calibration.TemperatureScaling`.

    Args:
        estimator: a classifier with `decision_function` or `predict_proba`.
        cv: number of folds, a splitter or an iterable of splits, as in scikit-learn. Every training part must contain
            every class, and every example must be held out once.
        n_jobs: number of folds that are fitted in parallel.

    Attributes:
        temperature_: the temperature; above 1 if the classifier was overconfident.
        converged_: False if there is no optimal temperature within the bounds, because all held-out predictions are
            right or none is better than chance. `fit` then issues a `ConvergenceWarning`.
        calibrator_: the fitted :class:`softtargets.calibration.TemperatureScaling`.
        estimator_: the fitted classifier.
        classes_: (K,) the classes.
        n_features_in_: as in `estimator_`; likewise `feature_names_in_`.
    """

    estimator_: Any
    classes_: Any

    def __init__(self, estimator: Any, *, cv: Any = 5, n_jobs: int | None = None) -> None:
        self.estimator = estimator
        self.cv = cv
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the classifier, unless it is frozen, and the temperature.

        Args:
            X: (N, ...) inputs of the classifier.
            y: (N,) labels, numbers or strings.

        Returns:
            self.

        Raises:
            ValueError: if labels are not classes, a class is missing in a training part, or the folds do not hold out
                every example once.
            TypeError: if the classifier has neither method.
        """
        from sklearn.base import clone
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.frozen import FrozenEstimator
        from sklearn.utils import assert_all_finite, column_or_1d, indexable
        from sklearn.utils.multiclass import check_classification_targets

        X, y = indexable(X, y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        self.estimator_ = clone(self.estimator)
        if isinstance(self.estimator, FrozenEstimator):
            scores = getattr(self.estimator_, self._method())(X)
        else:
            scores = self._held_out(X, y)
            self.estimator_.fit(X, y)
        self.classes_ = self.estimator_.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        self.calibrator_ = TemperatureScaling().fit(self._logits(scores), self._numbered(y))
        self.temperature_ = float(self.calibrator_.temperature)
        self.converged_ = bool(self.calibrator_.converged)
        if not self.converged_:
            warnings.warn(
                f"there is no optimal temperature, {self.temperature_:g} is used: the predictions of held-out examples "
                "are all right, no better than chance, or have equal scores",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return calibrated probabilities, (N, K) float64."""
        return self._log_probs(X).exp().numpy()

    def predict_log_proba(self, X: Any) -> Any:
        """Return calibrated log-probabilities, (N, K) float64."""
        return self._log_probs(X).numpy()

    def predict(self, X: Any) -> Any:
        """Return the most likely class of each row, (N,); the first one on ties."""
        largest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[largest]

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags

        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags, tags.classifier_tags = inner.input_tags, inner.classifier_tags
        return tags

    def _log_probs(self, X: Any) -> Tensor:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "calibrator_")
        return self.calibrator_(self._logits(getattr(self.estimator_, self._method())(X)))

    def _method(self) -> str:
        """Return the name of the method that computes scores."""
        for name in _METHODS:
            if hasattr(self.estimator_, name):
                return name
        required = "a classifier with decision_function or predict_proba"
        raise fail_type(
            "estimator", required, type(self.estimator_).__name__, "use a classifier that scores every class"
        )

    def _held_out(self, X: Any, y: Any) -> Any:
        """Return the scores of every example from a classifier that was fitted without it."""
        from sklearn.model_selection import check_cv, cross_val_predict

        classes = set(y.tolist())
        if len(classes) < 2:
            raise fail("y", "at least two classes", f"{len(classes)} class", "add examples of another class")
        splitter: Any = check_cv(self.cv, y, classifier=True)
        splits = list(splitter.split(X, y))
        for number, (train, _) in enumerate(splits):
            missing = classes - set(y[train].tolist())
            if missing:
                got = f"class {min(missing)!r} missing in training part {number}"
                remedy = "add examples of it, or use other folds"
                raise fail("cv", "every class in every training part", got, remedy)
        return cross_val_predict(self.estimator_, X, y, cv=splits, method=self._method(), n_jobs=self.n_jobs)

    def _logits(self, scores: Any) -> Tensor:
        """Return the scores as (N, K) float64 logits."""
        values = torch.from_numpy(scores.astype("float64"))
        if self._method() == "predict_proba":
            return values.clamp_(min=_FLOOR).log_()
        if values.ndim == 1:
            return torch.stack([torch.zeros_like(values), values], 1)
        if values.shape[1] != len(self.classes_):
            required = f"a decision_function with a score for each of {len(self.classes_)} classes"
            got = f"{values.shape[1]} columns"
            raise fail("estimator", required, got, "an SVC needs decision_function_shape='ovr'")
        return values

    def _numbered(self, y: Any) -> Tensor:
        numbers = {label: number for number, label in enumerate(self.classes_.tolist())}
        labels = y.tolist()
        for row, label in enumerate(labels):
            if label not in numbers:
                raise fail("y", "classes that the estimator knows", f"{label!r} at row {row}", "drop that example")
        return torch.tensor([numbers[label] for label in labels])


if not TYPE_CHECKING:  # a type checker sees the class above

    def _bases() -> tuple[type, ...]:
        from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin

        return ClassifierMixin, MetaEstimatorMixin, BaseEstimator

    __getattr__ = late_classes(globals(), ["TemperatureScaledClassifier"], _bases)
