"""Limits on what is read into memory: each is refused with its size before the memory is used."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from softtargets._errors import InputError
from softtargets.data import DataSpec, load, open_predictions, read_predictions
from softtargets.data import limits as data_limits
from softtargets.data.predictions import RowBuffer, spill


def refused_data(match: str, path: Path | str, **values: object) -> None:
    with pytest.raises(InputError, match=match):
        load(DataSpec.parse({"name": path, **values}))


def refused_predictions(match: str, path: Path) -> None:
    with pytest.raises(InputError, match=match):
        read_predictions([path])


def bomb(path: Path, shape: tuple[int, ...], *, columns_first: bool = False) -> Path:
    """Write the header of a compressed array of zeros, and claim that all its bytes follow."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("logits.npy", "w") as stream:
        header = {"descr": "<f4", "fortran_order": columns_first, "shape": shape}
        np.lib.format.write_array_header_2_0(stream, header)  # pyright: ignore[reportArgumentType]
        left = 4 * int(np.prod(shape))
        while left:
            left -= stream.write(bytes(min(left, 2**24)))
    return path


def test_a_compressed_array_in_column_major_order_above_the_limit(tmp_path: Path, monkeypatch) -> None:
    path = bomb(tmp_path / "p.npz", (1000, 100), columns_first=True)
    assert len(read_predictions([path])) == 1000
    monkeypatch.setattr("softtargets.data.arrays.binary.MAX_WHOLE_BYTES", 2**18)
    text = r"at most 256.0 KiB of a compressed array in column-major order; got 390.6 KiB as 'logits' in .*p.npz; save"
    refused_predictions(text, path)
    assert len(read_predictions([bomb(tmp_path / "q.npz", (1000, 100))])) == 1000


def test_a_row_of_absurd_width(tmp_path: Path) -> None:
    path = bomb(tmp_path / "p.npz", (1, 1_000_001))
    refused_predictions(r"at most 1,000,000 values in a row; got 1,000,001 in each row of 'logits'", path)


def test_a_header_of_absurd_length(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("logits.npy", b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + bytes(100))
    with pytest.raises(InputError, match=r"a header of 2.0 GiB; the limit is 9.8 KiB"):
        open_predictions([tmp_path / "p.npz"])


def test_more_rows_than_can_be_held(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(data_limits, "MAX_ROWS", 10)
    rows = np.arange(11) % 2
    pq.write_table(pa.table({"x": rows, "label": rows, "logits_0": rows, "logits_1": rows}), tmp_path / "p.parquet")
    (tmp_path / "p.csv").write_text("x,label\n" + "0,0\n1,1\n" * 6)
    refused_data("at most 10 rows; got 11 in p.parquet", tmp_path / "p.parquet")
    refused_data("at most 10 rows; got 12 in p.csv", tmp_path / "p.csv")
    refused_predictions(r"at most 10 rows; got 11 in '.*p.parquet'", tmp_path / "p.parquet")
    assert open_predictions([tmp_path / "p.parquet"]).num_rows == 11


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (np.arange(1000.0), r"features: data of at most 4.0 KiB in memory.*; got 7.8 KiB for 1,000 rows of 1 columns"),
        (["a word"] * 1000, r"text: data of at most 4.0 KiB in memory.*; got 3.9 MiB for 1,000 rows of 4,096 word"),
        (["word " * 1000] * 1000, r"name: files of at most 2.0 KiB once decompressed.*; got more in p.parquet"),
    ],
    ids=["numbers", "word counts", "texts"],
)
def test_more_data_than_fits_into_memory(tmp_path: Path, monkeypatch, column, match) -> None:
    pq.write_table(pa.table({"x": column, "label": np.arange(1000) % 2}), tmp_path / "p.parquet")
    monkeypatch.setattr(data_limits, "data_bytes", lambda: 4096)
    if "files" not in match:
        monkeypatch.setattr("softtargets.data._tables.check_raw_bytes", lambda *given: None)
    refused_data(match, tmp_path / "p.parquet")


