"""Columns in .jsonl files: one JSON object in each line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from softtargets._errors import fail
from softtargets._storage import parse_json
from softtargets.data._tables import limited_lines
from softtargets.data.arrays.file import ARGUMENT
from softtargets.data.arrays.tables import TableFile, opened_text

_ROWS = 1024


class JsonLinesFile(TableFile):
    """A .jsonl file; the first line names the columns. A key that a later line lacks is a missing cell."""

    def __init__(self, path: Path) -> None:
        with opened_text(path) as stream:
            first = next(limited_lines(stream), "{}")
        super().__init__(path, self._parsed(first, path, 0))

    def batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        held: list[dict[str, Any]] = []
        first = 0
        with opened_text(self.path) as stream:
            for row, line in enumerate(limited_lines(stream)):
                held.append(self._parsed(line, self.path, row))
                if len(held) == min(rows, _ROWS):
                    yield self._batch(held, columns, first)
                    held, first = [], row + 1
        if held:
            yield self._batch(held, columns, first)

    def _batch(self, held: list[dict[str, Any]], columns: list[str], first: int) -> pa.RecordBatch:
        arrays = []
        for name in columns:
            cells = [one.get(name) for one in held]
            try:
                arrays.append(pa.array(cells))
            except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
                got = f"{error} in {self.path}, column '{name}', rows {first} to {first + len(held) - 1}"
                raise fail(ARGUMENT, "cells of one type in a column", got, "fix these rows") from None
        return pa.record_batch(arrays, names=columns)

    @staticmethod
    def _parsed(line: str, path: Path, row: int) -> dict[str, Any]:
        try:
            found = parse_json(line)
        except (json.JSONDecodeError, RecursionError, ValueError) as error:
            raise fail(
                ARGUMENT, "a JSON object in every line", f"{error} in {path}, row {row}", "fix that line"
            ) from None
        if not isinstance(found, dict):
            got = f"a {type(found).__name__} in {path}, row {row}"
            raise fail(ARGUMENT, "a JSON object in every line", got, 'write {"probs": [...], "label": ...}')
        return found
