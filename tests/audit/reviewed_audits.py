"""Small audits for the tests of reviews: texts, a table or images with predictions that were given."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from softtargets.audit import AuditOptions, audit_labels

CLASSES = ("=sum", "fruit", "tool")  # in the order of their names
SIZE = 240
# Every 12th label is wrong; of the predictions, two in a hundred contradict a right label.
WRONG = np.arange(SIZE) % 12 == 5


def truth() -> np.ndarray:
    """Return the right classes."""
    return np.arange(SIZE) % 3


def labels() -> np.ndarray:
    """Return the labels that are audited."""
    return np.where(WRONG, (truth() + 1) % 3, truth())


def write_predictions(path: Path) -> None:
    """Write probabilities that are sure of the right class, and of another one in a few rows."""
    sure = np.where(np.arange(SIZE) % 50 == 7, (truth() + 2) % 3, truth())
    strength = 0.8 + 0.15 * np.random.default_rng(0).random(SIZE)
    other = ((1 - strength) / 2)[:, None]
    probs = np.where(np.arange(3) == sure[:, None], strength[:, None], other)
    np.savez(path, probs=probs.astype(np.float32), labels=labels())


def audit_texts(folder: Path, *, reviewed: Path | None = None, output: str = "audited") -> Path:
    """Audit texts, one of them hostile, and return the folder of the audit."""
    with (folder / "texts.csv").open("w", newline="") as file:
        lines = [(f"=text <b>{row}</b>", CLASSES[label]) for row, label in enumerate(labels())]
        csv.writer(file).writerows([("text", "label"), *lines])
    return _audited(folder / "texts.csv", folder, reviewed, output)


def audit_table(folder: Path) -> Path:
    """Audit a table, and return the folder of the audit."""
    with (folder / "table.csv").open("w", newline="") as file:
        lines = [(row / 2, -row, CLASSES[label]) for row, label in enumerate(labels())]
        csv.writer(file).writerows([("=width", "row", "label"), *lines])
    return _audited(folder / "table.csv", folder, None, "audited")


def audit_images(folder: Path) -> Path:
    """Audit images that are files, and return the folder of the audit."""
    for row, label in enumerate(labels()):
        path = folder / "images" / "train" / CLASSES[label] / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 6, 3), row, dtype=np.uint8)).save(path)
    return _audited(folder / "images", folder, None, "audited")


def _audited(data: Path, folder: Path, reviewed: Path | None, output: str) -> Path:
    write_predictions(folder / "held.npz")
    options = AuditOptions(reviewed=reviewed, runs=folder / "runs")
    predictions = [folder / "held.npz"]
    if data.name == "images":
        _sort_as_images(folder / "held.npz", data)
    page = audit_labels(data=data, predictions=predictions, output=folder / output, options=options).page
    assert page is not None
    return page.parent


def _sort_as_images(path: Path, images: Path) -> None:
    """Write the predictions in the order of the paths of the images."""
    order = [int(file.stem) for file in sorted(images.rglob("*.png"))]
    content = np.load(path)
    np.savez(path, probs=content["probs"][order], labels=content["labels"][order])
