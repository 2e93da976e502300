"""Writing predictions, in blocks of rows, to the files that :func:`open_predictions` reads."""

import json
import shutil
import struct
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import user_path
from softtargets.data.predictions.whole import WholeFile
from softtargets.metrics.arguments import Kind

# Classes of which each has a column of its own; of more a row has one list.
_MOST_COLUMNS = 1000
# Numbers of a row group of a Parquet file.
_GROUP_NUMBERS = 2**22
# The types of the arrays in a .safetensors file.
_TYPES = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}


class PredictionWriter(WholeFile):
    """Writes the predictions of a model, in blocks of rows, to a file that is complete or absent.

    Memory does not grow with the number of rows.
    Use it in a ``with`` statement; an exception in it leaves an existing file as it was.

    Args:
        path: of the file.
        kind: whether the values are logits or probabilities.
        class_names: K names, in the order of the values.
        labelled: whether every block has labels.

    Example:
        >>> import tempfile, torch
        >>> from softtargets.data import open_predictions
        >>> path = Path(tempfile.mkdtemp()) / "p.csv"
        >>> with open_writer(path, "logits", ["cat", "dog"], labelled=True) as writer:
        ...     writer.add(torch.tensor([[2.0, 1.0]]), torch.tensor([1]))
        >>> print(path.read_text().strip())
        "ids","predicted","confidence","labels","logits_cat","logits_dog"
        0,"cat",0.7310586,1,2,1
        >>> open_predictions([path]).class_names
        ('cat', 'dog')
    """

    def __init__(self, path: Path, kind: Kind, class_names: Sequence[str], *, labelled: bool) -> None:
        super().__init__(path)
        self.kind, self.class_names, self.labelled = kind, tuple(class_names), labelled
        self.rows = 0

    def add(self, values: Tensor, labels: Tensor | None = None, *, files: Sequence[str] | None = None) -> None:
        """Append rows.

        Args:
            values: (n, K) floating point, stored as float32.
            labels: (n,) integers in [0, K), given if the writer is `labelled` and only then.
            files: n names of the files that the rows come from; shown in .csv and .parquet files. All blocks have them,
                or none.
        """
        assert (labels is not None) == self.labelled
        ids = np.arange(self.rows, self.rows + len(values), dtype=np.int64)
        numbers = values.detach().cpu().float().numpy()
        self._write(ids, numbers, None if labels is None else labels.cpu().long().numpy(), files)
        self.rows += len(values)

    @abstractmethod
    def _write(
        self, ids: np.ndarray, values: np.ndarray, labels: np.ndarray | None, files: Sequence[str] | None
    ) -> None:
        """Append rows."""


class _ArrayWriter(PredictionWriter):
    """Arrays of one file, each collected in a temporary file of its own, since its length comes before its values."""

    def __init__(self, path: Path, kind: Kind, class_names: Sequence[str], *, labelled: bool) -> None:
        super().__init__(path, kind, class_names, labelled=labelled)
        width = (len(self.class_names),)
        self._arrays = {kind: (np.dtype(np.float32), width), "ids": (np.dtype(np.int64), ())}
        if labelled:
            self._arrays["labels"] = (np.dtype(np.int64), ())
        self._spools: dict[str, IO[bytes]] = {}
        for name in self._arrays:
            self._spools[name] = self._spool(name).open("w+b")

    def _spool(self, name: str) -> Path:
        return self._part.with_name(f"{self._part.name}.{name}")

    def _write(
        self, ids: np.ndarray, values: np.ndarray, labels: np.ndarray | None, files: Sequence[str] | None
    ) -> None:
        for name, array in ((self.kind, values), ("ids", ids), ("labels", labels)):
            if array is not None:
                self._spools[name].write(np.ascontiguousarray(array).data)

    def _shape(self, name: str) -> tuple[int, ...]:
        return (self.rows, *self._arrays[name][1])

    def _copy(self, name: str, target: IO[bytes]) -> None:
        self._spools[name].seek(0)
        shutil.copyfileobj(self._spools[name], target, 2**22)

    def _close(self) -> None:
        for name, file in self._spools.items():
            file.close()
            self._spool(name).unlink(missing_ok=True)


class _NpzWriter(_ArrayWriter):
    """An uncompressed .npz file, whose values can be memory-mapped."""

    def _finish(self) -> None:
        with zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED) as archive:
            for name, (dtype, _) in self._arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    header = {"descr": dtype.str, "fortran_order": False, "shape": self._shape(name)}
                    np.lib.format.write_array_header_1_0(entry, header)  # pyright: ignore[reportArgumentType]
                    self._copy(name, entry)
            with archive.open("class_names.npy", "w") as entry:
                np.lib.format.write_array(entry, np.array(self.class_names), allow_pickle=False)


