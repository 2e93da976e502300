"""The page: everything in one HTML file that asks nothing of the network."""

import base64
import functools
import hashlib
import json
import re
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from softtargets.report import claims, numbers, palette, provenance
from softtargets.report.drawing import VEGA_LITE, Drawing
from softtargets.report.layout import cell_label, level_note
from softtargets.report.tables import Table
from softtargets.studies.results import CellRecord, StudyResults, Verdict
from softtargets.studies.schema import Output

_INLINE_LIMIT = 300_000
# Inside a script element HTML reads neither entities nor escapes, so what could end it is spelt as JSON escapes.
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class FigureFiles:
    """A figure as files."""

    svg: bytes
    png: bytes


@dataclass(frozen=True)
class Section:
    """One output on the page."""

    name: str
    anchor: str
    output: Output
    note: str
    table: Table | None
    drawing: Drawing | None
    specs: tuple[dict[str, Any], ...]
    downloads: tuple[tuple[str, str, str], ...]
    image: str
    verdicts: tuple[claims.ClaimRow, ...]


def render(
    results: StudyResults,
    tables: dict[str, Table | None],
    drawings: dict[str, Drawing],
    figures: dict[str, FigureFiles],
) -> str:
    """Return the page; equal results give equal pages."""
    rows = claims.rows(results)
    sections = []
    for index, name in enumerate(results.outputs, start=1):
        output = results.study.outputs[name]
        drawing, images = drawings.get(name), figures.get(name)
        sections.append(
            Section(
                name=name,
                anchor=f"output-{index}",
                output=output,
                note=level_note(results.study, output) if tables[name] else "",
                table=tables[name],
                drawing=drawing,
                specs=tuple(drawing.page_specs(f"{output.title}.")) if drawing else (),
                downloads=_downloads(name, images) if images else (),
                image=_data_uri("image/svg+xml", images.svg) if images else "",
                verdicts=tuple(row for row in rows if row.verdict.claim.output == name),
            )
        )
    by_verdict = {name: [row for row in rows if row.verdict.name == name] for name in claims.ORDER}
    theme_js, page_js, bundle = _asset("theme.js"), _asset("page.js"), _bundle() if drawings else ""
    scripts = [script for script in (theme_js, page_js, bundle) if script]
    return (
        _environment()
        .get_template("page.html")
        .render(
            results=results,
            study=results.study,
            scale=results.study.scales[results.scale],  # pyright: ignore[reportArgumentType]
            rows=rows,
            by_verdict=by_verdict,
            counts=claims.counts(results),
            headline=claims.headline(results),
            sections=sections,
            anchors={section.name: section.anchor for section in sections},
            claim_anchors={row.verdict.claim.id: row.anchor for row in rows},
            failures=_failures(results),
            missing=sum(record.status == "missing" for record in results.cells),
            seeds=len({record.seed for record in results.cells}),
            provenance=provenance.trace(results),
            plot_size=(claims.WIDTH, claims.HEIGHT),
            colours=palette.COLOURS,
            css=Markup(_asset("style.css")),
            theme_js=Markup(theme_js),
            page_js=Markup(page_js),
            bundle=Markup(bundle),
            policy=_policy(scripts),
            version=version("softtargets"),
        )
    )


def _failures(results: StudyResults) -> list[tuple[str, str, list[CellRecord]]]:
    """Group the failed runs by cell and reason."""
    groups: dict[tuple[str, str], list[CellRecord]] = {}
    for record in results.cells:
        if record.status == "failed":
            label = cell_label(results.study, record.key)
            groups.setdefault((label, record.reason or "no reason recorded"), []).append(record)
    return [(label, reason, records) for (label, reason), records in groups.items()]


def inline_json(data: Any) -> Markup:
    """Return JSON that is safe inside a script element."""
    return Markup(json.dumps(data, ensure_ascii=False, allow_nan=False).translate(_JSON_ESCAPES))


def stem(name: str) -> str:
    """Return the file name of an output: its own name, unless that could lead out of the folder or clash."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return name if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _downloads(name: str, images: FigureFiles) -> tuple[tuple[str, str, str], ...]:
    found = []
    for kind, mime, data in (("SVG", "image/svg+xml", images.svg), ("PNG", "image/png", images.png)):
        file = f"{stem(name)}.{kind.lower()}"
        found.append((kind, file, _data_uri(mime, data) if len(data) < _INLINE_LIMIT else f"figures/{file}"))
    return tuple(found)


def _data_uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def _policy(scripts: list[str]) -> str:
    """Forbid what the page does not need: every request, and every script but these."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _link(url: str) -> str:
    """Return the address if it leads to the web: a study is a file from anywhere and may hold ``javascript:``."""
    return url if url.startswith(("https://", "http://")) else ""


def _short(title: str) -> str:
    """Return ``Table 4`` of ``Table 4: what it shows``."""
    return title.partition(":")[0]


def _named(verdict: Verdict) -> str:
    return verdict.name.replace(" ", "-")


@functools.cache
def _asset(name: str) -> str:
    return (files("softtargets.report") / "templates" / name).read_text(encoding="utf-8")


@functools.cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    snippet = "window.vegaEmbed = vegaEmbed;"
    return vl_convert.javascript_bundle(snippet, vl_version=VEGA_LITE).replace("</script", "<\\/script")


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("softtargets.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=numbers.count,
        duration=numbers.duration,
        inline_json=inline_json,
        level=numbers.level,
        link=_link,
        measure=numbers.measure,
        named=_named,
        number=numbers.number,
        rate=numbers.rate,
        short=_short,
    )
    return environment
