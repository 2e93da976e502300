"""Opening a file of named arrays by its type."""

from collections.abc import Callable
from pathlib import Path

from softtargets._errors import fail
from softtargets.data._files import suggestion
from softtargets.data.arrays.binary import NpzFile, SafetensorsFile
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, reading
from softtargets.data.arrays.tables import CsvFile, ParquetFile

_TYPES: dict[str, Callable[[Path], ArrayFile]] = {
    ".npz": NpzFile,
    ".safetensors": SafetensorsFile,
    ".parquet": ParquetFile,
    ".csv": CsvFile,
}


def open_arrays(path: Path) -> ArrayFile:
    """Look into a file without reading its numbers.

    Raises:
        InputError: no such file, one of another type, or one that cannot be read.
    """
    path = path.expanduser()
    if not path.is_file():
        close = suggestion(str(path.absolute()))
        remedy = f"did you mean '{close}'?" if close and not path.exists() else "give the paths of files"
        raise fail(ARGUMENT, "an existing file", f"'{path}'{', a folder' if path.exists() else ''}", remedy)
    opener = _TYPES.get(path.suffix.lower())
    if opener is None:
        raise fail(ARGUMENT, f"files of type {', '.join(_TYPES)}", f"'{path}'", "save the predictions as one of these")
    with reading(path):
        return opener(path)
