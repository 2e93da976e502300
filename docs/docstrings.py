"""A docstring of the house in its parts, and its parts as Markdown."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from softtargets._errors import fail

# a docstring's section -> its heading on the page
HEADINGS = {
    "Args": "Arguments",
    "Shape": "Shape",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Raises": "Raises",
    "Special cases": "Special cases",
    "Notes": "Notes",
    "Complexity": "Complexity",
    "When to use": "When to use",
    "Limitations": "Limitations",
    "Example": "Example",
    "Yields": "Yields",
}
# sections about the method as a whole, which stand at the top of its page: other names, keys of TOPICS, source
FACTS = ("Aliases", "Topics", "References")
SECTIONS = (*HEADINGS, *FACTS)


@dataclass(frozen=True)
class Doc:
    """A docstring in its parts: summary, formula, further paragraphs, sections by name."""

    summary: str
    formula: str
    paragraphs: list[str]
    sections: dict[str, str]


def parse(name: str, text: str) -> Doc:
    """Split a docstring; `name` is for the error."""
    if stray := set(re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)) - set(SECTIONS):
        raise fail(name, f"docstring sections {', '.join(SECTIONS)}", f"'{stray.pop()}:'", "rename it")
    parts = re.split(rf"^({'|'.join(SECTIONS)}):", text, flags=re.MULTILINE)
    sections = {key: textwrap.dedent(body).strip() for key, body in zip(parts[1::2], parts[2::2], strict=True)}
    summary, *rest = [paragraph.rstrip() for paragraph in re.split(r"\n\s*\n", parts[0].strip())]
    # the paragraph after the summary is the formula, unless it is a sentence
    is_formula = bool(rest) and (rest[0].startswith(" ") or not rest[0].endswith((".", ":")))
    formula = textwrap.dedent(rest.pop(0)) if is_formula else ""
    return Doc(" ".join(summary.split()), formula, rest, sections)


def fence(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def prose(text: str) -> str:
    """One paragraph of a docstring as Markdown: literals become code, mathematics keeps its stars."""
    text = re.sub(r":\w+:`([^`]*)`", r"`\1`", " ".join(text.split())).replace("``", "`")
    kept = re.split(r"(`[^`]*`|(?<!\S)\*\w+\*(?!\w))", text)  # code and *emphasis*
    return "".join(part if place % 2 else re.sub(r"([*<])", r"\\\1", part) for place, part in enumerate(kept))


def paragraphs(texts: list[str]) -> Iterator[str]:
    """Indented paragraphs are code, the others prose."""
    for text in texts:
        yield fence(textwrap.dedent(text)) if text.startswith(" ") else prose(re.sub("::$", ":", text))


def section(part: str, body: str) -> str:
    """One section under its heading; lists and code stand below it, prose beside it."""
    heading = f"**{HEADINGS[part]}:**"
    match part:
        case "Args" | "Raises" | "Attributes":  # `name: text`, continuation lines indented
            entries = [prose(entry) for entry in re.split(r"\n(?!\s)", body)]
            entries = [re.sub(r"^([\w*, ]+): ", lambda m: f"`{m[1].replace(', ', '`, `')}`: ", e) for e in entries]
        case "Special cases":  # ended by a semicolon, or by a full stop at the end of a line
            entries = [prose(limit).removesuffix(".") for limit in re.split(r";\s|(?<=\.)\n", body)]
        case "Example":
            return f"{heading}\n\n{fence(body, 'pycon')}"
        case _:
            first, *rest = re.split(r"\n\s*\n", body)
            return "\n\n".join([f"{heading} {prose(first)}", *paragraphs(rest)])
    return "\n".join([f"{heading}\n", *(f"- {entry}" for entry in entries)])