class _SafetensorsWriter(_ArrayWriter):
    """A .safetensors file: the length of the header, the header as JSON, and the arrays, one after the other."""

    def _finish(self) -> None:
        header: dict[str, Any] = {"__metadata__": {"class_names": json.dumps(self.class_names)}}
        start = 0
        for name, (dtype, _) in self._arrays.items():
            end = start + dtype.itemsize * int(np.prod(self._shape(name), dtype=np.int64))
            header[name] = {"dtype": _TYPES[dtype], "shape": list(self._shape(name)), "data_offsets": [start, end]}
            start = end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with self._part.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in self._arrays:
                self._copy(name, file)


class _TableWriter(PredictionWriter):
    """Columns: ids, file, predicted class, its probability, labels, and the values."""

    def __init__(self, path: Path, kind: Kind, class_names: Sequence[str], *, labelled: bool) -> None:
        super().__init__(path, kind, class_names, labelled=labelled)
        self._file: Any = None
        self._held: list[pa.Table] = []

    def _write(
        self, ids: np.ndarray, values: np.ndarray, labels: np.ndarray | None, files: Sequence[str] | None
    ) -> None:
        top = values.argmax(1)
        columns: dict[str, Any] = {"ids": ids}
        if files is not None:
            columns["file"] = pa.array(files, pa.string())
        columns["predicted"] = pa.array([self.class_names[index] for index in top.tolist()], pa.string())
        columns["confidence"] = self._probability(values, top)
        if labels is not None:
            columns["labels"] = labels
        self._held.append(pa.table({**columns, **self._values(values)}))
        if sum(map(len, self._held)) * values.shape[1] >= _GROUP_NUMBERS:
            self._flush()

    def _probability(self, values: np.ndarray, top: np.ndarray) -> np.ndarray:
        wide = values.astype(np.float64)
        if self.kind == "logits":
            wide = np.exp(wide - wide.max(1, keepdims=True))
            wide /= wide.sum(1, keepdims=True)
        return wide[np.arange(len(wide)), top].astype(np.float32)

    def _values(self, values: np.ndarray) -> dict[str, Any]:
        width = values.shape[1]
        if width > _MOST_COLUMNS:
            return {self.kind: self._lists(values)}
        numbers = [str(number) for number in range(width)]
        # columns with numbers must have all numbers from 0 on
        names = numbers if any(name.isdecimal() for name in self.class_names) else self.class_names
        return {f"{self.kind}_{name}": values[:, place] for place, name in enumerate(names)}

    @abstractmethod
    def _lists(self, values: np.ndarray) -> pa.Array:
        """Return a column with a list in each row."""

    @abstractmethod
    def _opened(self, schema: pa.Schema) -> Any:
        """Open the temporary file."""

    def _flush(self) -> None:
        table = pa.concat_tables(self._held)
        self._held.clear()
        self._file = self._file or self._opened(table.schema)
        self._file.write_table(table)

    def _finish(self) -> None:
        if self._held:
            self._flush()
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _ParquetWriter(_TableWriter):
    def _lists(self, values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])

    def _opened(self, schema: pa.Schema) -> Any:
        return pq.ParquetWriter(self._part, schema)


class _CsvWriter(_TableWriter):
    def _lists(self, values: np.ndarray) -> pa.Array:
        return pa.array([json.dumps([float(str(number)) for number in row]) for row in values])

    def _opened(self, schema: pa.Schema) -> Any:
        return pa_csv.CSVWriter(self._part, schema)


_WRITERS: dict[str, Callable[..., PredictionWriter]] = {
    ".safetensors": _SafetensorsWriter,
    ".npz": _NpzWriter,
    ".parquet": _ParquetWriter,
    ".csv": _CsvWriter,
}


def output_path(argument: str, path: Path | str) -> Path:
    """Return the path of a file of predictions that is to be written.

    Raises:
        InputError: if the suffix is not that of a file of predictions, or the path is a folder.
    """
    found = user_path(argument, path)
    if found.suffix.lower() not in _WRITERS:
        required = f"a file of type {', '.join(_WRITERS)}"
        raise fail(argument, required, f"'{found}'", "give the file one of these suffixes")
    if found.is_dir():
        raise fail(argument, "the path of a file", f"the folder '{found}'", "name a file in it")
    return found


def open_writer(path: Path, kind: Kind, class_names: Sequence[str], *, labelled: bool) -> PredictionWriter:
    """Return the writer for the suffix of a path, which :func:`output_path` has checked; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return _WRITERS[path.suffix.lower()](path, kind, class_names, labelled=labelled)
