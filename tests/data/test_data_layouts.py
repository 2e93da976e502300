"""Data sets whose images are named in other files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softtargets._errors import InputError
from softtargets.data import Dataset, DataSpec, fingerprint, load


def loaded(path: Path, **values: Any) -> Dataset:
    return load(DataSpec.parse({"name": path, "test": 0, "validation": 0, **values}))


def refused(text: str, path: Path, **values: Any) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        loaded(path, **values)


def values(data: Dataset) -> dict[str, list[tuple[int, str]]]:
    """Return the grey value and the class of every image, by split."""
    return {
        name: [(int(data.inputs[row].flatten()[0]), data.class_names[int(data.labels[row])]) for row in rows.tolist()]
        for name, rows in data.splits.items()
        if len(rows)
    }


@pytest.fixture
def put(tmp_path: Path, png: Callable[..., bytes]) -> Callable[[str, int], None]:
    """Write a grey picture into the test's folder."""

    def write(inner: str, value: int) -> None:
        path = tmp_path / "set" / inner
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value, (4, 4)))

    return write


def test_a_list_of_paths_and_labels(tmp_path: Path, put) -> None:
    for value, name in enumerate(("a.png", "b c.png", "deep/d.png", "e.png")):
        put(name, value)
    listed = tmp_path / "set" / "mine.txt"
    listed.write_text("\ufeffa.png dog\nb c.png cat\n\n./deep/d.png\tdog\n" + f"{tmp_path / 'set' / 'e.png'} cat\n")
    data = loaded(listed)
    assert data.name == "mine"
    assert data.class_names == ("cat", "dog")
    assert values(data) == {"train": [(0, "dog"), (1, "cat"), (2, "dog"), (3, "cat")]}
    listed.write_text("a.png 10\nb c.png 2\ndeep/d.png 02\ne.png 1\n")
    refused("label: at least one training example of every class; got none of class 0 in", listed)
    listed.write_text("a.png 1\nb c.png 0\ndeep/d.png 01\ne.png 1\n")
    assert loaded(listed).labels.tolist() == [1, 0, 1, 1]


def test_lists_that_are_refused(tmp_path: Path, put) -> None:
    put("a.png", 0)
    put("deep/d.png", 0)
    put("b.png", 1)
    listed = tmp_path / "set" / "train.txt"
    for text, message in (
        (
            "a.png 0\nc.png 1\n",
            "name: the path of an image; got 'c.png' in train.txt, line 2, which does not exist; fix",
        ),
        ("a.png 0\nb.png\n", "label: a whole number of at least 0, or a class name; got a missing label in b.png"),
        (
            "a.png 0\nb.png cat\n",
            "class name in every row; got 'cat' in train.txt, line 2 beside 0 in train.txt, line 1",
        ),
        ("a.png 0\nb.png 99999999999\n", "label: whole numbers below 1,000,000; got 99999999999 in train.txt, line 2"),
        ("a.png 0\nb.png 0\n", "at least 2 classes"),
        ("deep 0\nb.png 1\n", "got 'deep' in train.txt, line 1, which is not a file; fix"),
        ("\n", "name: a line 'path label' for each image; got no lines in"),
    ):
        listed.write_text(text)
        refused(message, listed)
        refused(message, tmp_path / "set")
    listed.write_bytes(b"a.png \xff\n")
    refused("name: a list in UTF-8", listed)


