"""The frame of all pages: one HTML file without network requests."""

import base64
import functools
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from softtargets._storage import write_atomically
from softtargets._version import package_version
from softtargets.report import numbers, palette

TEMPLATES = Path(__file__).parent / "templates"
# Vega, Vega-Lite and Vega-Embed as one script, which docs/chart_script.py packs. Their licences: LICENSE-charts.
CHARTS = TEMPLATES / "charts.js.gz"
# Script elements contain no HTML entities, so characters that could end them are written as JSON escapes.
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(folder: Path, context: Mapping[str, Any], *, charts: bool, filters: Mapping[str, Callable[..., Any]]) -> str:
    """Return a page; equal contexts give equal pages.

    Args:
        folder: folder of the job's ``page.html``, which extends ``frame.html``, and optionally a ``page.css`` and a
            ``page.js``.
        context: variables of the template.
        charts: whether the page has charts, which need a script.
        filters: filters of the template, in addition to those of all pages.
    """
    theme_js, page_js, bundle = asset("theme.js"), asset("page.js"), _charts_script() if charts else ""
    own_css, own_js = (_text(folder / name) for name in ("page.css", "page.js"))
    css = asset("style.css") + (f"\n{own_css}" if own_css else "")
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "code_spans": code_spans,
            "count": numbers.count,
            "inline_json": inline_json,
            "listed": numbers.listed,
            "number": numbers.number,
            "rate": numbers.rate,
        }
    )
    environment.filters.update(filters)
    return environment.get_template("page.html").render(
        **context,
        colours=palette.COLOURS,
        css=Markup(css),
        theme_js=Markup(theme_js),
        page_js=Markup(page_js),
        own_js=Markup(own_js),
        bundle=Markup(bundle),
        policy=_policy([script for script in (theme_js, page_js, own_js, bundle) if script]),
        version=package_version(),
    )


def put(contents: Mapping[str, bytes], folder: Path) -> Path:
    """Write the files of a page, each renamed into place, in their order, and return the path of the page.

    Other files in the folder are kept.

    Args:
        contents: all files by path in the folder, ``index.html`` last.
        folder: created if it does not exist.
    """
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, data)
    return folder / "index.html"


def code_spans(text: str) -> Markup:
    """Return escaped text in which parts between backticks are code; a single backtick stays."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part[1:-1]) if len(part) > 2 and part[0] == part[-1] == "`" else part
        for part in re.split("(`[^`]+`)", text)
    )


def inline_json(data: Any) -> Markup:
    """Return JSON that is safe inside a script element."""
    return Markup(json.dumps(data, ensure_ascii=False, allow_nan=False).translate(_JSON_ESCAPES))


def data_uri(mime: str, data: bytes) -> str:
    """Return a data URI."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@functools.cache
def asset(name: str) -> str:
    """Return the content of a file beside the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@functools.cache
def _charts_script() -> str:
    return gzip.decompress(CHARTS.read_bytes()).decode()


def _text(path: Path) -> str:
    """Return the content of a file; empty if there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _policy(scripts: list[str]) -> str:
    """Return a content security policy that forbids all requests and all scripts except these."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
