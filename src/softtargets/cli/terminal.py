"""The one place that writes to the terminal: control characters in names and paths are escaped here."""

import sys
from collections.abc import Iterable

from softtargets.report.encoding import printable


def write(lines: str | Iterable[str], *, error: bool = False) -> None:
    """Print one line, or several, to the standard output or the standard error.

    Each entry becomes exactly one line. Characters that a terminal would interpret, and those that its encoding lacks,
    are printed as escapes.
    """
    stream = sys.stderr if error else sys.stdout
    text = "".join(f"{printable(line)}\n" for line in ([lines] if isinstance(lines, str) else lines))
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
