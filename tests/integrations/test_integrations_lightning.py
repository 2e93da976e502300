"""Steps and the callback in the real `Trainer` of Lightning: `make test-integrations` installs it."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from softtargets import losses, metrics
from softtargets import nn as our_nn
from softtargets.noise import TrainingDynamics
from softtargets.targets import OnlineSmoothing, RunningTargets

pytest.importorskip("lightning")
from lightning.pytorch import LightningModule, Trainer  # pyright: ignore[reportMissingImports]
from lightning.pytorch.callbacks import ModelCheckpoint  # pyright: ignore[reportMissingImports]

from softtargets.integrations import lightning
from softtargets.integrations.lightning import ObserverCallback, SoftTargetsMixin

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*`isinstance\\(treespec",
    "ignore:You defined a `validation_step` but have no",
    "ignore:Be aware that when using `ckpt_path`, callbacks used",
)

N, D, K, BATCH = 44, 5, 3, 8
DRAW = torch.Generator().manual_seed(0)
INPUTS, LABELS = torch.randn(N, D, generator=DRAW), torch.randint(K, (N,), generator=DRAW)
IDS = torch.arange(N)


def loader(*columns: Tensor) -> Any:
    return DataLoader(TensorDataset(*columns), batch_size=BATCH)


def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(D, K)


class Net(SoftTargetsMixin, LightningModule):
    """A linear classifier on online label smoothing, if it is given one."""

    def __init__(self, smoothing: OnlineSmoothing | None = None, **settings: Any) -> None:
        super().__init__(num_classes=K, **settings)
        self.net = linear()
        self.smoothing = smoothing

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.3)

    def training_loss(self, logits: Tensor, labels: Tensor, ids: Tensor | None) -> Tensor:
        return super().training_loss(logits, labels, ids) if self.smoothing is None else self.smoothed(logits, labels)

    def smoothed(self, logits: Tensor, labels: Tensor) -> Tensor:
        assert self.smoothing is not None
        return self.loss(logits, self.smoothing.targets(labels))


def trainer(folder: Path, epochs: int, *callbacks: Any, **settings: Any) -> Any:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    saves = any(isinstance(one, ModelCheckpoint) for one in callbacks)
    return Trainer(
        max_epochs=epochs,
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_checkpointing=saves,
        **{**quiet, **settings},
    )


def test_the_steps_log_the_numbers_of_this_package(tmp_path: Path) -> None:
    net = Net(loss="focal_loss", gamma=2.0)
    labels = LABELS.masked_fill(IDS % 7 == 0, -100)
    made = trainer(tmp_path, 1)
    (found,) = made.validate(net, loader(INPUTS, labels), verbose=False)
    with torch.no_grad():
        logits = net(INPUTS)
    kept = labels != -100
    expected = {
        "val_loss": losses.focal_loss(logits[kept], labels[kept], gamma=2.0).mean(),
        "val_accuracy": (logits[kept].argmax(1) == labels[kept]).double().mean(),
        "val_nll": nn.functional.cross_entropy(logits[kept].double(), labels[kept]),
        "val_ece": metrics.ece(logits=logits[kept], labels=labels[kept]),
    }
    assert found == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-5)
    (tested,) = made.test(net, loader(INPUTS, labels), verbose=False)
    assert tested == {name.replace("val", "test"): value for name, value in found.items()}


def test_training_is_the_loop_of_the_loss_by_hand(tmp_path: Path) -> None:
    weight = torch.tensor([1.0, 2.0, 0.5])
    net = Net(loss="generalized_cross_entropy", q=0.5, class_weight=weight)
    trainer(tmp_path, 2).fit(net, loader(INPUTS, LABELS), loader(INPUTS, LABELS))
    plain, criterion = linear(), our_nn.Loss(losses.generalized_cross_entropy, q=0.5, class_weight=weight)
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.3)
    for _ in range(2):
        for inputs, labels in loader(INPUTS, LABELS):
            optimiser.zero_grad()
            criterion(plain(inputs), labels).backward()
            optimiser.step()
    assert torch.equal(net.net.weight, plain.weight)
    assert float(net.trainer.callback_metrics["train_loss"]) > 0


@pytest.mark.parametrize(
    "criterion", [our_nn.LearnedSmoothing(K, smoothing=0.2), our_nn.VolMinNet(K)], ids=lambda one: type(one).__name__
)
def test_parameters_of_the_loss_are_trained_and_saved(criterion: nn.Module, tmp_path: Path) -> None:
    net = Net(loss=copy.deepcopy(criterion))
    names = [name for name, _ in net.named_parameters()]
    assert names[0].startswith("loss.")
    saving = ModelCheckpoint(dirpath=tmp_path, filename="last")
    trainer(tmp_path, 2, saving).fit(net, loader(INPUTS, LABELS))
    before, after = next(criterion.parameters()), next(net.loss.parameters())
    assert not torch.equal(before, after)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=False)["state_dict"]
    assert torch.equal(saved[names[0]], after)


def test_online_smoothing_in_two_epochs_is_the_loop_by_hand(tmp_path: Path) -> None:
    online = OnlineSmoothing(K, weight=0.4)
    net = Net(online)
    trainer(tmp_path, 2, ObserverCallback(online=online)).fit(net, loader(INPUTS, LABELS))
    plain, by_hand = linear(), OnlineSmoothing(K, weight=0.4)
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.3)
    for _ in range(2):
        for inputs, labels in loader(INPUTS, LABELS):
            logits = plain(inputs)
            optimiser.zero_grad()
            losses.cross_entropy(logits, by_hand.targets(labels), reduction="mean").backward()
            optimiser.step()
            by_hand.observe(logits.softmax(-1), labels)
        by_hand.end_epoch()
    assert not torch.equal(online.table, torch.full((K, K), 1 / K))
    assert torch.equal(online.table, by_hand.table)
    assert torch.equal(net.net.weight, plain.weight)


def test_running_targets_and_dynamics_observe_every_example(tmp_path: Path) -> None:
    running, dynamics = RunningTargets(N, K, momentum=0.5), TrainingDynamics(N, K)
    frozen = Net(ignore_index=1)
    frozen.configure_optimizers = lambda: torch.optim.SGD(frozen.parameters(), lr=0.0)
    callback = ObserverCallback(running=running, dynamics=dynamics)
    trainer(tmp_path, 3, callback).fit(frozen, loader(INPUTS, LABELS, IDS))
    with torch.no_grad():
        logits = frozen(INPUTS)
    torch.testing.assert_close(running.values, (1 - 0.5**3) * logits.softmax(1))
    others = logits.scatter(1, LABELS[:, None], -torch.inf).amax(1)
    margin = (logits.gather(1, LABELS[:, None])[:, 0] - others).double()
    ignored = torch.where(LABELS == 1, torch.nan, margin)
    torch.testing.assert_close(dynamics.area_under_margin, ignored, equal_nan=True)
    assert dynamics.epoch == 3


@pytest.mark.parametrize("when", ["end of the epoch", "validation", "middle of the epoch"])
def test_a_resumed_training_is_the_uninterrupted_one(when: str, tmp_path: Path) -> None:
    def fitted(epochs: int, saving: list[Any], resume: Path | None = None) -> tuple[Net, OnlineSmoothing, Any]:
        online, running, dynamics = OnlineSmoothing(K), RunningTargets(N, K), TrainingDynamics(N, K)
        net, callback = Net(online), ObserverCallback(online=online, running=running, dynamics=dynamics)
        made = trainer(tmp_path, epochs, callback, *saving)
        data = loader(INPUTS, LABELS, IDS), loader(INPUTS, LABELS)
        made.fit(net, *data, ckpt_path=resume, weights_only=False)
        return net, online, callback.state_dict()

    at_end, steps = when == "end of the epoch", 16 if when == "middle of the epoch" else None
    settings = {"every_n_train_steps": steps} if steps else {"save_on_train_epoch_end": at_end}
    fitted(3, [ModelCheckpoint(dirpath=tmp_path, filename="part", **settings)])
    state = torch.load(tmp_path / "part.ckpt", weights_only=False)["callbacks"]["ObserverCallback"]
    assert state["within_epoch"] is not at_end
    resumed, again, second = fitted(5, [], tmp_path / "part.ckpt")
    whole, online, first = fitted(5, [])
    assert torch.equal(resumed.net.weight, whole.net.weight)
    assert torch.equal(again.table, online.table)
    for name, tensors in first["observers"].items():
        for key, tensor in tensors.items():
            assert torch.equal(second["observers"][name][key], tensor), (name, key)
