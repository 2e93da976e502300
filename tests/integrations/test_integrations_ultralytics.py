"""Losses in the real classification trainer of ultralytics, on a tiny network and images that are made here.

Skipped where ultralytics is not installed; `make test-integrations` installs it.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision_operators import define_operators

from softtargets import losses
from softtargets._errors import InputError
from softtargets.integrations.ultralytics import classification_trainer

K = 3
NETWORK = """
nc: 3
scales:
  n: [1.0, 1.0, 1024]
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
head:
  - [-1, 1, Classify, [nc]]
"""
GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = torch.tensor([1.0, 3.0, 0.5])


@pytest.fixture(scope="module")
def ultralytics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Import ultralytics with settings of its own, without network, and without the operators of torchvision."""
    define_operators()
    folder = tmp_path_factory.mktemp("settings")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("CONFIG_DIR", str(folder)), ("OFFLINE", "true"), ("AUTOINSTALL", "false")):
            patch.setenv(f"YOLO_{name}", value)
        made = pytest.importorskip("ultralytics", reason="ultralytics is not installed: make test-integrations")
        made.settings.update(
            {"sync": False, "datasets_dir": str(folder), "weights_dir": str(folder), "runs_dir": str(folder)}
        )
        yield made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of images whose class is their brightest channel."""
    folder = tmp_path_factory.mktemp("images")
    for part, count in (("train", 8), ("val", 3)):
        for label in range(K):
            (folder / part / f"class{label}").mkdir(parents=True)
            for number in range(count):
                pixels = torch.randint(0, 128, (32, 32, 3), generator=GENERATOR, dtype=torch.uint8)
                pixels[..., label] += 100
                Image.fromarray(pixels.numpy()).save(folder / part / f"class{label}" / f"{number}.png")
    return folder


def trained(ultralytics: Any, data: Path, folder: Path, **settings: Any) -> tuple[Any, dict[str, float]]:
    """Train for an epoch; return the YOLO and the numbers of the epoch."""
    network = folder / "tinyn-cls.yaml"
    network.write_text(NETWORK)
    settings = {"epochs": 1, "batch": 6, "imgsz": 32, "lr0": 0.01, "optimizer": "SGD", "warmup_epochs": 0, **settings}
    fixed = {"device": "cpu", "workers": 0, "plots": False, "verbose": False, "nbs": 6, "seed": 3}
    model = ultralytics.YOLO(str(network), task="classify")
    model.train(data=str(data), project=str(folder), name="run", **fixed, **settings)
    with open(folder / "run" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return model, {name.strip(): float(value) for name, value in rows[-1].items()}


def weights(model: Any) -> dict[str, Tensor]:
    return model.model.state_dict()


@pytest.fixture(scope="module")
def plain(ultralytics: Any, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, float]]:
    """Return what ultralytics trains with its own loss."""
    return trained(ultralytics, data, tmp_path_factory.mktemp("plain"))


def test_cross_entropy_trains_the_network_of_ultralytics(
    ultralytics: Any, data: Path, plain: Any, tmp_path: Path
) -> None:
    model, found = trained(ultralytics, data, tmp_path, trainer=classification_trainer("cross_entropy"))
    torch.testing.assert_close(weights(model), weights(plain[0]), rtol=1e-3, atol=1e-4)
    for name in ("train/loss", "val/loss", "metrics/accuracy_top1"):
        assert found[name] == pytest.approx(plain[1][name], abs=2e-5)


def test_another_loss_trains_another_network(ultralytics: Any, data: Path, plain: Any, tmp_path: Path) -> None:
    trainer = classification_trainer("focal_loss", gamma=2.0, class_weight=WEIGHT)
    model, found = trained(ultralytics, data, tmp_path, trainer=trainer)
    assert isinstance(model.trainer, trainer)
    assert issubclass(trainer, ultralytics.models.yolo.classify.ClassificationTrainer)
    assert found["train/loss"] < 0.8 * plain[1]["train/loss"]  # every factor (1 - p)^2 is below 1
    assert any(not torch.equal(one, weights(plain[0])[name]) for name, one in weights(model).items())


def test_the_loss_of_an_epoch_is_ours(ultralytics: Any, data: Path, tmp_path: Path) -> None:
    batches: list[dict[str, float]] = []

    class Watched(classification_trainer("generalized_cross_entropy", q=0.7)):  # pyright: ignore[reportGeneralTypeIssues]
        def get_model(self, *args: Any, **kwargs: Any) -> Any:
            model = super().get_model(*args, **kwargs)
            inner = model.criterion

            def watched(preds: Any, batch: dict[str, Tensor]) -> Any:
                logits = preds[1] if isinstance(preds, tuple) else preds
                each = losses.generalized_cross_entropy(logits.detach(), batch["cls"], q=0.7)
                batches.append({"val" if isinstance(preds, tuple) else "train": float(each.mean())})
                return inner(preds, batch)

            model.criterion = watched
            return model

    _, found = trained(ultralytics, data, tmp_path, trainer=Watched)
    for part, count in (("train", 4), ("val", 1)):
        values = [batch[part] for batch in batches if part in batch]
        assert len(values) == count
        assert found[f"{part}/loss"] == pytest.approx(sum(values) / count, abs=2e-5)


def test_checkpoints_do_not_need_this_package(ultralytics: Any, data: Path, tmp_path: Path) -> None:
    model, _ = trained(
        ultralytics, data, tmp_path, trainer=classification_trainer("cross_entropy", label_smoothing=0.1)
    )
    for name in ("best.pt", "last.pt"):
        content = (tmp_path / "run" / "weights" / name).read_bytes()
        assert b"ClassificationModel" in content
        assert b"softtargets" not in content
    assert not any("criterion" in name for name in weights(model))
    probs = model.predict(str(data / "val" / "class0" / "0.png"), imgsz=32, verbose=False, save=False)[0].probs
    assert float(probs.data.sum()) == pytest.approx(1, abs=1e-4)


def test_resumed_training_has_the_loss_of_the_trainer_that_is_passed(
    ultralytics: Any, data: Path, tmp_path: Path
) -> None:
    trainer = classification_trainer("mean_absolute_error")

    class Interrupted(trainer):  # pyright: ignore[reportGeneralTypeIssues]
        def save_model(self) -> bool:
            super().save_model()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(ultralytics, data, tmp_path, trainer=Interrupted, epochs=2)
    model = ultralytics.YOLO(str(tmp_path / "run" / "weights" / "last.pt"))
    model.train(resume=True, trainer=trainer)
    assert model.trainer.start_epoch == 1
    assert model.trainer.model.criterion is trainer.criterion
    with open(tmp_path / "run" / "results.csv", newline="") as file:
        losses_of_epochs = [float(row["val/loss"]) for row in csv.DictReader(file)]
    assert len(losses_of_epochs) == 2
    assert (
        max(losses_of_epochs) < 1 - 1 / K + 0.05
    )  # the error of uniform probabilities; their cross entropy is above 1


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_value_and_gradient(ultralytics: Any, mode: str, tmp_path: Path) -> None:
    (tmp_path / "tinyn-cls.yaml").write_text(NETWORK)
    torch.manual_seed(0)
    model = ultralytics.nn.tasks.ClassificationModel(str(tmp_path / "tinyn-cls.yaml"), verbose=False)
    model.criterion = classification_trainer("focal_loss", gamma=1.0, class_weight=WEIGHT).criterion
    model = model.train() if mode == "train" else model.eval()
    images, labels = torch.randn(5, 3, 32, 32, generator=GENERATOR), torch.tensor([0, 1, 2, 1, 0])
    value, reported = model({"img": images, "cls": labels})
    logits = model(images) if mode == "train" else model(images)[1]
    by_hand = (WEIGHT[labels] * losses.focal_loss(logits, labels, gamma=1.0)).sum() / WEIGHT[labels].sum()
    torch.testing.assert_close(value, by_hand)
    assert reported == {"loss": value}
    assert not reported["loss"].requires_grad
    parameters = list(model.parameters())
    pairs = (torch.autograd.grad(one, parameters) for one in (value, by_hand))
    torch.testing.assert_close(*(list(found) for found in pairs))


def test_it_can_be_sent_to_other_processes(ultralytics: Any) -> None:
    cloudpickle = pytest.importorskip(
        "cloudpickle"
    )  # with it ultralytics sends a trainer to the processes of several GPUs
    trainer = cloudpickle.loads(cloudpickle.dumps(classification_trainer("focal_loss", gamma=2.0)))
    logits, labels = torch.randn(4, K, generator=GENERATOR), torch.tensor([0, 1, 2, 0])
    expected = losses.focal_loss(logits, labels, gamma=2.0).mean()
    torch.testing.assert_close(trainer.criterion(logits, {"cls": labels})[0], expected)


def test_what_is_refused() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"function": "focal"}, "function: one of .*did you mean 'focal_loss'"),
        ({"function": "cross_entropy", "smoothing": 0.1}, "hyper_parameters: .*did you mean 'label_smoothing'"),
        ({"function": nn.CrossEntropyLoss()}, "function: a CrossEntropyLoss or Loss of softtargets.nn"),
    ]
    for settings, text in cases:
        with pytest.raises((InputError, TypeError), match=f"^{text}"):
            classification_trainer(**settings)
