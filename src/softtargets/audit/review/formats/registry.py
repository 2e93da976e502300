"""The base of formats, and the formats by name."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from softtargets._errors import InputError, fail, unknown
from softtargets._storage import GIB, parse_json, read_regular
from softtargets.audit.review.decisions import Decision, DecisionReader
from softtargets.audit.review.folder import AuditFolder
from softtargets.audit.review.items import ReviewBatch


class ReviewFormat(ABC):
    """A format of files for people who review labels."""

    name: ClassVar[str] = ""
    # a sentence for the help
    describes: ClassVar[str] = ""

    @abstractmethod
    def files(self, batch: ReviewBatch) -> Mapping[str, bytes]:
        """Return the files by their path in the folder of the audit, the most important one first.

        Raises:
            InputError: the format cannot show what was audited.
        """

    def accepts(self, content: Any) -> bool:
        """Return whether :meth:`read` reads this content: parsed JSON, or the lines of a CSV file as dictionaries."""
        return False

    def read(self, content: Any, reader: DecisionReader) -> list[Decision]:
        """Return the decisions; only of content that is accepted.

        Raises:
            InputError: a row or class that there is not.
        """
        raise NotImplementedError


FORMATS: dict[str, ReviewFormat] = {}


def review_format(name: str) -> Callable[[type[ReviewFormat]], type[ReviewFormat]]:
    """Register a format by its name."""

    def register(cls: type[ReviewFormat]) -> type[ReviewFormat]:
        cls.name = name
        FORMATS[name] = cls()
        return cls

    return register


def find_format(name: str) -> ReviewFormat:
    """Return the format of this name.

    Raises:
        InputError: if there is none.
    """
    if name not in FORMATS:
        raise unknown("to", name, FORMATS)
    return FORMATS[name]


def read_decisions(paths: Sequence[Path], audit: AuditFolder) -> list[Decision]:
    """Read the decisions of all files, of whatever formats.

    Raises:
        InputError: a file that cannot be read or is of no known format, or a row or class that there is not.
    """
    found: list[Decision] = []
    for path in paths:
        content = _content(path)
        known = next((one for one in FORMATS.values() if one.accepts(content)), None)
        if known is None:
            required = "a CSV file with the columns row and label, or a JSON export of Label Studio or FiftyOne"
            raise fail("decisions", required, f"'{path}'", "export the decisions in one of these formats")
        found += known.read(content, DecisionReader(path, audit))
    return found


def _content(path: Path) -> Any:
    """Return parsed JSON, or the lines of a CSV file as dictionaries."""
    try:
        text = read_regular(path, max_bytes=GIB).decode("utf-8-sig")
        return parse_json(text) if path.suffix.lower() == ".json" else list(csv.DictReader(io.StringIO(text)))
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise fail("decisions", "a CSV or JSON file", f"'{path}' ({error})", "check the file") from error
