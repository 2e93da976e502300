"""Pictures of the audit benchmark as numbers, and as features of a network."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch


def decode(images: Any, rows: np.ndarray) -> np.ndarray:
    """Return pictures as numbers in [0, 1], (n, height, width) or (n, height, width, 3) float32."""
    from PIL import Image

    found = [np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in images.take(rows).to_pylist()]
    return np.stack(found).astype(np.float32) / 255


def encoded(table: Any, rows: np.ndarray, cache: Path) -> np.ndarray:
    """Return features of a network that was trained on 16,000 other rows with their clean labels, (n, 128)."""
    path = cache / "cifar10-features.npy"
    if path.exists():
        return np.load(path)
    labels = table["label"].to_numpy()
    others = np.random.default_rng(1).permutation(np.setdiff1d(np.arange(len(labels)), rows))[:16_000]
    torch.manual_seed(0)
    network = torch.nn.Sequential(*_stage(3, 32), *_stage(32, 64), *_stage(64, 128), torch.nn.AdaptiveAvgPool2d(1))
    network.append(torch.nn.Flatten())
    head = torch.nn.Linear(128, 10)
    inputs = torch.from_numpy(decode(table["image"], others)).permute(0, 3, 1, 2).sub(0.5).mul(4).contiguous()
    targets = torch.from_numpy(labels[others])
    parameters = [*network.parameters(), *head.parameters()]
    epochs, size = 5, 100
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=epochs * len(others) // size)
    for _ in range(epochs):
        for batch in torch.randperm(len(others)).split(size):
            some = inputs[batch]
            some = some.flip(3) if torch.rand(()) < 0.5 else some
            torch.nn.functional.cross_entropy(head(network(some)), targets[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    network.eval()
    own = torch.from_numpy(decode(table["image"], rows)).permute(0, 3, 1, 2).sub(0.5).mul(4)
    with torch.no_grad():
        features = torch.cat([network(part) for part in own.split(500)]).numpy()
    np.save(path, features)
    return features


def _stage(width: int, wider: int) -> list[torch.nn.Module]:
    convolution = torch.nn.Conv2d(width, wider, 3, padding=1, bias=False)
    return [convolution, torch.nn.BatchNorm2d(wider), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
