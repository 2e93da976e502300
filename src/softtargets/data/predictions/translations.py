"""Tables of translations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from softtargets._errors import fail
from softtargets.data.predictions.whole import WholeFile
from softtargets.data.predictions.writing import output_path

_TABLES = {".csv": pa_csv.CSVWriter, ".parquet": pq.ParquetWriter}
# The columns of the table; "reference" only where there are references.
TYPES = {
    "ids": pa.int64(),
    "source": pa.string(),
    "reference": pa.string(),
    "translation": pa.string(),
    "log_prob": pa.float64(),
    "tokens": pa.int64(),
    "finished": pa.bool_(),
}


def table_path(argument: str, path: Path | str) -> Path:
    """Return the path of a table that is to be written; like :func:`output_path`, but only tables hold texts."""
    found = output_path(argument, path)
    if found.suffix.lower() not in _TABLES:
        required = f"a file of type {' or '.join(_TABLES)} for translations"
        raise fail(argument, required, f"'{found}'", "give the file one of these suffixes")
    return found


class TranslationTable(WholeFile):
    """Writes translations, in blocks of rows, to a .csv or .parquet file.

    Args:
        path: of the file, which :func:`table_path` has checked; its folder is created.
        references: whether every block has references.
    """

    def __init__(self, path: Path, *, references: bool) -> None:
        super().__init__(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        types = {name: kind for name, kind in TYPES.items() if references or name != "reference"}
        self._schema, self.rows = pa.schema(list(types.items())), 0
        self._file: Any = _TABLES[path.suffix.lower()](self._part, self._schema)

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append rows: n values of every column of `TYPES` except the ids, which are counted from 0."""
        count = len(columns["source"])
        ids = range(self.rows, self.rows + count)
        given = {name: ids if name == "ids" else columns[name] for name in self._schema.names}
        self._file.write_table(pa.table(given, schema=self._schema))
        self.rows += count

    def _finish(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
