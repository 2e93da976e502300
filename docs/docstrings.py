"""Parse a docstring into its sections, and render them as Markdown."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from softtargets._errors import fail

# section of a docstring -> its heading on the page, in the order of the page
HEADINGS = {
    "Args": "Arguments",
    "Shape": "Shape",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Yields": "Yields",
    "Raises": "Raises",
    "Special cases": "Special cases",
    "Notes": "Notes",
    "When to use": "When to use",
    "Limitations": "Limitations",
    "Complexity": "Complexity",
    "References": "References",
    "Example": "Example",
}
# sections that are shown elsewhere: other names at the top of the page, keys of TOPICS in the index
FACTS = ("Aliases", "Topics")
SECTIONS = (*HEADINGS, *FACTS)


@dataclass(frozen=True)
class Doc:
    """A parsed docstring: summary, formula, further paragraphs, sections by name."""

    summary: str
    formula: str
    paragraphs: list[str]
    sections: dict[str, str]


def parse(name: str, text: str) -> Doc:
    """Parse a docstring; `name` is used in the error."""
    if stray := set(re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)) - set(SECTIONS):
        raise fail(name, f"a docstring with the sections {', '.join(SECTIONS)}", f"'{stray.pop()}:'", "rename it")
    parts = re.split(rf"^({'|'.join(SECTIONS)}):", text, flags=re.MULTILINE)
    sections = {key: textwrap.dedent(body).strip() for key, body in zip(parts[1::2], parts[2::2], strict=True)}
    summary, *rest = [paragraph.rstrip() for paragraph in re.split(r"\n\s*\n", parts[0].strip())]
    formula = textwrap.dedent(rest.pop(0)) if rest and is_code(rest[0]) else ""
    return Doc(" ".join(summary.split()), formula, rest, sections)


def is_code(paragraph: str) -> bool:
    """Whether a paragraph is a formula, a table or code: it is indented, or not a list and not a sentence."""
    return paragraph.startswith(" ") or not (paragraph.startswith("- ") or paragraph.endswith((".", ":")))


def fence(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def prose(text: str) -> str:
    """Return a paragraph of a docstring as Markdown: literals become code, asterisks in formulas are escaped."""
    text = re.sub(r":\w+:`([^`]*)`", r"`\1`", " ".join(text.split())).replace("``", "`")
    kept = re.split(r"(`[^`]*`|(?<!\S)\*\w+\*(?!\w))", text)  # code and *emphasis*
    return "".join(part if place % 2 else re.sub(r"([*<])", r"\\\1", part) for place, part in enumerate(kept))


def paragraphs(texts: list[str]) -> Iterator[str]:
    """Render paragraphs as Markdown: code, lists and prose."""
    for text in texts:
        if is_code(text):
            yield fence(textwrap.dedent(text))
        elif text.startswith("- "):
            yield "\n".join(f"- {prose(item)}" for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:])
        else:
            yield prose(re.sub("::$", ":", text))


def section(part: str, body: str) -> str:
    """Render one section: lists and code below its heading, prose on the same line."""
    heading = f"**{HEADINGS[part]}:**"
    match part:
        case "Args" | "Raises" | "Attributes":  # `name: text` with indented continuation lines
            entries = [prose(entry) for entry in re.split(r"\n(?!\s)", body)]
            entries = [re.sub(r"^([\w*, ]+): ", lambda m: f"`{m[1].replace(', ', '`, `')}`: ", e) for e in entries]
        case "Special cases":  # items end with a semicolon, or with a full stop at the end of a line
            entries = [prose(limit).removesuffix(".") for limit in re.split(r";\s|(?<=\.)\n", body)]
        case "References":  # Markdown as it is
            return f"{heading} {' '.join(body.split())}"
        case "Example":
            return f"{heading}\n\n{fence(body, 'pycon')}"
        case _:
            first, *rest = re.split(r"\n\s*\n", body)
            return "\n\n".join([f"{heading} {prose(first)}", *paragraphs(rest)])
    return "\n".join([f"{heading}\n", *(f"- {entry}" for entry in entries)])
