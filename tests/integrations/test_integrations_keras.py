"""The loss in real models of Keras, on its torch backend: `make test-integrations` installs it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softtargets import losses, noise
from softtargets import nn as our_nn

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("keras")
import keras  # pyright: ignore[reportMissingImports]

from softtargets.integrations.keras import KerasLoss

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")

N, D, K = 40, 5, 4
DRAW = torch.Generator().manual_seed(0)
LOGITS, LABELS = torch.randn(N, K, generator=DRAW), torch.randint(K, (N,), generator=DRAW)
SOFT = torch.rand(N, K, generator=DRAW).softmax(1)
INPUTS = torch.randn(N, D, generator=DRAW).numpy()
WEIGHT = torch.rand(N, generator=DRAW)
CLASS_WEIGHT = torch.tensor([1.0, 2.0, 0.5, 0.0])


def close(ours: Any, expected: Any) -> None:
    torch.testing.assert_close(torch.as_tensor(ours), torch.as_tensor(expected), rtol=1e-5, atol=1e-6)


def network(last: str | None = None) -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((D,)), keras.layers.Dense(K, activation=last)])


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("cross_entropy", {}),
        ("focal_loss", {"gamma": 2.0}),
        ("generalized_cross_entropy", {"q": 0.5}),
        ("normalized_cross_entropy", {}),
        ("forward_corrected_cross_entropy", {"transition": 0.1 / K + 0.9 * torch.eye(K)}),
    ],
)
def test_the_value_is_that_of_the_function(name: str, given: dict[str, Any]) -> None:
    expected = getattr(losses, name)(LOGITS, LABELS, **given)
    close(KerasLoss(name, **given)(LABELS, LOGITS), expected.mean())
    close(KerasLoss(getattr(losses, name), reduction="sum", **given)(LABELS[:, None], LOGITS), expected.sum())
    close(KerasLoss(name, reduction=None, **given)(LABELS.float(), LOGITS), expected)
    close(KerasLoss(name, from_logits=False, **given)(LABELS, LOGITS.softmax(1)), expected.mean())


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("from_logits", [True, False])
def test_smoothed_cross_entropy_is_that_of_keras(rate: float, from_logits: bool) -> None:
    theirs = keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=rate)
    ours = KerasLoss("cross_entropy", from_logits=from_logits, label_smoothing=rate)
    predicted = LOGITS if from_logits else LOGITS.softmax(1)
    one_hot = nn.functional.one_hot(LABELS, K)
    for given in (None, WEIGHT):
        close(ours(one_hot, predicted, sample_weight=given), theirs(one_hot, predicted, sample_weight=given))
        close(ours(LABELS, predicted, sample_weight=given), theirs(one_hot, predicted, sample_weight=given))
        close(ours(SOFT, predicted, sample_weight=given), theirs(SOFT, predicted, sample_weight=given))


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", None])
def test_weights_and_ignored_labels_are_reduced_as_keras_does(reduction: str | None) -> None:
    labels = LABELS.masked_fill(torch.arange(N) % 5 == 0, -1)
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1, reduction=reduction)
    ours = KerasLoss("cross_entropy", ignore_index=-1, reduction=reduction)
    close(ours(labels, LOGITS), theirs(labels, LOGITS))
    given = WEIGHT.clone()
    value = ours(labels, LOGITS, sample_weight=given)
    assert torch.equal(given, WEIGHT)
    close(value, theirs(labels, LOGITS, sample_weight=given))  # which changes the weights
    weighted = KerasLoss("cross_entropy", class_weight=CLASS_WEIGHT, reduction="sum")
    each = losses.cross_entropy(LOGITS, LABELS)
    close(weighted(LABELS, LOGITS, sample_weight=WEIGHT), (CLASS_WEIGHT[LABELS] * each * WEIGHT).sum())


def test_a_mask_of_sequences_leaves_steps_out() -> None:
    logits, labels = LOGITS.reshape(8, 5, K), LABELS.reshape(8, 5)
    kept = torch.rand(8, 5, generator=DRAW) < 0.6
    logits._keras_mask = kept  # pyright: ignore[reportAttributeAccessIssue] as an Embedding with mask_zero sets it
    expected = losses.focal_loss(logits[kept], labels[kept], gamma=2.0).mean()
    close(KerasLoss("focal_loss", gamma=2.0)(labels, logits), expected)


def trained(loss: Any, labels: Any, last: str | None = None, **settings: Any) -> tuple[Any, list[float]]:
    model = network(last)
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss=loss, metrics=["accuracy"] if last else None)
    history = model.fit(INPUTS, labels, batch_size=8, epochs=3, shuffle=False, verbose=0, **settings)
    return model, [float(value) for value in history.history["loss"]]


def test_fit_is_that_of_keras_with_the_same_loss() -> None:
    sparse, one_hot = LABELS.numpy(), np.eye(K, dtype="float32")[LABELS.numpy()]
    theirs, expected = trained(keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2), one_hot)
    for labels in (sparse, sparse[:, None], one_hot):
        ours, values = trained(KerasLoss("cross_entropy", label_smoothing=0.2), labels)
        assert values == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-4, atol=1e-5)
    assert expected[-1] < expected[0]
    weights = {"sample_weight": WEIGHT.numpy()}
    probabilities = keras.losses.SparseCategoricalCrossentropy(ignore_class=2)
    theirs, expected = trained(probabilities, sparse, "softmax", **weights)
    ours, values = trained(KerasLoss("cross_entropy", from_logits=False, ignore_index=2), sparse, "softmax", **weights)
    assert values == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-4, atol=1e-5)


def test_evaluate_gives_the_mean_of_the_loss() -> None:
    model, _ = trained(KerasLoss("focal_loss", gamma=2.0), LABELS.numpy())
    logits = torch.as_tensor(model.predict(INPUTS, verbose=0))
    value = model.evaluate(INPUTS, LABELS.numpy(), batch_size=N, verbose=0)
    assert value == pytest.approx(float(losses.focal_loss(logits, LABELS, gamma=2.0).mean()), rel=1e-5)


RESUMED = """
import sys
import keras, numpy
from softtargets.integrations.keras import KerasLoss
model = keras.saving.load_model(sys.argv[1])
assert isinstance(model.loss, KerasLoss), model.loss
data = numpy.load(sys.argv[2])
print(repr(float(model.evaluate(data["inputs"], data["labels"], batch_size=40, verbose=0))))
"""


def test_a_saved_model_is_loaded_in_another_process_with_its_loss(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"transition": 0.2 / K + 0.8 * torch.eye(K), "class_weight": CLASS_WEIGHT}
    model, _ = trained(KerasLoss("forward_corrected_cross_entropy", name="corrected", **settings), LABELS.numpy())
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", inputs=INPUTS, labels=LABELS.numpy())
    command = [sys.executable, "-W", "ignore", "-c", RESUMED, str(tmp_path / "model.keras"), str(tmp_path / "data.npz")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    value = model.evaluate(INPUTS, LABELS.numpy(), batch_size=N, verbose=0)
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(value, rel=1e-6)
    again = KerasLoss.from_config(model.loss.get_config())
    assert (again.name, again.reduction) == ("corrected", "sum_over_batch_size")
    close(again(LABELS, LOGITS), model.loss(LABELS, LOGITS))


def own(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.logsumexp(-1) - logits.gather(-1, labels[:, None])[:, 0]


def test_an_own_function_is_trained_but_not_saved(tmp_path: Path) -> None:
    close(KerasLoss(own)(LABELS, LOGITS), losses.cross_entropy(LOGITS, LABELS).mean())
    model, _ = trained(KerasLoss(own), LABELS.numpy())
    with pytest.raises(ValueError, match=r"^function: a name, so that the model can be saved; got own"):
        model.save(tmp_path / "model.keras")
    structured = KerasLoss("forward_corrected_cross_entropy", transition=noise.symmetric(0.2, K))
    with pytest.raises(ValueError, match=r"^transition: a number, text or tensor, .*; got Transition"):
        structured.get_config()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"function": "focal"}, r"^function: one of .*; got 'focal'; did you mean 'focal_loss'"),
        ({"function": our_nn.CrossEntropyLoss(reduction="none")}, r"^function: a name or a function; got CrossEntropy"),
        ({"function": "cross_entropy", "smoothing": 0.1}, r"^hyper_parameters: one of label_smoothing.*'smoothing'"),
        ({"function": "focal_loss", "gama": 1.0}, r"^Loss\(focal_loss\): one of gamma.*'gama'"),
    ],
)
def test_bad_settings_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        KerasLoss(**given)


def test_bad_labels_are_named() -> None:
    for y_true, y_pred, message in (
        (LABELS + 1, LOGITS, r"^(labels|targets): .* below 4"),
        (LABELS + 0.5, LOGITS, r"^y_true: whole numbers; got "),
        (LABELS[:3], LOGITS, r"^y_true: shape \(40,\) for labels, or \(40, 4\)"),
        (LABELS, LOGITS[:, :1], r"^y_pred: one number for each of at least 2 classes; got shape \(40, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            KerasLoss("cross_entropy")(y_true, y_pred)
    with pytest.raises((ValueError, TypeError), match=r"^labels: "):
        KerasLoss("label_relaxation_loss", smoothing=0.1)(SOFT, LOGITS)


def test_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"^KERAS_BACKEND: torch; got jax; set the environment variable KERAS_BACKEND"):
        KerasLoss("cross_entropy")
