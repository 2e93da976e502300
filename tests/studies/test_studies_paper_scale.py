"""Paper scale on small folders in the layouts of the papers' data: read, planned, trained and reported."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softtargets.runs.store import RunStore
from softtargets.studies.catalog import find
from softtargets.studies.job import run
from softtargets.studies.page import files
from softtargets.studies.plan import make_plan
from softtargets.studies.request import StudyRequest

CLASSES, TRAIN, HELD_OUT = ("a", "b", "c"), 8, 2
WIDTHS = {34: 3, 50: 5, 101: 6}
# The same specification with a small network, small images and one epoch.
SMALLER = (
    (r"size = (224|299), resize = \d+", "size = 32, resize = 36, workers = 0"),
    (r"test_size = 288, resize = 320", "test_size = 36, resize = 36"),
    (r"epochs = \d+", "epochs = 1"),
    (r"batch_size = \d+", "batch_size = 8"),
    (r"accumulate = \d+", "accumulate = 2"),
    (r'(name = "resnet_v2"), depth = 50, width = 64, stem = "large"', r"\1, depth = 18, width = 4"),
    (
        r"seeds = 2\nlevels = \{ imagenet = \[0.0, 0.1, 0.2, 0.4, 0.6\], imagenet_smoothed = \[0.1, 0.2, 0.4, 0.6\] \}",
        "seeds = 2\nlevels = { imagenet = [0.0, 0.2], imagenet_smoothed = [0.2] }",
    ),
    (r'name = "transformers", pretrained = "[\w/-]+"', 'name = "imagenet_resnet", depth = 18, width = 4'),
    # deeper networks become wider ones
    *((rf'pretrained = "microsoft/resnet-{depth}"', f"width = {width}") for depth, width in WIDTHS.items()),
    *((rf"model = \{{ depth = {depth} \}}", f"model = {{ width = {width} }}") for depth, width in WIDTHS.items()),
    (r'name = "timm", architecture = "\w+"', 'name = "imagenet_resnet", depth = 18, width = 4'),
    (r'(name = "(?:imagenet_resnet|binary_resnet)", depth = 18), stem = "large"', r"\1, width = 4"),
    (r"seeds = 3\n", "seeds = 2\n"),
)


def _images() -> list[tuple[str, str, int, bytes]]:
    """Return the images of a small data set: split, name, class and content, of several sizes."""
    draw = np.random.default_rng(0)
    made = []
    for split, count in (("train", TRAIN), ("val", HELD_OUT)):
        for label in range(len(CLASSES)):
            for i in range(count):
                pixels = draw.integers(0, 256, (40 + i, 50 - i, 3), dtype=np.uint8)
                stream = io.BytesIO()
                Image.fromarray(pixels).save(stream, "PNG")
                made.append((split, f"{split}_{label}_{i}", label, stream.getvalue()))
    return made


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def imagenet(folder: Path) -> None:
    for split, name, label, content in _images():
        _put(folder / split / f"n0{label}" / f"{name}.png", content)


def lists(folder: Path) -> None:
    lines: dict[str, list[str]] = {}
    for split, name, label, content in _images():
        _put(folder / "pictures" / f"{name}.png", content)
        lines.setdefault(split, []).append(f"pictures/{name}.png {label}\n")
    for split, text in lines.items():
        (folder / f"{split}.txt").write_text("".join(text))


def cub(folder: Path) -> None:
    columns: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    for number, (split, name, label, content) in enumerate(_images(), 1):
        _put(folder / "images" / f"00{label + 1}.{CLASSES[label]}" / f"{name}.png", content)
        columns["images"].append(f"{number} 00{label + 1}.{CLASSES[label]}/{name}.png\n")
        columns["image_class_labels"].append(f"{number} {label + 1}\n")
        columns["train_test_split"].append(f"{number} {int(split == 'train')}\n")
    for name, text in columns.items():
        (folder / f"{name}.txt").write_text("".join(text))


def inaturalist(folder: Path) -> None:
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASSES)]
    found: dict[str, list[tuple[int, str, int]]] = {}
    for number, (split, name, label, content) in enumerate(_images()):
        _put(folder / "pictures" / f"{name}.png", content)
        found.setdefault(split, []).append((number, f"pictures/{name}.png", label))
    for split, rows in found.items():
        content = {
            "categories": categories,
            "images": [{"id": number, "file_name": path} for number, path, _ in rows],
            "annotations": [{"id": number, "image_id": number, "category_id": label} for number, _, label in rows],
        }
        (folder / f"{split}2019.json").write_text(json.dumps(content))


def imaterialist(folder: Path) -> None:
    found: dict[str, list[dict[str, int]]] = {}
    for number, (split, _, label, content) in enumerate(_images()):
        _put(folder / split / f"{number}.png", content)
        found.setdefault(split, []).append({"id": number, "class": label})
    for split, rows in found.items():
        (folder / f"{split}.json").write_text(json.dumps({"images": rows}))


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "ILSVRC/imagenet-1k": imagenet,
    "CUB_200_2011": cub,
    "imagenet-lt": lists,
    "places-lt": lists,
    "inaturalist-2019": inaturalist,
    "imaterialist-product-2019": imaterialist,
}


def _request(tmp_path: Path, study: str, output: str, *names: str) -> StudyRequest:
    """Return the request of an output of a study at paper scale, made smaller, on small data sets."""
    places: dict[str, str] = {}
    for name in names:
        folder = tmp_path / "data" / name.replace("/", "-")
        folder.mkdir(parents=True)
        LAYOUTS[name](folder)
        places[name] = str(folder)
    copy = tmp_path / "study"
    shutil.copytree(find(study), copy)
    for path in copy.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        for pattern, smaller in SMALLER:
            text = re.sub(pattern, smaller, text)
        path.write_text(text, encoding="utf-8")
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    return StudyRequest(str(copy), output, scale="paper", places=places, runs=runs, reports=reports)


@pytest.mark.parametrize(
    ("study", "output", "names"),
    [
        ("shen2021", "table7", ("ILSVRC/imagenet-1k", "CUB_200_2011")),
        ("shen2021", "table8", ("ILSVRC/imagenet-1k",)),
        ("shen2021", "figure8-fixres", ("ILSVRC/imagenet-1k",)),
        ("shen2021", "table3", ("imagenet-lt", "places-lt", "inaturalist-2019")),
        ("mueller2019", "table2-imagenet", ("ILSVRC/imagenet-1k",)),
        ("lukasik2020", "table2", ("ILSVRC/imagenet-1k",)),
    ],
)
def test_all_runs_of_an_output_are_planned_on_a_folder_in_the_layout_of_its_data(
    tmp_path, study, output, names
) -> None:
    request = _request(tmp_path, study, output, *names)
    plan = make_plan(request, RunStore(request.runs))
    assert len({data.name for data in plan.data}) == len(names)
    for data in plan.data:
        assert (data.num_classes, data.sizes["test"]) == (3, 3 * HELD_OUT)
        assert data.sizes["train"] + data.sizes["validation"] == 3 * TRAIN
    assert len(plan.resolved) == len(plan.planned) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "output", "name", "runs"),
    [
        ("shen2021", "figure6-accuracy", "ILSVRC/imagenet-1k", 2 * (2 + 2)),
        ("shen2021", "table6", "inaturalist-2019", 2 * (4 + 8)),
        ("shen2021", "table7-imaterialist", "imaterialist-product-2019", 2 * (4 + 8)),
        ("lukasik2020", "table2", "ILSVRC/imagenet-1k", 2 * 3),
    ],
)
def test_an_output_is_trained_measured_and_reported_from_such_a_folder(
    tmp_path, monkeypatch, study, output, name, runs
) -> None:
    monkeypatch.setattr(files, "draw", lambda *_: None)
    outcome = run(_request(tmp_path, study, output, name), workers=1)
    assert (outcome.trained, outcome.failed) == (runs, 0)
    found = {cell.status for cell in outcome.results.cells}
    assert found == {"complete"}
    assert all("test.accuracy" in cell.metrics for cell in outcome.results.cells)
    assert outcome.page.exists()
