"""Which test reproduces which fault with which library, for the test that demands all of them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Test = TypeVar("Test", bound="Callable[..., None]")
FOLDER = Path(__file__).parent / "doctor"
# What was read in the source alone: a run needs a whole training, or files that are in no package.
READ_IN_SOURCE = {
    ("unused-binary-loss", "timm"),
    ("smoothed-validation", "opennmt"),
    ("smoothed-validation", "keras"),
    ("smoothed-validation", "fairseq"),
}


def reproduces(fault: str, *libraries: str) -> Callable[[Test], Test]:
    """Mark a test that reproduces a fault with libraries that are installed, or with their frozen numbers."""
    assert fault
    assert libraries

    def mark(test: Test) -> Test:
        return test

    return mark


def reproduced() -> set[tuple[str, str]]:
    """Return the pairs of fault and library that the tests are marked with."""
    found = set()
    for file in FOLDER.glob("test_*.py"):
        for arguments in re.findall(r"^@reproduces\((.*?)\)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            fault, *libraries = re.findall(r'"([\w-]+)"', arguments)
            found |= {(fault, library) for library in libraries}
    return found
