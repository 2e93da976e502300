"""The hook of MkDocs: pages of the site that are made from the code and the records, and links between pages.

The pages under docs/ are written for the repository, where links lead to files such as ../src/softtargets/nn/_loss.py.
On the site a public name links to the API reference, a record to its page, and other files are named without a link.
"""

import inspect
import json
import posixpath
import re
import sys
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab_names import lab_rooms
from public_names import ROOMS, ROOT, public

from softtargets.studies.catalog import shipped

RECORDS = ROOT / "records"
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_PLOT = (200, 24, 8)
# file of the repository -> page of the site
_ELSEWHERE = {"README.md": "index.md", "benchmarks/RESULTS.md": "results/benchmarks.md", "CHANGELOG.md": "changelog.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages that are made to the navigation."""
    for entry in config.nav or []:
        if "Results" in entry:
            entry["Results"] += [f"results/{folder.name}.md" for folder in _studies()] + ["results/benchmarks.md"]
        if "Reference" in entry:
            entry["Reference"] += [{"Library": [f"reference/{room}.md" for room in _rooms()]}]
            entry["Reference"] += [{"Lab": [f"reference/{room}.md" for room in lab_rooms()]}]
            tables = [{"Tables": "methods/specification.md"}, {"Objectives": "methods/objectives.md"}]
            entry["Reference"] += [{"Run specifications": tables}, {"Changes": "changelog.md"}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for uri, text in made().items():
        files.append(File.generated(config, uri, content=text))
    for path in sorted(RECORDS.glob("*/*/results.csv")):
        uri = _of_record(path.relative_to(ROOT).as_posix())
        assert uri is not None
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links of the site."""
    uri = page.file.src_uri
    source = _SOURCES.get(uri, f"docs/{uri}")
    known = {file.src_uri for file in files}

    def replaced(match: re.Match[str]) -> str:
        text, link = match.groups()
        if "://" in link or link.startswith("#"):
            return match[0]
        path, mark, part = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        inside = _ELSEWHERE.get(target) or _of_record(target) or target.removeprefix("docs/")
        if inside in known:
            return f"[{text}]({posixpath.relpath(inside, posixpath.dirname(uri) or '.')}{mark}{part})"
        name = text.strip("`")
        return f"[{text}][{_path_of(public()[name])}]" if name in public() else text

    return _LINK.sub(replaced, markdown)


def made() -> dict[str, str]:
    """Return the pages that are made, by their place on the site."""
    rooms = {room: {name: thing for name, thing in public().items() if _room_of(name) == room} for room in _rooms()}
    pages = {f"reference/{room}.md": _room_page(room, things) for room, things in (rooms | lab_rooms()).items()}
    pages |= {f"results/{folder.name}.md": record_page(folder) for folder in _studies()}
    return pages | {
        uri: (ROOT / path).read_text(encoding="utf-8") for path, uri in _ELSEWHERE.items() if "index" not in uri
    }


def record_page(folder: Path) -> str:
    """Return the page of a study's records: what its README says, and a table of verdicts for each record."""
    parts = [(folder / "README.md").read_text(encoding="utf-8").rstrip(), "## All verdicts"]
    for path in sorted(folder.glob("*/results.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        name = path.parent.name
        parts += [f"### {name}", f"`{record['command']}`. [All runs as CSV]({name}/results.csv)."]
        rows = [_verdict_row(verdict) for verdict in record["verdicts"]]
        if rows:
            parts.append("\n".join(["| claim | verdict | estimate and interval | n |", "|---|---|---|---:|", *rows]))
    return "\n\n".join(parts) + "\n"


def _verdict_row(verdict: dict[str, Any]) -> str:
    low, high, estimate = verdict["low"], verdict["high"], verdict["estimate"]
    numbers = ""
    if low is not None and high is not None and estimate is not None:
        numbers = f"{estimate:+.4g} ({low:+.3g} to {high:+.3g}){_plot(low, estimate, high)}"
    quote = escape(" ".join(str(verdict["quote"]).split())).replace("|", "\\|")
    return f"| “{quote}” ({verdict['where']}) | {verdict['verdict']} | {numbers} | {verdict['n'] or ''} |"


def _plot(low: float, estimate: float, high: float) -> str:
    """Return an interval, its estimate and zero as SVG."""
    width, height, edge = _PLOT
    left, right = min(low, 0.0), max(high, 0.0)
    scale = (width - 2 * edge) / ((right - left) or 1.0)
    zero, start, dot, end = (round(edge + (value - left) * scale, 1) for value in (0.0, low, estimate, high))
    middle = height // 2
    return (
        f'<svg class="verdict-plot" viewBox="0 0 {width} {height}" role="img" aria-label="{low:.3g} to {high:.3g}">'
        f'<line x1="{zero}" x2="{zero}" y1="2" y2="{height - 2}" stroke="currentColor" stroke-dasharray="3 2"/>'
        f'<line x1="{start}" x2="{end}" y1="{middle}" y2="{middle}" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{dot}" cy="{middle}" r="4" fill="currentColor"/></svg>'
    )


def _room_page(room: str, things: dict[str, Any]) -> str:
    """Return the reference of a package: what it is for, and its public names in alphabetical order."""
    entries = [f"::: {_path_of(thing)}" for _, thing in sorted(things.items(), key=lambda pair: pair[0].lower())]
    about = inspect.getdoc(sys.modules[f"softtargets.{room}"]) or ""
    return "\n\n".join([f"# softtargets.{room}", about, *entries]) + "\n"


def _path_of(thing: Any) -> str:
    """Return the place where a name is defined, which mkdocstrings reads: softtargets.targets._smooth.smooth."""
    return f"{thing.__module__}.{thing.__qualname__}"


def _rooms() -> list[str]:
    return list(dict.fromkeys([*ROOMS, *map(_room_of, public())]))


def _room_of(name: str) -> str:
    return name.rpartition(".")[0]


def _studies() -> list[Path]:
    """Return the folders of records, in the order of the studies."""
    order = list(shipped())
    return sorted((path.parent for path in RECORDS.glob("*/README.md")), key=lambda folder: order.index(folder.name))


def _of_record(target: str) -> str | None:
    """Return the place on the site of a file of the records."""
    match = re.fullmatch(r"records/([\w-]+)/(?:README\.md|([\w-]+)/results\.csv)", target)
    return match and (f"results/{match[1]}-{match[2]}.csv" if match[2] else f"results/{match[1]}.md")


# page of the site that is a file of the repository -> that file, from whose place its links are resolved
_SOURCES = {uri: path for path, uri in _ELSEWHERE.items()} | {
    f"results/{folder.name}.md": f"records/{folder.name}/README.md" for folder in _studies()
}
