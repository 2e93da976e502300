"""Small hand-made data sets, and the reader's caches in a folder of the test."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import datasets.config
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("hub")
    for name in ("HF_CACHE_HOME", "HF_DATASETS_CACHE", "HF_MODULES_CACHE"):
        monkeypatch.setattr(datasets.config, name, home)


@pytest.fixture
def png() -> Callable[..., bytes]:
    """Encode a picture whose pixels all have one value: a number for grey, three for RGB."""

    def encode(
        value: int | tuple[int, int, int] = 0,
        size: tuple[int, int] = (2, 3),
        mode: str | None = None,
        kind: str = "PNG",
    ) -> bytes:
        array = np.broadcast_to(np.asarray(value, dtype=np.uint8), (*size, *np.shape(value)))
        image = Image.fromarray(np.ascontiguousarray(array))
        stream = io.BytesIO()
        (image.convert(mode) if mode else image).save(stream, kind)
        return stream.getvalue()

    return encode


@pytest.fixture
def write_images() -> Callable[..., Path]:
    """Write a Parquet file in the hub's schema of images."""

    def write(
        path: Path, images: Sequence[bytes | None], labels: Sequence[object], names: list[str] | None = None
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        cells = pa.array([None if data is None else {"bytes": data, "path": None} for data in images], struct)
        table = pa.table({"image": cells, "label": pa.array(labels)})
        if names is not None:
            features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
            table = table.replace_schema_metadata(features.arrow_schema.metadata)
        pq.write_table(table, path)
        return path

    return write


@pytest.fixture
def write_csv() -> Callable[..., Path]:
    """Write a CSV file with columns x, y and label, its labels as given."""

    def write(path: Path, labels: Sequence[object], header: str = "x,y,label") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{row},{row / 2},{label}" for row, label in enumerate(labels)]
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write
