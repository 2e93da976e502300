"""Combinations of members: hand numbers, the definition, scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from softtargets import metrics
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
@pytest.mark.parametrize(("told", "strengths"), [(0.0, (0.001,)), (2.0, (0.01, 0.1, 1.0))])
def test_stacking_is_scikit_learns_regression(num_classes: int, told: float, strengths: tuple[float, ...]) -> None:
    labels = torch.arange(200) % num_classes
    # logits that tell more of the labels need less regularisation
    logits = torch.randn(3, 200, num_classes, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2
    logits += told * torch.nn.functional.one_hot(labels, num_classes)
    features = logits.log_softmax(-1).transpose(0, 1).flatten(1).numpy()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def nll(strength: float) -> float:
        model = LogisticRegression(C=strength, max_iter=2000)
        probs = cross_val_predict(model, features, labels.numpy(), cv=folds, method="predict_proba")
        return float(metrics.nll(torch.from_numpy(probs), labels))

    strength = min((0.001, 0.01, 0.1, 1.0), key=nll)
    assert strength in strengths
    model = LogisticRegression(C=strength, max_iter=2000).fit(features, labels.numpy())
    found = StackedLogits.fit(logits, labels)
    expected = model.predict_proba(features)
    np.testing.assert_allclose(found(logits).softmax(-1).numpy(), expected, atol=1e-5)
    arrays = StackedLogits.fit(logits.numpy(), labels.numpy())
    assert torch.equal(arrays.weight, found.weight)


def test_stacking_with_one_row_of_a_class() -> None:
    labels = torch.where(LABELS == 3, 0, LABELS)
    labels[5] = 3
    features = LOGITS.log_softmax(-1).transpose(0, 1).flatten(1).numpy()
    expected = LogisticRegression(C=0.01, max_iter=2000).fit(features, labels.numpy()).predict_proba(features)
    np.testing.assert_allclose(StackedLogits.fit(LOGITS, labels)(LOGITS).softmax(-1).numpy(), expected, atol=1e-5)


def test_what_cannot_be_combined_is_refused() -> None:
    logits, labels = LOGITS, LABELS
    with pytest.raises(InputError, match="ensemble: rows of every class for stacking; got none of class 1"):
        StackedLogits.fit(logits, torch.where(labels == 1, 0, labels))
    with pytest.raises(InputError, match="labels: labels of at least 0 and below 4, the number of classes; got 5"):
        StackedLogits.fit(logits, torch.where(labels == 1, 5, labels))
    for weights in ([1.0, -2.0], [[1.0]], [torch.nan]):
        with pytest.raises(InputError, match="weights: one finite number of at least 0 for each member; got"):
            WeightedVotes(weights)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"weight: shape \(K, M K\), and a bias \(K,\); got"):
        StackedLogits(torch.zeros(3, 4), torch.zeros(3))