def test_images_that_do_not_fit_into_memory(tmp_path: Path, monkeypatch, write_images, png) -> None:
    path = write_images(tmp_path / "p.parquet", [png(0, (40, 40)), png(9, (40, 40))], [0, 1])
    monkeypatch.setattr(data_limits, "data_bytes", lambda: 3000)
    refused_data(r"image: data of at most 2.9 KiB in memory.*; got 3.1 KiB for 2 images of 40x40", path)


def test_an_image_of_absurd_size_is_not_decoded(tmp_path: Path, monkeypatch, write_images, png) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    path = write_images(tmp_path / "p.parquet", [png(0, (40, 40)), png(9, (40, 40))], [0, 1])
    refused_data("image: an image that can be decoded; got p.parquet, row 0: .*decompression bomb", path)


def test_a_line_of_absurd_length(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("softtargets.data._tables.MAX_LINE_BYTES", 1000)
    with (tmp_path / "p.csv").open("wb") as file:
        file.truncate(10_000)
    refused_data("a line of more than", tmp_path / "p.csv")
    refused_predictions("a line of more than", tmp_path / "p.csv")


def test_a_csv_file_larger_than_memory_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "p.csv").open("wb") as file:
        file.truncate(2**43)
    refused_data(r"name: a regular file; got '.*p.csv', a file of 8.0 TiB; the limit is", tmp_path / "p.csv")


def test_what_is_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.csv")
    refused_data("name: a file or a folder; got '.*p.csv', a pipe", tmp_path / "p.csv")
    refused_data("name: a file or a folder; got '/dev/zero', a device", "/dev/zero")
    refused_predictions("an existing file; got '.*p.csv', a pipe", tmp_path / "p.csv")
    (tmp_path / "set" / "a").mkdir(parents=True)
    os.mkfifo(tmp_path / "set" / "a" / "x.png")
    refused_data("name: a regular file; got '.*x.png', a pipe", tmp_path / "set")


def test_a_name_that_is_not_text_and_a_path_that_is_too_long(tmp_path: Path) -> None:
    refused_data(r"name: a path .*too long", "a/" * 3000)
    with pytest.raises(InputError, match=r"predictions: a path .*too long"):
        open_predictions([Path("a" * 5000)])
    folder = tmp_path / os.fsdecode(b"\xff")
    (folder / "a").mkdir(parents=True)
    refused_data(r"name: text in Unicode", str(folder))
    refused_data(r"name: file names in UTF-8; got b'\\xff'; rename", tmp_path)


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch, write_csv) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_csv(tmp_path / "set.csv", [0, 1] * 10)
    assert load(DataSpec(name="~/set.csv")).num_classes == 2


@pytest.mark.parametrize(
    "dtypes", [("float32",) * 3, ("float16", "float32", "float16"), ("float32", "float64", "float16")]
)
def test_rows_above_the_limit_are_mapped_and_equal(monkeypatch, dtypes) -> None:
    blocks = [
        torch.randn(50, 3, generator=torch.Generator().manual_seed(i)).to(getattr(torch, d))
        for i, d in enumerate(dtypes)
    ]
    monkeypatch.setattr(spill, "MAX_WHOLE_BYTES", 100)
    buffer = RowBuffer()
    for block in blocks:
        buffer.add(block)
    whole = buffer.whole()
    assert whole.tolist() == torch.cat([block.double() for block in blocks]).tolist()
    assert whole.dtype == (torch.float64 if "float64" in dtypes else torch.float32)


def test_a_temporary_folder_without_room_is_said(monkeypatch) -> None:
    monkeypatch.setattr(spill, "MAX_WHOLE_BYTES", 100)
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 2**30})())
    with pytest.raises(InputError, match="set TMPDIR to a folder with more room"):
        RowBuffer().add(torch.zeros(100, 3))
