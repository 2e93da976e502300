"""The script of pages with charts. Building it takes seconds and 100 MB, so it is kept in the user's cache folder."""

import contextlib
import functools
import hashlib
import os
import sys
from importlib.metadata import version
from pathlib import Path

import vl_convert

from softtargets._storage import UnfitFileError, read_regular, write_atomically
from softtargets.report.drawing import VEGA_LITE

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@functools.cache
def charts_script() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script.

    It is read from the cache folder if a file there has this version and is complete, and else built and written there.
    Any number of processes may do this at once. A folder that cannot be read or written only costs time.
    """
    path = _path()
    kept = None if path is None else _read(path)
    if kept is not None:
        return kept
    script = vl_convert.javascript_bundle(_SNIPPET, vl_version=VEGA_LITE).replace("</script", "<\\/script")
    if path is not None:
        _write(path, script)
    return script


def cache_folder() -> Path | None:
    """Return the folder for files that can be built again; None if the user has no home folder.

    It is ``softtargets`` in ``$XDG_CACHE_HOME`` if that is set; else in ``~/.cache``, on macOS ``~/Library/Caches``
    and on Windows ``%LOCALAPPDATA%``.
    """
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "softtargets"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "softtargets" / "cache"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "softtargets"


def _path() -> Path | None:
    """Return the file of the script, which is named after all that determines its content."""
    folder = cache_folder()
    parts = (version("vl-convert-python"), VEGA_LITE, _SNIPPET)
    return folder and folder / f"charts-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}.js"


def _read(path: Path) -> str | None:
    """Return the script in a file; None if there is none, or if it differs from the checksum in its first line."""
    try:
        checksum, _, script = read_regular(path).partition(b"\n")
    except (OSError, UnfitFileError):
        return None
    return script.decode() if hashlib.sha256(script).hexdigest().encode() == checksum else None


def _write(path: Path, script: str) -> None:
    content = script.encode()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
