"""Small trained runs on every kind of inputs, for tests of what is done with a run after training."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from softtargets.train import LoadedRun, load_run, train_run

KINDS = ("images", "resized images", "a table", "texts", "tokens")
_WORDS = {"weather": "rain snow sun cloud wind storm", "food": "bread milk rice soup apple cheese"}


def run_on(kind: str, folder: Path) -> LoadedRun:
    """Train a small run on one of `KINDS`, and load it."""
    folder.mkdir(parents=True, exist_ok=True)
    specification = {"training": {"epochs": 2, "batch_size": 16}, "optimizer": {"learning_rate": 0.05}}
    data, model = _SPECIFICATIONS[kind](folder)
    trained = train_run({**specification, "data": data, "model": model}, runs=folder / "runs")
    assert trained.status == "trained", trained.message
    return load_run(trained.folder)


def inputs_of(run: LoadedRun, split: str = "test") -> Any:
    """Return the rows of a split as a user has them: a tensor, or a list of texts."""
    rows = run.predictions[f"{split}.ids"]
    dataset = run.dataset
    if dataset.texts is not None:
        return [dataset.texts[row] for row in rows.tolist()]
    return dataset.inputs[rows] if isinstance(dataset.inputs, torch.Tensor) else dataset.inputs.batch(rows)


def _images(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    data = {"name": "digits", "limit": {"train": 120, "validation": 60, "test": 60}}
    return data, {"name": "resnet", "depth": 8, "width": 4}


def _resized(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    draw = torch.Generator().manual_seed(0)
    for index in range(90):
        place = folder / "pictures" / ("dark", "light")[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        size = torch.randint(18, 30, (2,), generator=draw).tolist()
        pixels = torch.randint(0, 128, (*size, 3), generator=draw) + 127 * (index % 2)
        Image.fromarray(pixels.to(torch.uint8).numpy()).save(place / f"{index}.png")
    return {"name": str(folder / "pictures"), "size": 12, "stream": False}, {"name": "mlp", "hidden": [8]}


def _table(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    rows = torch.randn(120, 2, generator=torch.Generator().manual_seed(0)).double() * 7 + 1e6
    lines = "".join(f"{a},{b},{'yes' if a > 1e6 else 'no'}\n" for a, b in rows.tolist())
    (folder / "table.csv").write_text("first,second,label\n" + lines)
    return {"name": str(folder / "table.csv")}, {"name": "mlp", "hidden": [8]}


def _texts(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    draw = torch.Generator().manual_seed(0)
    lines = []
    for row in range(120):
        label = sorted(_WORDS)[row % 2]
        words = _WORDS[label].split()
        chosen = torch.randint(len(words), (1 + row % 7,), generator=draw).tolist()
        lines.append(f"{' '.join(words[place] for place in chosen)},{label}\n")
    (folder / "texts.csv").write_text("text,label\n" + "".join(lines))
    return {"name": str(folder / "texts.csv")}, {"name": "mlp", "hidden": []}


def _tokens(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    data, _ = _texts(folder)
    return {**data, "tokenizer": {"name": "bpe", "vocabulary": 300}}, {"name": "embedding_bag", "width": 8}


_SPECIFICATIONS: dict[str, Any] = dict(zip(KINDS, (_images, _resized, _table, _texts, _tokens), strict=True))
