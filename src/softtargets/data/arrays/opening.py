"""Opening a file of named arrays by its type."""

from collections.abc import Callable
from pathlib import Path

from softtargets._errors import fail
from softtargets._storage import kind_of, user_path
from softtargets.data._files import suggestion
from softtargets.data.arrays.binary import NpzFile, SafetensorsFile
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, reading
from softtargets.data.arrays.json_lines import JsonLinesFile
from softtargets.data.arrays.npy import NpyFile
from softtargets.data.arrays.tables import CsvFile, ParquetFile
from softtargets.data.arrays.torch_file import TorchFile

_TYPES: dict[str, Callable[[Path], ArrayFile]] = {
    ".npz": NpzFile,
    ".npy": NpyFile,
    ".safetensors": SafetensorsFile,
    ".parquet": ParquetFile,
    ".csv": CsvFile,
    ".tsv": CsvFile,
    ".jsonl": JsonLinesFile,
    ".csv.gz": CsvFile,
    ".tsv.gz": CsvFile,
    ".jsonl.gz": JsonLinesFile,
    ".pt": TorchFile,
}


def open_arrays(path: Path) -> ArrayFile:
    """Open a file and read its header, not its numbers.

    Raises:
        InputError: if the file does not exist, is not a regular file, has another type, or cannot be read.
    """
    path = user_path(ARGUMENT, path)
    if not path.exists():
        close = suggestion(str(path.absolute()))
        remedy = f"did you mean '{close}'?" if close else "give the path of an existing file"
        raise fail(ARGUMENT, "an existing file", f"'{path}'", remedy)
    if not path.is_file():
        raise fail(ARGUMENT, "an existing file", f"'{path}', {kind_of(path.stat().st_mode)}", "give the path of a file")
    name = path.name.lower()
    opener = next((found for suffix, found in _TYPES.items() if name.endswith(suffix)), None)
    if opener is None:
        raise fail(ARGUMENT, f"files of type {', '.join(_TYPES)}", f"'{path}'", "save the predictions as one of these")
    with reading(path):
        return opener(path)