def test_lists_named_by_split(tmp_path: Path, put) -> None:
    for value, name in enumerate(("x/a.png", "x/b.png", "y/c.png", "y/d.png", "y/e.png")):
        put(name, value)
    folder = tmp_path / "set"
    # the names of ImageNet-LT and Places-LT
    (folder / "Places_LT_train.txt").write_text("x/a.png 0\ny/c.png 1\n")
    (folder / "Places_LT_val.txt").write_text("x/b.png 0\n")
    (folder / "Places_LT_test.txt").write_text("y/d.png 1\ny/e.png 1\n")
    (folder / "README.txt").write_text("about it")
    data = loaded(folder)
    assert values(data) == {
        "train": [(0, "0"), (2, "1")],
        "validation": [(1, "0")],
        "test": [(3, "1"), (4, "1")],
    }
    assert data.name == "set"
    tested = loaded(folder, validation_as_test=True)
    assert values(tested) == {"train": [(0, "0"), (2, "1")], "test": [(1, "0")]}
    (folder / "train.txt").write_text("x/a.png 0\n")
    refused("name: one list for the train split; got Places_LT_train.txt and train.txt", folder)


def test_the_fingerprint_covers_the_images_and_what_a_list_says(tmp_path: Path, put) -> None:
    put("a.png", 0)
    put("b.png", 1)
    listed = tmp_path / "set" / "train.txt"

    def told(text: str) -> str:
        listed.write_text(text)
        return fingerprint(DataSpec(name=str(listed)))

    first = told("a.png 0\nb.png 1\n")
    assert told("a.png\t0\nb.png   1\n") == first
    assert told("a.png 1\nb.png 0\n") != first
    put("a.png", 7)
    assert told("a.png 0\nb.png 1\n") != first


def test_a_table_with_a_column_of_paths(tmp_path: Path, put) -> None:
    for value in range(4):
        put(f"pictures/{value}.png", value)
    path = tmp_path / "set" / "train.csv"
    path.write_text("file,kind,size\n" + "".join(f"pictures/{v}.png,{'ab'[v % 2]},9\n" for v in range(4)))
    data = loaded(path, image="file", label="kind")
    assert values(data) == {"train": [(0, "a"), (1, "b"), (2, "a"), (3, "b")]}
    assert loaded(tmp_path / "set", image="file", label="kind").labels.tolist() == [0, 1, 0, 1]
    path.write_text("file,kind\npictures/0.png,a\npictures/9.png,b\n")
    refused("got 'pictures/9.png' in train.csv, row 1, which does not exist", path, image="file", label="kind")
    refused("label: one of the columns of train.csv: file, kind; got 'knd'", path, image="file", label="knd")


def test_imagenet(tmp_path: Path, put) -> None:
    for split, counts in (("train", (3, 2)), ("val", (1, 1))):
        for name, count in zip(("n01440764", "n01443537"), counts, strict=True):
            for index in range(count):
                put(f"{split}/{name}/{name}_{split}_{index}.JPEG", index)
    data = loaded(tmp_path / "set", validation_as_test=True)
    assert data.class_names == ("n01440764", "n01443537")
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 5, "validation": 0, "test": 2}
    held_out = loaded(tmp_path / "set", validation_as_test=True, validation=0.4)
    assert {name: len(rows) for name, rows in held_out.splits.items()} == {"train": 3, "validation": 2, "test": 2}
    only = tmp_path / "set" / "train"
    refused("validation_as_test: left out for a data set without a validation split", only, validation_as_test=True)


@pytest.fixture
def cub(tmp_path: Path, put) -> Path:
    folder = tmp_path / "set"
    images = ["001.Black_Albatross/A_1.png", "001.Black_Albatross/A_2.png", "002.Auk/B_1.png", "002.Auk/B_2.png"]
    for value, name in enumerate(images):
        put(f"images/{name}", value)
    numbered = list(enumerate(images, 1))
    (folder / "images.txt").write_text("".join(f"{number} {name}\n" for number, name in numbered))
    (folder / "image_class_labels.txt").write_text("1 1\n2 1\n3 2\n4 2\n")
    (folder / "train_test_split.txt").write_text("1 1\n2 0\n3 0\n4 1\n")
    (folder / "classes.txt").write_text("1 001.Black_Albatross\n2 002.Auk\n")
    (folder / "bounding_boxes.txt").write_text("1 60.0 27.0 325.0 304.0\n")
    return folder


