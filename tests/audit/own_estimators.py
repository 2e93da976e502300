"""Estimators as a user writes them, right and wrong."""

from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ready = LogisticRegression(C=2.0)
number = 3


def build() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression())


def without_probabilities() -> object:
    return RidgeClassifier()


def broken() -> object:
    raise RuntimeError("no such file")
