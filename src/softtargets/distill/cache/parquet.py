"""Reading log-probabilities from Parquet files."""

from collections.abc import Iterator
from typing import Any

import torch

from softtargets._errors import fail
from softtargets.distill.cache.imported import natural, paths_of, sequence_of
from softtargets.distill.cache.plan import Plan
from softtargets.distill.cache.sequences import Ragged

REQUIRED = ("id", "tokens", "classes", "log_probs")
SEQUENCES_AT_ONCE = 64


def read_parquet(files: Any, plan: Plan) -> Iterator[Ragged]:
    """Yield the sequences of some files, one per row."""
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    for path in paths_of(files):
        try:
            file = ParquetFile(path)
        except ArrowInvalid as error:
            raise fail(str(path), "a Parquet file", f"{error}", "write it again") from None
        with file:
            names = file.schema_arrow.names
            missing = [name for name in REQUIRED if name not in names]
            if missing:
                got = f"columns {', '.join(names)}"
                raise fail(str(path), f"columns {', '.join(REQUIRED)}", got, f"add {missing[0]}")
            used = [*REQUIRED, *(["positions"] if "positions" in names else [])]
            number = 0
            for batch in file.iter_batches(SEQUENCES_AT_ONCE, columns=used):
                for row in batch.to_pylist():
                    yield _sequence(row, plan, f"{path}: row {number}")
                    number += 1


def _sequence(row: dict[str, Any], plan: Plan, place: str) -> Ragged:
    for name, value in row.items():
        if value is None:
            raise fail(place, f"a value of {name}", "null", "drop that row")
    tokens = row["tokens"]
    positions = row.get("positions", range(1, len(tokens)))
    classes, log_probs = row["classes"], row["log_probs"]
    if not len(positions) == len(classes) == len(log_probs):
        got = f"{len(positions)} positions, {len(classes)} classes, {len(log_probs)} log_probs"
        raise fail(place, "a row of classes and log_probs for each position", got, "write the whole sequence")
    rows = []
    for position, given, values in zip(positions, classes, log_probs, strict=True):
        if len(given) != len(values):
            got = f"{len(given)} and {len(values)} at position {position}"
            raise fail(place, "as many classes as log_probs", got, "fix that row")
        rows.append((position, torch.tensor(given, dtype=torch.int64), natural(values)))
    return sequence_of(int(row["id"]), tokens, rows, plan, place)