def test_cub_200(cub: Path) -> None:
    data = loaded(cub)
    assert data.class_names == ("001.Black_Albatross", "002.Auk")
    assert values(data) == {
        "train": [(0, "001.Black_Albatross"), (3, "002.Auk")],
        "test": [(1, "001.Black_Albatross"), (2, "002.Auk")],
    }
    (cub / "classes.txt").unlink()
    assert loaded(cub).class_names == ("1", "2")


def test_cub_200_that_is_not_whole(cub: Path) -> None:
    (cub / "train_test_split.txt").write_text("1 1\n2 0\n3 0\n")
    refused("name: a line for each image in train_test_split.txt; got none for image 4; add it", cub)
    (cub / "image_class_labels.txt").write_text("1 1\n2\n3 2\n4 2\n")
    refused("name: a number and a value in every line of image_class_labels.txt; got '2' in line 2", cub)


def test_inaturalist(tmp_path: Path, put) -> None:
    folder = tmp_path / "set"
    categories = [{"id": 1, "name": "Bee", "supercategory": "Insecta"}, {"id": 0, "name": "Ant"}]

    def write(split: str, images: dict[int, tuple[str, int | None]]) -> None:
        content: dict[str, Any] = {
            "info": {"year": 2019},
            "images": [{"id": number, "file_name": name, "width": 4} for number, (name, _) in images.items()],
        }
        labels = {number: label for number, (_, label) in images.items() if label is not None}
        if labels:
            content["categories"] = categories
            content["annotations"] = [
                {"id": number, "image_id": number, "category_id": label} for number, label in labels.items()
            ]
        (folder / f"{split}2019.json").write_text(json.dumps(content))

    for value in range(5):
        put(f"train_val2019/Insects/{value}.png", value)
    write("train", {7: ("train_val2019/Insects/0.png", 1), 9: ("train_val2019/Insects/1.png", 0)})
    write("val", {2: ("train_val2019/Insects/2.png", 1)})
    put("test2019/4.png", 4)
    write("test", {1: ("test2019/4.png", None)})
    (folder / "categories.json").write_text("[]")
    data = loaded(folder)
    assert data.class_names == ("Ant", "Bee")
    assert values(data) == {"train": [(0, "Bee"), (1, "Ant")], "validation": [(2, "Bee")]}
    write("val", {2: ("train_val2019/Insects/2.png", 5)})
    refused("label: a class that is named; got '5' in val2019.json, image 0", folder)
    (folder / "val2019.json").write_text("{")
    refused("name: a JSON file with images", folder)
    (folder / "val2019.json").write_text('{"images": [{"name": "x"}]}')
    refused("name: images and annotations with their keys; got val2019.json", folder)


def test_imaterialist(tmp_path: Path, put) -> None:
    folder = tmp_path / "set"
    for value in range(3):
        put(f"train/{value + 10}.png", value)
    put("val/4.png", 9)
    images = [{"id": 10, "class": 1, "url": ""}, {"id": 11, "class": 0, "url": ""}, {"id": 12, "class": 1, "url": ""}]
    (folder / "train.json").write_text(json.dumps({"images": images}))
    (folder / "val.json").write_text(json.dumps({"images": [{"id": 4, "class": 0}]}))
    data = loaded(folder)
    assert values(data) == {"train": [(0, "1"), (1, "0"), (2, "1")], "validation": [(9, "0")]}
    (folder / "train" / "11.png").unlink()
    refused("got 'train/11.jpg' in train.json, image 1, which does not exist", folder)


def test_linked_folders_of_classes_are_followed(tmp_path: Path, put) -> None:
    for value, name in enumerate(("cat/a.png", "dog/b.png", "owl/c.png")):
        put(name, value)
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for name in ("cat", "owl"):
        (chosen / name).symlink_to(tmp_path / "set" / name)
    assert values(loaded(chosen)) == {"train": [(0, "cat"), (2, "owl")]}
