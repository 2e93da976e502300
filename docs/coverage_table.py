"""The README's table of what is reproduced: the first row of each item of docs/coverage.md."""

import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "coverage.md"
README = ROOT / "README.md"
HEAD = "| item | what it shows | command | record |"
TOOLS = "| item | what it shows | command |"
BEGIN = "<!-- made from docs/coverage.md by `make docs` -->\n"
END = "<!-- end of what is made -->\n"


def tables(head: str) -> dict[str, list[list[str]]]:
    """Return the cells of every table of the coverage page with this first line, by the heading above it."""
    pieces = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {}
    for heading, text in zip(pieces[::2], pieces[1::2], strict=True):
        for body in re.findall(rf"^{re.escape(head)}\n\|[-|]+\n((?:\|.*\n?)+)", text, re.MULTILINE):
            found[heading] = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in body.splitlines()]
    return found


def items(text: str) -> list[str]:
    """Return the figures, tables and sections that the first cell of a row names: ["Table 2", "Table 7"]."""
    kinds = [
        (match[0].split()[0].rstrip("s"), match.start()) for match in re.finditer(r"(?:Fig\.|Tables?|Sec\.) ", text)
    ]
    ends = [*(start for _, start in kinds), len(text)]
    return [
        f"{kind} {number}"
        for (kind, _), (start, end) in zip(kinds, pairwise(ends), strict=True)
        for number in re.findall(r"\d+", text[start:end])
    ]


def table() -> str:
    """Return the README's table: the first command of each figure and table, and the commands that are of none."""
    lines = ["| of | item | command |", "|---|---|---|"]
    for heading, rows in tables(HEAD).items():
        seen: set[str] = set()
        for item, shows, command, _ in rows:
            named = set(items(item))
            if not named or named - seen:
                paper, colon, _ = heading.partition(":")
                lines.append(f"| {paper if colon else item} | {f'{item}: ' if colon else ''}{shows} | {command} |")
            seen |= named
    lines += [f"| {item} | {shows} | {command} |" for rows in tables(TOOLS).values() for item, shows, command in rows]
    return "\n".join(lines) + "\n"


def with_table(readme: str) -> str:
    """Return the text of the README with the table between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"README.md: the marks {BEGIN.strip()} and {END.strip()}; got no such lines; add them")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
