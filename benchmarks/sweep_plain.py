"""``python -m benchmarks.sweep_plain LOOP FOLDER``: a sweep of training runs as plain code, without softtargets.

LOOP is "tensors", "loader" (torch's DataLoader) or "lightning" (lightning.Trainer). FOLDER holds plan.json and
data.safetensors, as :mod:`benchmarks.sweep` writes them. Prints the mean test accuracy.
"""

import functools
import json
import logging
import statistics
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

EVALUATION_BATCH = 1024
Split = tuple[Tensor, Tensor]


class Block(nn.Module):
    """A basic block of a residual network with parameter-free shortcuts."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.stride, self.new = (1 if fan_in == fan_out else 2), fan_out - fan_in
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(fan_out)
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(fan_out)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the activations after the block."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(inputs)))))
        shortcut = inputs[:, :, :: self.stride, :: self.stride]
        return F.relu(residual + F.pad(shortcut, (0, 0, 0, 0, 0, self.new)))


class ResNet8(nn.Module):
    """The network of softtargets' specification resnet with depth 8, for grey images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Block(16, 16), Block(16, 32), Block(32, 64))
        self.head = nn.Linear(64, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, 10) logits."""
        return self.head(self.blocks(self.stem(inputs)).mean((2, 3)))


def network(name: str) -> nn.Module:
    """Return the network of a plan: ResNet-8, or an MLP on 64 inputs."""
    if name == "resnet":
        return ResNet8().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )


@functools.cache
def splits(folder: str) -> dict[str, Split]:
    """Read the data once per process, and normalise them by the training split's mean and deviation."""
    data = load_file(Path(folder, "data.safetensors"))
    train = data["train.inputs"].float() / 255
    mean, std = train.mean(), train.std(correction=0)
    return {
        split: (
            ((data[f"{split}.inputs"].float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last),
            data[f"{split}.labels"],
        )
        for split in ("train", "validation", "test")
    }


def loss_of(plan: dict[str, Any], model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of one batch, in the plan's precision."""
    with torch.autocast("cpu", torch.bfloat16, enabled=plan["precision"] == "bfloat16"):
        logits = model(inputs)
    return F.cross_entropy(logits.float(), labels, label_smoothing=plan["smoothing"])


@torch.no_grad()
def evaluate(plan: dict[str, Any], model: nn.Module, batches: Any) -> tuple[float, float]:
    """Return accuracy and NLL over batches."""
    model.eval()
    right, total, count = 0, 0.0, 0
    for inputs, labels in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=plan["precision"] == "bfloat16"):
            logits = model(inputs).float()
        right += int((logits.argmax(1) == labels).sum())
        total += float(F.cross_entropy(logits, labels, reduction="sum"))
        count += len(labels)
    return right / count, total / count


def batches_of(split: Split) -> list[Split]:
    """Return the batches of a split for its evaluation."""
    return list(zip(split[0].split(EVALUATION_BATCH), split[1].split(EVALUATION_BATCH), strict=True))


def optimizer_of(plan: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """Return the plan's optimiser."""
    return torch.optim.SGD(model.parameters(), lr=plan["learning_rate"], momentum=0.9)


def tensors(plan: dict[str, Any], data: dict[str, Split]) -> float:
    """Train one network by indexing tensors; return its test accuracy."""
    model = network(plan["model"])
    optimizer = optimizer_of(plan, model)
    inputs, labels = data["train"]
    for _ in range(plan["epochs"]):
        model.train()
        for ids in torch.randperm(len(labels)).split(plan["batch_size"]):
            loss = loss_of(plan, model, inputs[ids], labels[ids])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        evaluate(plan, model, batches_of(data["validation"]))
    return evaluate(plan, model, batches_of(data["test"]))[0]


def loaders(plan: dict[str, Any], data: dict[str, Split]) -> dict[str, DataLoader[Any]]:
    """Return a loader per split, with torch's defaults."""
    train = DataLoader(TensorDataset(*data["train"]), batch_size=plan["batch_size"], shuffle=True)
    held_out = {name: DataLoader(TensorDataset(*data[name]), EVALUATION_BATCH) for name in ("validation", "test")}
    return {"train": train, **held_out}


def loader(plan: dict[str, Any], data: dict[str, Split]) -> float:
    """Train one network with DataLoaders; return its test accuracy."""
    model, batches = network(plan["model"]), loaders(plan, data)
    optimizer = optimizer_of(plan, model)
    for _ in range(plan["epochs"]):
        model.train()
        for inputs, labels in batches["train"]:
            loss = loss_of(plan, model, inputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        evaluate(plan, model, batches["validation"])
    return evaluate(plan, model, batches["test"])[0]


def lightning(plan: dict[str, Any], data: dict[str, Split]) -> float:
    """Train one network with lightning.Trainer, without its logs, checkpoints and bars; return its test accuracy."""
    warnings.simplefilter("ignore")  # advice on the number of loader processes
    logging.getLogger("lightning").setLevel(logging.ERROR)
    import lightning as L  # pyright: ignore[reportMissingImports]

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network(plan["model"])

        def training_step(self, batch: Split, index: int) -> Tensor:
            return F.cross_entropy(self.model(batch[0]).float(), batch[1], label_smoothing=plan["smoothing"])

        def validation_step(self, batch: Split, index: int) -> None:
            logits = self.model(batch[0]).float()
            self.log("accuracy", (logits.argmax(1) == batch[1]).float().mean())
            self.log("nll", F.cross_entropy(logits, batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer_of(plan, self.model)

    module, batches = Module(), loaders(plan, data)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=plan["epochs"],
        precision="bf16-mixed" if plan["precision"] == "bfloat16" else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, batches["train"], batches["validation"])
    return evaluate(plan, module.model, batches["test"])[0]


LOOPS = {"tensors": tensors, "loader": loader, "lightning": lightning}


def train(name: str, folder: str, seed: int) -> float:
    """Train one run of the plan in this process; return its test accuracy."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    plan = json.loads(Path(folder, "plan.json").read_text(encoding="utf-8"))
    return LOOPS[name](plan, splits(folder))


def main(name: str, folder: str) -> int:
    """Train all runs of the plan, several at a time."""
    plan = json.loads(Path(folder, "plan.json").read_text(encoding="utf-8"))
    with ProcessPoolExecutor(plan["workers"], mp_context=get_context("spawn")) as pool:
        accuracies = list(pool.map(partial(train, name, folder), range(plan["runs"])))
    print(statistics.mean(accuracies))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
