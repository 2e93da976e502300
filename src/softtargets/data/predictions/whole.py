"""Files that are complete or absent."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from softtargets._storage import sync


class WholeFile(ABC):
    """Writes a file beside its place, and moves it there at the end of a ``with`` statement.

    An exception in the statement leaves an existing file as it was.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
                sync(self._part)
                os.replace(self._part, self.path)
        finally:
            self._close()
            self._part.unlink(missing_ok=True)

    @abstractmethod
    def _finish(self) -> None:
        """Complete the temporary file."""

    def _close(self) -> None:
        """Close what is open."""
