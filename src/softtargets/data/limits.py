"""How much data is read into memory, and the errors for files that hold more."""

from pathlib import Path

from softtargets._errors import InputError, fail
from softtargets._storage import GIB, memory_bytes, shown_bytes

# Rows of a data set, and of predictions that are read whole: several numbers are kept for each in memory.
MAX_ROWS = 20_000_000
# Values in a row of predictions. The largest vocabularies have some 260,000.
MAX_CLASSES = 1_000_000
# A line of a CSV file.
MAX_LINE_BYTES = 64 * 2**20
# An array that a reader must hold whole.
MAX_WHOLE_BYTES = GIB


def data_bytes() -> int:
    """Return how many bytes a data set may take in memory: a quarter of the machine's."""
    return memory_bytes() // 4


def check_rows(argument: str, rows: int, source: str) -> None:
    """Require a number of rows that can be held in memory."""
    if rows > MAX_ROWS:
        raise fail(argument, f"at most {MAX_ROWS:,} rows", f"{rows:,} in {source}", "take a sample of the rows")


def check_bytes(argument: str, size: int, source: str, remedy: str = "use fewer rows, columns or pixels") -> None:
    """Require decoded data of a size that can be held in memory."""
    limit = data_bytes()
    if size > limit:
        required = f"data of at most {shown_bytes(limit)} in memory, a quarter of this machine's"
        raise fail(argument, required, f"{shown_bytes(size)} for {source}", remedy)


def check_raw_bytes(argument: str, size: int, source: str) -> None:
    """Require stored data of a size that can be held in memory beside the decoded data."""
    limit = data_bytes() // 2
    if size > limit:
        required = f"files of at most {shown_bytes(limit)} once decompressed, an eighth of this machine's memory"
        raise fail(argument, required, f"more in {source}", "use fewer rows or columns")


def unreadable(argument: str, path: Path, error: Exception) -> InputError:
    """Build the error of a path that is not a regular file of an acceptable size."""
    return fail(argument, "a regular file", f"'{path}', {error}", "give the path of a file")
