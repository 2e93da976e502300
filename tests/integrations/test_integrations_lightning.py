"""Steps and the callback in the real `Trainer` of Lightning: `make test-integrations` installs it."""

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
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
    trainer(tmp_path, 3, callback).fit(frozen, loader(INPUTS, LABELS.to(torch.uint8), IDS))
    with torch.no_grad():
        logits = frozen(INPUTS)
    torch.testing.assert_close(running.values, (1 - 0.5**3) * logits.softmax(1))
    others = logits.scatter(1, LABELS[:, None], -torch.inf).amax(1)
    margin = (logits.gather(1, LABELS[:, None])[:, 0] - others).double()
    ignored = torch.where(LABELS == 1, torch.nan, margin)
    torch.testing.assert_close(dynamics.area_under_margin, ignored, equal_nan=True)
    assert dynamics.epoch == 3


class ResumableLoader:
    """Goes on after the last batch that it gave, as Lightning asks of a loader in the middle of an epoch."""

    def __init__(self, *columns: Tensor) -> None:
        self.batches, self.given = list(loader(*columns)), 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        self.given %= len(self.batches)
        for batch in self.batches[self.given :]:
            self.given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        return {"given": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.given = state["given"]


WHEN: dict[str, dict[str, Any]] = {
    "end of the epoch": {"save_on_train_epoch_end": True},
    "validation": {"save_on_train_epoch_end": False},
    "middle of the epoch": {"every_n_train_steps": 16},
}


@pytest.mark.parametrize("when", WHEN)
def test_a_resumed_training_is_the_uninterrupted_one(when: str, tmp_path: Path) -> None:
    def fitted(epochs: int, saving: list[Any], resume: Path | None = None) -> tuple[Net, dict[str, Any]]:
        observers = {"online": OnlineSmoothing(K), "running": RunningTargets(N, K), "dynamics": TrainingDynamics(N, K)}
        net, callback = Net(observers["online"]), ObserverCallback(**observers)
        made = trainer(tmp_path, epochs, callback, *saving)
        made.fit(net, ResumableLoader(INPUTS, LABELS, IDS), loader(INPUTS, LABELS), ckpt_path=resume)
        return net, callback.state_dict()

    fitted(3, [ModelCheckpoint(dirpath=tmp_path, filename="part", **WHEN[when])])
    state = torch.load(tmp_path / "part.ckpt", weights_only=True)
    assert state["global_step"] == (16 if when == "middle of the epoch" else 18)
    assert state["callbacks"]["ObserverCallback"]["within_epoch"] is (when != "end of the epoch")
    resumed, second = fitted(5, [], tmp_path / "part.ckpt")
    whole, first = fitted(5, [])
    assert torch.equal(resumed.net.weight, whole.net.weight)
    assert not first["within_epoch"]
    for name, tensors in first["observers"].items():
        for key, tensor in tensors.items():
            assert torch.equal(second["observers"][name][key], tensor), (name, key)


TWO_PROCESSES = """
import json, sys, warnings
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from softtargets.integrations.lightning import ObserverCallback, SoftTargetsMixin
from softtargets.targets import OnlineSmoothing, RunningTargets

inputs, labels = torch.load(sys.argv[1])
data = torch.utils.data.TensorDataset(inputs, labels, torch.arange(len(labels)))


class Net(SoftTargetsMixin, LightningModule):
    def __init__(self):
        super().__init__(num_classes=3)
        self.net = torch.nn.Linear(5, 3)
        torch.nn.init.constant_(self.net.bias, 0.0)
        with torch.no_grad():
            self.net.weight.copy_(torch.arange(15.0).reshape(3, 5).sin())

    def forward(self, inputs):
        return self.net(inputs)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    callback = ObserverCallback(online=OnlineSmoothing(3), running=RunningTargets(len(labels), 3, momentum=0.0))
    saving = ModelCheckpoint(dirpath=sys.argv[2], filename="last", save_on_train_epoch_end=True)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, devices=2, strategy="ddp_fork", callbacks=[callback, saving], **quiet)
    net = Net()
    loaders = [torch.utils.data.DataLoader(data, batch_size=6) for _ in range(2)]
    trainer.fit(net, *loaders)
    print(json.dumps({name: float(value) for name, value in trainer.callback_metrics.items()}))
"""


def test_two_processes_share_targets_and_metrics(tmp_path: Path) -> None:
    torch.save((INPUTS, LABELS), tmp_path / "data.pt")
    (tmp_path / "script.py").write_text(TWO_PROCESSES, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "data.pt"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    logits = INPUTS @ torch.arange(15.0).reshape(3, 5).sin().T
    alone = OnlineSmoothing(K)
    alone.observe(logits.softmax(1), LABELS)
    alone.end_epoch()
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["ObserverCallback"]["observers"]
    torch.testing.assert_close(state["online"]["table"], alone.table)
    torch.testing.assert_close(state["running"]["values"], logits.softmax(1))
    found = json.loads(done.stdout.splitlines()[-1])
    loss = float(nn.functional.cross_entropy(logits, LABELS))
    expected = {
        "val_accuracy": float((logits.argmax(1) == LABELS).double().mean()),
        "val_nll": loss,
        "val_loss": loss,
        "val_ece": float(metrics.ece(logits=logits, labels=LABELS)),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_objects_that_cannot_combine_processes_are_refused() -> None:
    callback = ObserverCallback(dynamics=TrainingDynamics(N, K))
    callback.setup(SimpleNamespace(world_size=1), None, "fit")
    with pytest.raises(ValueError, match=r"^dynamics: an object whose end_epoch takes a group; got TrainingDynamics"):
        callback.setup(SimpleNamespace(world_size=2), None, "fit")
    ObserverCallback(online=OnlineSmoothing(K)).setup(SimpleNamespace(world_size=2), None, "fit")


def test_bad_settings_are_named() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"loss": "focal"}, r"^function: one of .*; got 'focal'; did you mean 'focal_loss'"),
        ({"loss": nn.CrossEntropyLoss(), "gamma": 2.0}, r"^function: a CrossEntropyLoss or Loss of softtargets.nn"),
        ({"loss": our_nn.CrossEntropyLoss(reduction="sum")}, r"^function: a module with reduction='mean'; got 'sum'"),
        ({"smooth": 0.1}, r"^hyper_parameters: one of label_smoothing.*'smooth'"),
    ]
    for given, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            Net(**given)
    with pytest.raises(TypeError, match=r"^batch: \(inputs, labels\) or .*; got Tensor; override read_batch"):
        Net().read_batch(INPUTS)
    with pytest.raises(ValueError, match=r"^observers: at least one object by name; got none"):
        ObserverCallback()
    with pytest.raises(TypeError, match=r"^table: an object with observe, .*; got Tensor; pass OnlineSmoothing"):
        ObserverCallback(table=torch.eye(K))


def test_a_step_that_returns_too_little_is_named(tmp_path: Path) -> None:
    class Plain(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return super().training_step(batch, batch_idx)["loss"]

    for net, observers, message in (
        (Plain(), {"online": OnlineSmoothing(K)}, r"^training_step: a dict with 'logits', for online; got \['loss'\]"),
        (Net(), {"running": RunningTargets(N, K)}, r"^training_step: a dict with 'ids', for running; got .*ids"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer(tmp_path, 1, ObserverCallback(**observers)).fit(net, loader(INPUTS, LABELS))


def test_a_checkpoint_of_other_objects_is_refused() -> None:
    state = ObserverCallback(online=OnlineSmoothing(K)).state_dict()
    with pytest.raises(ValueError, match=r"^observers: \['online'\], as in the checkpoint; got \['smoothing'\]"):
        ObserverCallback(smoothing=OnlineSmoothing(K)).load_state_dict(state)


def test_the_callback_is_made_once_and_can_be_pickled() -> None:
    assert lightning.ObserverCallback is ObserverCallback
    again = pickle.loads(pickle.dumps(ObserverCallback(online=OnlineSmoothing(K))))
    assert torch.equal(again.observers["online"].table, OnlineSmoothing(K).table)
