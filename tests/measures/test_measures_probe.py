"""A linear probe of a small run against scikit-learn."""

import pytest
from measures.small_runs import features_of, trained
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from softtargets.data.spec import DataSpec
from softtargets.measures import measure_network
from softtargets.measures.probe import PENALTIES, probe


def test_the_probe_is_logistic_regression_with_the_penalty_that_validation_prefers(subject) -> None:
    labels = {split: subject.predictions[f"{split}.labels"].numpy() for split in ("train", "validation", "test")}
    scaler = StandardScaler().fit(features_of(subject, "train").numpy())
    rows = {split: scaler.transform(features_of(subject, split).numpy()) for split in labels}
    fitted = [
        LogisticRegression(C=1 / (l2 * len(labels["train"])), max_iter=2000).fit(rows["train"], labels["train"])
        for l2 in PENALTIES
    ]
    reached = [model.score(rows["validation"], labels["validation"]) for model in fitted]
    best = max(range(len(PENALTIES)), key=lambda place: (reached[place], place))
    expected = fitted[best].score(rows["test"], labels["test"])
    # one example of 90 may lie on the border
    assert probe(subject)["probe.accuracy"] == pytest.approx(expected, abs=1.5 / 90)


def test_without_validation_the_probe_holds_training_examples_out(store) -> None:
    bare = DataSpec.parse({"name": "digits", "validation": 0, "limit": {"train": 300, "test": 90}})
    resolved = trained(store, bare)
    found = measure_network(resolved, store, ["probe.accuracy"])
    assert found.problems == ()
    assert 0.5 < found.values["probe.accuracy"] <= 1
