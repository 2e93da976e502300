"""Figures as SVG and PNG, converted by vl-convert, which the extra `figures` installs."""

import re
from types import ModuleType
from typing import Any

import altair as alt

from softtargets import _packages

# The version of Vega-Lite for which Altair writes; vl-convert contains several.
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
_INSTALL = "softtargets[figures]"
_PACKAGE = "vl_convert"
_RESOLUTION = 150.0
_CLIP = re.compile(r'(?<=id=")clip\d+(?=")|(?<=url\(#)clip\d+(?=\))')


def is_available() -> bool:
    """Return whether figures can be converted."""
    return _packages.is_installed(_PACKAGE)


def to_svg(specification: dict[str, Any]) -> str:
    """Return a Vega-Lite specification as SVG; equal specifications give equal files.

    Raises:
        InputError: if vl-convert is not installed.
    """
    drawn = _converter("svg").vegalite_to_svg(specification, vl_version=VEGA_LITE)
    # The converter numbers clip paths consecutively over drawings. Renumbering makes equal figures equal files.
    first = {name: f"clip{i}" for i, name in enumerate(dict.fromkeys(_CLIP.findall(drawn)))}
    return _CLIP.sub(lambda found: first[found.group()], drawn)


def to_png(specification: dict[str, Any]) -> bytes:
    """Return a Vega-Lite specification as PNG.

    Raises:
        InputError: if vl-convert is not installed.
    """
    return _converter("png").vegalite_to_png(specification, vl_version=VEGA_LITE, ppi=_RESOLUTION)


def _converter(argument: str) -> ModuleType:
    return _packages.load(_PACKAGE, argument, _INSTALL)
