"""Where data come from: names, fingerprints, the cache and the hub."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import datasets.config
import huggingface_hub
import pytest
import torch

from softtargets._errors import InputError
from softtargets.data import DataSpec, fingerprint, load, normalization

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
Png = Callable[..., bytes]


def spec(path: Path | str, **values: object) -> DataSpec:
    return DataSpec.model_validate({"name": str(path), "test": 0, "validation": 0, **values})


def refused(text: str, path: Path | str, **values: object) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        load(spec(path, **values))


def test_digits() -> None:
    data = load(DataSpec(name="digits"))
    assert (data.name, data.input_shape, data.num_classes) == ("digits", (1, 8, 8), 10)
    assert (data.inputs.dtype, data.labels.dtype) == (torch.uint8, torch.int64)
    assert data.class_names == tuple("0123456789")
    assert sorted(torch.cat(list(data.splits.values())).tolist()) == list(range(1797))
    # Grey values 0, 1, 8 and 16 of 16.
    assert {0, 16, 128, 255} <= set(data.inputs.unique().tolist())
    assert len(data.inputs.unique()) == 17
    assert fingerprint(DataSpec(name="digits", split_seed=7, test=0.5)) == data.fingerprint
    assert len(data.fingerprint) == 64
    refused("num_classes: 10, the number of digits; got 9; leave it out", "digits", num_classes=9)
    refused("label: one of the columns of digits: image, label; got 'digit'", "digits", label="digit")


def test_names_that_stand_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowers").mkdir()
    refused(
        "name: 'digits', an existing file or folder, or a name 'user/set' on the Hugging Face Hub; got 'digit'; "
        "did you mean 'digits'?",
        "digit",
    )
    refused("got 'flower'; did you mean 'flowers'?", "flower")
    refused(f"did you mean '{tmp_path / 'flowers'}'?", tmp_path / "flower")
    refused(f"did you mean '{tmp_path / 'flowers'}'?", tmp_path / "flower" / "train.csv")
    refused("got 'flowers/train.csv'; give the path of an existing file or folder", "flowers/train.csv")
    refused("name: a folder with train.parquet or train.csv", "flowers")
    refused("with nothing; check the path, or name one file in it", "flowers")
    (tmp_path / "flowers" / "roses.csv").write_text("x,label\n1,0\n")
    refused("'flowers' with roses.csv; check the path, or name one file in it", "flowers")
    (tmp_path / "one.csv").write_text("x,label\n1,0\n")
    refused("got 'nofile.csv'; give the path of an existing file or folder", "nofile.csv")
    refused("got 'ones.csv'; did you mean 'one.csv'?", "ones.csv")
    (tmp_path / "set.json").write_text("[]")
    refused("name: a .parquet or .csv file, or a folder; got 'set.json'; convert it", "set.json")


def test_layouts_of_parquet(tmp_path: Path, png: Png, write_images: Callable[..., Path]) -> None:
    def values(folder: Path) -> dict[str, list[int]]:
        data = load(spec(folder, test=0.5, validation=0.5))
        return {name: data.inputs[rows, 0, 0, 0].tolist() for name, rows in data.splits.items()}

    hub = tmp_path / "hub" / "data"
    for index in range(11):
        write_images(hub / f"train-{index:05d}-of-00011-0a1b.parquet", [png(index)], [index % 2])
    write_images(hub / "valid-00000-of-00001.parquet", [png(20), png(21)], [0, 1])
    write_images(hub / "test.parquet", [png(30)], [0])
    (hub.parent / "README.md").write_text("about it")
    assert values(hub.parent) == {"train": list(range(11)), "validation": [20, 21], "test": [30]}
    (hub / "train-00004-of-00011-0a1b.parquet").unlink()
    refused("name: one train file, or every shard of one set of shards; got train-00000", hub.parent)
    plain = tmp_path / "plain [1]"
    write_images(plain / "train.parquet", [png(index) for index in range(8)], [0, 1] * 4)
    assert {name: len(part) for name, part in values(plain).items()} == {"train": 2, "validation": 2, "test": 4}
    (plain / "train.csv").write_text("x,label\n")
    refused("name: either Parquet or CSV files in one folder; got train.csv, train.parquet; move", plain)


def test_layouts_of_csv(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    write_csv(tmp_path / "Train.CSV", [0, 1, 1])
    write_csv(tmp_path / "dev.csv", [0, 1])
    data = load(spec(tmp_path, validation=0.5))
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 3, "validation": 2, "test": 0}
    write_csv(tmp_path / "val.csv", [0, 1])
    refused("name: one validation file, or every shard", tmp_path)


def test_fingerprint_is_of_the_content(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    first = write_csv(tmp_path / "a" / "one.csv", [0, 1, 0])
    before = fingerprint(spec(first))
    moved = tmp_path / "two.csv"
    shutil.copy(first, moved)
    assert fingerprint(spec(moved, split_seed=5, label="x")) == before
    assert load(spec(moved)).fingerprint == before
    write_csv(first, [0, 1, 1])
    assert fingerprint(spec(first)) != before


def test_fingerprint_of_folders(tmp_path: Path, png: Png) -> None:
    root = tmp_path / "a"
    for name in ("x/1.png", "x/2.png", "y/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(1))
    before = fingerprint(spec(root))
    (root / "notes.txt").write_text("not part of it")
    assert fingerprint(spec(root.rename(tmp_path / "b"))) == before
    (tmp_path / "b" / "x" / "2.png").rename(tmp_path / "b" / "y" / "2.png")
    assert fingerprint(spec(tmp_path / "b")) != before
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "train.csv").write_text("x,label\n1,0\n2,1\n")
    (tables / "test.csv").write_text("x,label\n3,0\n")
    before = fingerprint(spec(tables))
    (tables / "test.csv").rename(tables / "validation.csv")
    assert fingerprint(spec(tables)) != before


def test_an_edited_file_is_read_anew(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    cache = tmp_path / "cache"
    path = write_csv(tmp_path / "set.csv", ["a", "b"])
    assert load(spec(path), cache=cache).class_names == ("a", "b")
    write_csv(path, ["a", "c"])
    assert load(spec(path), cache=cache).class_names == ("a", "c")
    assert load(spec(path)).class_names == ("a", "c")


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    import softtargets.data.sources as sources

    calls, original = [], sources._assembled

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return original(*arguments)

    monkeypatch.setattr(sources, "_assembled", counted)
    return calls


def test_decoded_once(tmp_path: Path, png: Png, write_images: Callable[..., Path], decodings: list[int]) -> None:
    cache = tmp_path / "new" / "cache"
    path = write_images(tmp_path / "set.parquet", [png(1), png(2), png(3), png(4)], [0, 1, 0, 1], ["no", "yes"])
    first = load(spec(path), cache=cache)
    moved = path.rename(tmp_path / "moved.parquet")
    again = load(spec(moved, test=0.5), cache=cache)
    assert len(decodings) == 1
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.labels, again.labels)
    assert (first.class_names, first.fingerprint) == (again.class_names, again.fingerprint)
    assert len(again.splits["test"]) == 2
    load(spec(moved, num_classes=2), cache=cache)
    assert len(decodings) == 2
    assert sorted(file.suffix for file in cache.iterdir()) == [".safetensors"] * 2


def test_a_cache_of_an_older_decoding_is_not_read(
    tmp_path: Path, write_csv: Callable[..., Path], decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = write_csv(tmp_path / "set.csv", [0, 1, 0]), tmp_path / "cache"
    with monkeypatch.context() as older:
        older.setattr("softtargets.data._content._FORMAT", 1)
        load(spec(path), cache=cache)
    assert load(spec(path), cache=cache).inputs.dtype == torch.float64
    assert len(decodings) == 2
    assert load(spec(path), cache=cache).inputs.dtype == torch.float64
    assert len(decodings) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "renamed"])
def test_a_damaged_cache_is_made_anew(
    tmp_path: Path, write_csv: Callable[..., Path], decodings: list[int], damage: str
) -> None:
    path = write_csv(tmp_path / "set.csv", [0, 1, 0])
    expected = load(spec(path), cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    damaged = {
        "cut": whole[:-5],
        "flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
        "empty": b"",
        "text": b"not a cache",
        "renamed": whole.replace(b'"checksum"', b'"chekcsum"'),
    }
    file.write_bytes(damaged[damage])
    before = len(decodings)
    data = load(spec(path), cache=tmp_path / "cache")
    assert len(decodings) == before + 1
    assert torch.equal(data.inputs, expected.inputs)
    load(spec(path), cache=tmp_path / "cache")
    assert len(decodings) == before + 1


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, write_csv: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "set.csv", [0, 1, 0])
    (tmp_path / "file").write_text("in the way")
    assert len(load(spec(path), cache=tmp_path / "file").labels) == 3

    def full(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("softtargets.data._content.save_file", full)
    assert len(load(spec(path), cache=tmp_path / "cache").labels) == 3
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_reader_is_left_as_it_was(
    tmp_path: Path, write_csv: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(tmp_path / "set.csv", [0, 1, 0])
    before = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    load(spec(path))
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    refused("bad.parquet", tmp_path / "bad.parquet")
    assert (datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()) == before
    assert capfd.readouterr() == ("", "")


def test_files_are_read_without_the_network(
    tmp_path: Path,
    write_csv: Callable[..., Path],
    png: Png,
    write_images: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def unreachable(*arguments: object, **options: object) -> None:
        asked.append(arguments)
        raise OSError("no network")

    # The reader's usual entry counts each load on a server, and swallows the errors of doing so.
    monkeypatch.setattr("socket.getaddrinfo", unreachable)
    load(spec(write_csv(tmp_path / "set.csv", [0, 1])))
    load(spec(write_images(tmp_path / "set.parquet", [png(), png()], [0, 1])))
    assert asked == []


def test_the_cache_of_the_reader_is_never_used(tmp_path: Path, write_csv: Callable[..., Path]) -> None:
    load(spec(write_csv(tmp_path / "set.csv", [0, 1])))
    assert list(Path(datasets.config.HF_DATASETS_CACHE).iterdir()) == []


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, png: Png) -> datasets.DatasetDict:
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])})

    def made(values: list[int]) -> datasets.Dataset:
        cells = [{"bytes": png(value), "path": None} for value in values]
        return datasets.Dataset.from_dict({"img": cells, "label": [value % 2 for value in values]}, features)

    found = datasets.DatasetDict({"train": made([0, 1, 2, 3]), "dev": made([4, 5]), "unsupervised": made([6])})
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, name, timeout: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: found)
    return found


def test_a_set_of_the_hub(hub: datasets.DatasetDict, tmp_path: Path, decodings: list[int]) -> None:
    data = load(spec("user/insects"), cache=tmp_path)
    assert (data.name, data.class_names, data.input_shape) == ("user/insects", ("ant", "bee"), (1, 2, 3))
    assert data.inputs[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert data.splits["validation"].tolist() == [4, 5]
    assert fingerprint(spec("user/insects"), cache=tmp_path) == data.fingerprint
    assert len(decodings) == 1
    assert fingerprint(spec("other/name")) == data.fingerprint
    hub["train"] = hub["train"].select([1, 0, 3, 2]).flatten_indices()
    assert fingerprint(spec("user/insects"), cache=tmp_path) != data.fingerprint


def test_a_set_of_the_hub_that_is_not_fit(hub: datasets.DatasetDict) -> None:
    assert load(spec("user/insects", image="image")).is_image, "the only column of images"
    hub["dev"] = hub["dev"].remove_columns("img")
    refused("image: one of the columns of user/insects (validation): label; got 'img'", "user/insects")
    del hub["train"]
    refused("name: a data set with a train split; got dev, unsupervised in user/insects", "user/insects")


def test_the_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(self: object, name: str, timeout: float) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "sets").mkdir()
    switches = (datasets.config, huggingface_hub.constants)
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    refused(
        "got 'nobody/nothing', which is not downloaded, and the Hub cannot be reached (ConnectionError); "
        "check the spelling, or give the path of a file or folder; for a study: --at nobody/nothing=PATH",
        "nobody/nothing",
    )
    refused("did you mean the path 'user/sets'?", "user/set")
    for file in ("float.csv", "uoft-cs.csv"):
        (tmp_path / file).write_text("x,label\n1,0\n")
    refused("cannot be reached (ConnectionError); check the spelling", "uoft-cs/cifar100")
    assert [switch.HF_HUB_OFFLINE for switch in switches] == before


def test_a_name_the_hub_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(self: object, name: str, timeout: float) -> None:
        raise huggingface_hub.errors.HFValidationError("no such name")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unknown)
    refused("got 'nobody/nothing', which does not exist on the Hub or is private; check the spelling", "nobody/nothing")


@pytest.mark.parametrize(("name", "shape", "mean"), [("mnist", (1, 28, 28), 0.1325), ("cifar10", (3, 32, 32), 0.4942)])
def test_real_files(name: str, shape: tuple[int, ...], mean: float) -> None:
    path = SHARED / name / "test.parquet"
    if not path.is_file():
        pytest.skip(f"needs {name}/test.parquet in ../shared/data beside the repository")
    data = load(DataSpec(name=str(path), limit={"train": 1000}))  # pyright: ignore[reportArgumentType]
    assert (data.input_shape, data.num_classes, len(data.inputs)) == (shape, 10, 10_000)
    assert {part: len(rows) for part, rows in data.splits.items()} == {"train": 1000, "validation": 1600, "test": 2000}
    shares = data.labels[data.splits["train"]].bincount() / 1000 - data.labels.bincount() / 10_000
    assert float(shares.abs().max()) <= 1e-3
    assert float(normalization(data)[0][0]) == pytest.approx(mean, abs=0.02)
