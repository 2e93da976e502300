"""Combinations of members: hand numbers, the definition, scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from softtargets._errors import InputError
from softtargets.ensembles import MeanLogits, MeanProbs, StackedLogits, WeightedVotes

draw = torch.Generator().manual_seed(0)
LOGITS = torch.randn(3, 40, 4, generator=draw, dtype=torch.float64) * 2
LABELS = torch.randint(4, (40,), generator=draw)


def test_means() -> None:
    probs = LOGITS.softmax(-1)
    torch.testing.assert_close(MeanProbs()(LOGITS).exp(), probs.mean(0))
    geometric = probs.log().mean(0).exp()
    torch.testing.assert_close(MeanLogits()(LOGITS).softmax(-1), geometric / geometric.sum(-1, keepdim=True))
    # a constant added to all logits of a member changes neither
    shifted = LOGITS + torch.tensor([5.0, -3.0, 0.0])[:, None, None]
    for combination in (MeanProbs(), MeanLogits()):
        torch.testing.assert_close(combination(shifted).softmax(-1), combination(LOGITS).softmax(-1))
    masked = LOGITS.clone()
    masked[:, :, 0] = -torch.inf
    assert torch.equal(MeanProbs()(masked).exp()[:, 0], torch.zeros(40, dtype=torch.float64))


def test_votes_are_the_class_with_the_largest_sum_of_weights() -> None:
    logits = torch.tensor([[[1.0, 0, 0]], [[0, 1.0, 0]], [[0, 1.0, 0]]])
    assert WeightedVotes([1.5, 1.0, 0.25])(logits).tolist() == [[1.5, 1.25, 0.0]]
    # the additive model of the paper, f = sum_m beta_m g_m with beta = (K-1)^2 / K alpha, as softmax(f / (K - 1))
    alphas, classes = torch.tensor([1.5, 1.0, 0.25], dtype=torch.float64), 3
    coded = torch.where(torch.nn.functional.one_hot(logits.argmax(-1), 3).bool(), 1.0, -1 / (classes - 1)).double()
    additive = ((classes - 1) ** 2 / classes * alphas[:, None, None] * coded).sum(0)
    expected = (additive / (classes - 1)).softmax(-1)
    torch.testing.assert_close(WeightedVotes(alphas.tolist())(logits.double()).softmax(-1), expected)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_stacking_is_scikit_learns_regression(num_classes: int) -> None:
    logits, labels = LOGITS[:, :, :num_classes], LABELS % num_classes
    features = logits.log_softmax(-1).transpose(0, 1).flatten(1).numpy()
    model = LogisticRegression(max_iter=2000).fit(features, labels.numpy())
    found = StackedLogits.fit(logits, labels)
    expected = model.predict_proba(features)
    np.testing.assert_allclose(found(logits).softmax(-1).numpy(), expected, atol=1e-5)
    with pytest.raises(InputError, match="ensemble: rows of every class for stacking; got none of class 1"):
        StackedLogits.fit(logits, torch.where(labels == 1, 0, labels))
