"""Cross-validated models of scikit-learn."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, AuditStage, RunsFailedError, audit_labels
from softtargets.audit.classical import FLOOR, Candidate, candidates_for, cross_validate_classical, fold_of

BANKING = Path(__file__).resolve().parents[3] / "shared" / "data" / "banking77" / "train.parquet"


def nothing(name: str, done: float) -> None: ...


class Recorder(DummyClassifier):
    """Remembers which rows it was fitted to and predicts."""

    fitted, predicted = [], []

    def fit(self, X, y, sample_weight=None):
        Recorder.fitted.append(X[:, 0].tolist())
        return super().fit(X, y, sample_weight)

    def predict_proba(self, X):
        Recorder.predicted.append(X[:, 0].tolist())
        return super().predict_proba(X)


def test_every_row_is_predicted_once_by_a_model_that_was_not_fitted_to_it(monkeypatch):
    monkeypatch.setattr("softtargets.audit.classical._estimate", lambda *arguments: 1.0)
    rows = np.arange(23.0)[:, None]
    options = AuditOptions(folds=4, seed=3, workers=1)
    held = cross_validate_classical(rows, torch.arange(23) % 2, 2, (Candidate("own", Recorder()),), options, nothing)
    assert held.probs.shape == (23, 2)
    assert sorted(row for fold in Recorder.predicted for row in fold) == rows[:, 0].tolist()
    for fitted, predicted in zip(Recorder.fitted, Recorder.predicted, strict=True):
        assert sorted(fitted + predicted) == rows[:, 0].tolist()
        assert len(predicted) in (5, 6)


def test_folds_depend_on_the_seed_and_not_on_the_labels():
    first = fold_of(100, 5, 0)
    assert np.bincount(first).tolist() == [20] * 5
    assert (first == fold_of(100, 5, 0)).all()
    assert (first != fold_of(100, 5, 1)).any()


def test_classes_that_a_fold_lacks_keep_a_small_probability():
    labels = torch.tensor([0] * 20 + [1] * 20 + [2])
    inputs = torch.nn.functional.one_hot(labels).numpy() + 0.0
    candidate = Candidate("forest", RandomForestClassifier(5, random_state=0))
    held = cross_validate_classical(inputs, labels, 3, (candidate,), AuditOptions(workers=1), nothing)
    torch.testing.assert_close(held.probs.sum(1), torch.ones(41))
    assert float(held.probs.min()) == pytest.approx(FLOOR, rel=0.01)
    assert (held.probs[:40].argmax(1) == labels[:40]).all()


def test_the_better_of_several_models_is_used_and_the_others_are_named():
    labels = torch.arange(200) % 2
    inputs = (labels[:, None] + 0.1 * torch.randn(200, 1, generator=torch.Generator().manual_seed(0))).numpy()
    worse = Candidate("the constant", DummyClassifier(strategy="prior"))
    better = Candidate("the line", LogisticRegression(C=100.0))
    held = cross_validate_classical(inputs, labels, 2, (worse, better), AuditOptions(workers=1), nothing)
    assert held.model.describes.startswith("the line (cross-validated NLL 0.")
    assert "the constant 0.7" in held.model.describes
    assert "mean of the constant and the line" in held.model.describes
    assert float((held.probs.argmax(1) == labels).double().mean()) == 1


def test_unset_random_states_are_the_seed():
    inputs, labels = torch.randn(80, 3, generator=torch.Generator().manual_seed(0)).numpy(), torch.arange(80) % 2
    forest = (Candidate("forest", RandomForestClassifier(5)),)
    first, again, other = (
        cross_validate_classical(inputs, labels, 2, forest, AuditOptions(workers=1, seed=seed), nothing).probs
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_time_is_told_before_the_first_model_is_fitted():
    told: list[tuple[str, float]] = []
    inputs = np.random.default_rng(0).normal(size=(400, 3))
    cross_validate_classical(
        inputs,
        torch.arange(400) % 2,
        2,
        candidates_for("embeddings", inputs),
        AuditOptions(workers=1, folds=3),
        lambda name, done: told.append((name, done)),
    )
    assert told[0][1] == 0
    assert told[0][0].startswith("cross-validating logistic regression: 3 folds, about ")
    assert [round(3 * done) for _, done in told] == [0, 1, 2, 3]


def test_a_model_that_cannot_be_fitted_is_reported_with_its_name():
    options = AuditOptions(workers=1, folds=2)
    texts = np.array(["no", "numbers"] * 10, dtype=object)
    with pytest.raises(RunsFailedError, match="a model that can be fitted to these rows, as a line"):
        cross_validate_classical(
            texts, torch.arange(20) % 2, 2, (Candidate("a line", LogisticRegression()),), options, nothing
        )


def test_a_table_is_audited_by_an_estimator_of_the_user(tmp_path):
    inputs, labels = load_breast_cancer(return_X_y=True)
    flipped = np.random.default_rng(0).random(len(labels)) < 0.1
    with (tmp_path / "cancer.csv").open("w", newline="") as file:
        rows = [
            [*row, label] for row, label in zip(inputs.tolist(), np.where(flipped, 1 - labels, labels), strict=True)
        ]
        csv.writer(file).writerows([[*(f"x{k}" for k in range(inputs.shape[1])), "label"], *rows])
    stages: list[str] = []

    def note(state: object) -> None:
        if isinstance(state, AuditStage):
            stages.append(state.name)

    data = str(tmp_path / "cancer.csv")
    settings: dict[str, Any] = {"runs": tmp_path / "runs", "workers": 1, "on_progress": note}
    default = audit_labels(data=data, options=AuditOptions(**settings))
    assert default.provenance.model is not None
    assert "gradient boosting" in default.provenance.model.describes
    assert default.audited.agreement > 0.8
    own = audit_labels(data=data, options=AuditOptions(model=RandomForestClassifier(20), folds=3, **settings))
    assert own.provenance.command is None
    assert own.audited.predictions.startswith("3-fold cross-validation, RandomForestClassifier")
    found = torch.zeros(len(labels), dtype=torch.bool)
    found[own.ranking.suspects.rows] = True
    shares = [float(found[torch.from_numpy(which)].double().mean()) for which in (flipped, ~flipped)]
    assert shares[0] > 0.5 > 5 * shares[1]
    named = audit_labels(data=data, options=AuditOptions(model="audit.own_estimators:build", folds=2, **settings))
    assert "--model audit.own_estimators:build" in (named.provenance.command or "")
    with pytest.raises(InputError, match=r"^epochs: left out, because no network is trained"):
        audit_labels(data=data, options=AuditOptions(epochs=3, **settings))
    network = AuditOptions(model="own_networks:plain", folds=2, epochs=1, **settings)
    assert "the network own_networks:plain, 1 epochs" in audit_labels(data=data, options=network).audited.predictions
    assert any(name.startswith("cross-validating the network own_networks:plain: 2 folds, about") for name in stages)


@pytest.mark.skipif(not BANKING.exists(), reason="needs banking77 in ../shared/data beside the repository")
def test_texts_reach_the_accuracy_of_a_short_pipeline():
    import pyarrow.parquet as pq

    table = pq.read_table(BANKING)
    rows = np.random.default_rng(0).permutation(len(table))[:2500]
    texts = np.array(table["text"].to_pylist(), dtype=object)[rows]
    labels = torch.tensor(table["label"].to_pylist())[rows]
    pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10.0))
    options = AuditOptions(folds=2, workers=1)
    ours, plain = (
        cross_validate_classical(texts, labels, 77, candidates, options, nothing)
        for candidates in (candidates_for("texts", texts), (Candidate("pipeline", pipeline),))
    )
    accuracies = [float((held.probs.argmax(1) == labels).double().mean()) for held in (ours, plain)]
    assert accuracies[0] >= accuracies[1]
    assert accuracies[0] > 0.7
