"""The frame that every page stands in: one HTML file that asks nothing of the network."""

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from softtargets._storage import write_atomically
from softtargets.report import numbers, palette
from softtargets.report.drawing import VEGA_LITE

# Inside a script element HTML reads neither entities nor escapes, so what could end it is spelt as JSON escapes.
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(
    template: str,
    context: Mapping[str, Any],
    *,
    charts: bool,
    filters: Mapping[str, Callable[..., Any]],
    styles: Sequence[str] = ("style.css",),
) -> str:
    """Return a page; equal contexts give equal pages.

    Args:
        template: one that extends ``frame.html``.
        context: what it speaks of.
        charts: whether it holds any, which need a script.
        filters: of its own, beside those that every page has.
        styles: style sheets, in order.
    """
    theme_js, page_js, bundle = asset("theme.js"), asset("page.js"), _bundle() if charts else ""
    environment = Environment(
        loader=PackageLoader("softtargets.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {"count": numbers.count, "inline_json": inline_json, "number": numbers.number, "rate": numbers.rate}
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(
        **context,
        colours=palette.COLOURS,
        css=Markup("\n".join(asset(name) for name in styles)),
        theme_js=Markup(theme_js),
        page_js=Markup(page_js),
        bundle=Markup(bundle),
        policy=_policy([script for script in (theme_js, page_js, bundle) if script]),
        version=version("softtargets"),
    )


def put(contents: Mapping[str, bytes], folder: Path) -> Path:
    """Write files of a page that were made in memory, each renamed into place, in their order, and return the page.

    What else lies in the folder stays.

    Args:
        contents: every file by its path in the folder, ``index.html`` last.
        folder: made if it does not exist.
    """
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, data)
    return folder / "index.html"


def inline_json(data: Any) -> Markup:
    """Return JSON that is safe inside a script element."""
    return Markup(json.dumps(data, ensure_ascii=False, allow_nan=False).translate(_JSON_ESCAPES))


def data_uri(mime: str, data: bytes) -> str:
    """Return an address that holds the data itself."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@functools.cache
def asset(name: str) -> str:
    """Return a file that lies beside the templates."""
    return (files("softtargets.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    """Forbid what the page does not need: every request, and every script but these."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@functools.cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    snippet = "window.vegaEmbed = vegaEmbed;"
    return vl_convert.javascript_bundle(snippet, vl_version=VEGA_LITE).replace("</script", "<\\/script")
