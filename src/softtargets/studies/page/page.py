"""The page of a study."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softtargets.data.tokens import TokenShape, read_shape
from softtargets.report import frame, numbers
from softtargets.report.drawing import Drawing
from softtargets.report.plain import PlainTable
from softtargets.studies import labels
from softtargets.studies.layout import cell_label, level_note
from softtargets.studies.page import claims, provenance
from softtargets.studies.page.tables import Table
from softtargets.studies.records import CellRecord, Verdict
from softtargets.studies.results import StudyResults
from softtargets.studies.schema import Output

_INLINE_LIMIT = 300_000


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
    plain: PlainTable | None
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
                plain=results.shown[name].table(results, output),
                drawing=drawing,
                specs=tuple(drawing.page_specs(f"{output.title}.")) if drawing else (),
                downloads=_downloads(name, images) if images else (),
                image=frame.data_uri("image/svg+xml", images.svg) if images else "",
                verdicts=tuple(row for row in rows if row.verdict.claim.output == name),
            )
        )
    answered = results.answer
    beside = [section for section in sections if answered and section.drawing and section.name == answered.output]
    by_verdict = {name: [row for row in rows if row.verdict.name == name] for name in results.counts}
    context = {
        "results": results,
        "study": results.study,
        "scale": results.study.scales[results.scale],  # pyright: ignore[reportArgumentType]
        "rows": rows,
        "answered": answered,
        "beside": beside[0] if beside else None,
        "by_verdict": by_verdict,
        "counts": results.counts,
        "sections": sections,
        "anchors": {section.name: section.anchor for section in sections},
        "claim_anchors": {row.verdict.claim.id: row.anchor for row in rows},
        "failures": _failures(results),
        "missing": sum(record.status == "missing" for record in results.runs),
        "seeds": len({record.seed for record in results.cells}),
        "provenance": provenance.trace(results),
        "plot_size": (claims.WIDTH, claims.HEIGHT),
    }
    heads = Counter(_head(section.output.title) for section in sections)

    def short(title: str) -> str:
        """Return ``Table 4`` for ``Table 4: description``, unless another section of the page begins with it."""
        return title if heads[_head(title)] > 1 else _head(title)

    filters = {
        "shown_shape": _shown_shape,
        "duration": numbers.duration,
        "level": numbers.level,
        "link": _link,
        "measure": labels.measure,
        "named": _named,
        "short": short,
    }
    return frame.render(Path(__file__).parent, context, charts=bool(drawings), filters=filters)


def _failures(results: StudyResults) -> list[tuple[str, str, list[CellRecord]]]:
    """Group the failed runs by cell and reason."""
    groups: dict[tuple[str, str], list[CellRecord]] = {}
    for record in results.runs:
        if record.status == "failed":
            label = cell_label(results.study, record.key)
            groups.setdefault((label, record.reason or "no reason recorded"), []).append(record)
    return [(label, reason, records) for (label, reason), records in groups.items()]


def stem(name: str) -> str:
    """Return the file name of an output: its name, made safe if it contains special characters."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return name if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _downloads(name: str, images: FigureFiles) -> tuple[tuple[str, str, str], ...]:
    found = []
    for kind, mime, data in (("SVG", "image/svg+xml", images.svg), ("PNG", "image/png", images.png)):
        file = f"{stem(name)}.{kind.lower()}"
        found.append((kind, file, frame.data_uri(mime, data) if len(data) < _INLINE_LIMIT else f"figures/{file}"))
    return tuple(found)


def _link(url: str) -> str:
    """Return the address if it is a web address; a study from elsewhere could contain ``javascript:``."""
    return url if url.startswith(("https://", "http://")) else ""


def _head(title: str) -> str:
    return title.partition(":")[0]


def _named(verdict: Verdict) -> str:
    return verdict.name.replace(" ", "-")


def _shown_shape(sizes: Sequence[int]) -> str:
    """Return the shape of an input in words."""
    shape = read_shape(sizes)
    if isinstance(shape, TokenShape):
        return f"at most {shape.max_length:,} tokens of a vocabulary of {shape.vocabulary:,}"
    return " × ".join(map(str, shape))
