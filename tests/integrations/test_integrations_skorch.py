"""skorch trains with the modules of this package as criterion, and predicts probabilities."""

from typing import Any

import numpy as np
import pytest
import torch

from softtargets import losses, nn

pytest.importorskip("skorch")
from skorch import NeuralNetClassifier

N, D, K = 90, 4, 3
CRITERIA: dict[str, tuple[Any, dict[str, Any]]] = {
    "torch": (torch.nn.CrossEntropyLoss, {}),
    "CrossEntropyLoss": (nn.CrossEntropyLoss, {}),
    "CrossEntropyLoss, smoothed": (nn.CrossEntropyLoss, {"criterion__label_smoothing": 0.1}),
    "Loss": (nn.Loss, {"criterion__function": losses.focal_loss, "criterion__gamma": 2.0}),
    "LearnedSmoothing": (nn.LearnedSmoothing, {"criterion__num_classes": K}),
    "VolMinNet": (nn.VolMinNet, {"criterion__num_classes": K}),
}


def data() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    labels = np.arange(N) % K
    return (draw.normal(size=(N, D)) + 3 * np.eye(K, D)[labels]).astype("float32"), labels


def fitted(name: str) -> NeuralNetClassifier:
    torch.manual_seed(0)
    criterion, settings = CRITERIA[name]
    net = NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=D,
        module__out_features=K,
        criterion=criterion,
        max_epochs=20,
        lr=0.3,
        train_split=None,  # pyright: ignore[reportArgumentType]
        verbose=0,
        **settings,
    )
    return net.fit(*data())


@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_it_trains_and_predicts_probabilities(name: str) -> None:
    inputs, labels = data()
    net = fitted(name)
    probs = net.predict_proba(inputs)
    assert probs.shape == (N, K)
    assert probs.min() >= 0
    np.testing.assert_allclose(probs.sum(-1), 1, rtol=1e-5)
    assert (net.predict(inputs) == labels).mean() > 0.9


def test_it_trains_the_network_that_torchs_loss_trains() -> None:
    inputs, _ = data()
    ours, theirs = (fitted(name).predict_proba(inputs) for name in ("CrossEntropyLoss", "torch"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
