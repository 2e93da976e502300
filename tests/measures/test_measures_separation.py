"""Class separation of a small run against the definition."""

import pytest
from measures.small_runs import features_of

from softtargets.measures.separation import separation


def test_separation_is_the_definition_over_all_pairs(subject) -> None:
    features, labels = features_of(subject, "train"), subject.predictions["train.labels"]
    directions = features / features.norm(dim=1, keepdim=True)
    away = 1 - directions @ directions.T
    blocks = [[away[labels == a][:, labels == b].mean() for b in range(10)] for a in range(10)]
    within = sum(blocks[a][a] for a in range(10)) / 10
    total = sum(block for row in blocks for block in row) / 100
    found = separation(subject)
    assert found["within"] == pytest.approx(float(within), rel=1e-5)
    assert found["separation"] == pytest.approx(float(1 - within / total), rel=1e-5)
