"""An extension of Griffe: docstrings of this package as mkdocstrings reads them."""

import re
import sys
from pathlib import Path
from typing import Any

from griffe import Extension, Object

sys.path.insert(0, str(Path(__file__).resolve().parent))

from docstrings import SECTIONS, paragraphs

_FIRST_SECTION = re.compile(rf"^(?=(?:{'|'.join(SECTIONS)}):)", re.MULTILINE)


class Docstrings(Extension):
    """Renders the text before the sections as the pages of docs/methods do, and names sections as Griffe does."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of a function, class or module."""
        if obj.docstring is not None:
            text, *sections = _FIRST_SECTION.split(obj.docstring.value, maxsplit=1)
            text = "\n\n".join(paragraphs([part.rstrip() for part in re.split(r"\n\s*\n", text.strip())]))
            text = "\n\n".join([text, *sections])
            text = re.sub(r"^Example:", "Examples:", text, flags=re.MULTILINE)
            text = re.sub(r"^( {4})((?:\w+, )+)(\w+): ", _one_by_one, text, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r":\w+:`(?:softtargets\.)?([^`]*)`", r"`\1`", text)


def _one_by_one(match: re.Match[str]) -> str:
    """Return "a, b: text" as an entry for each name."""
    indent, names, last = match.groups()
    before = [f"{indent}{name}: as `{last}`.\n" for name in names.split(", ") if name]
    return "".join(before) + f"{indent}{last}: "
