"""The script of pages with charts that the package contains is what the pinned vl-convert makes for Altair."""

import gzip
from pathlib import Path

import altair as alt
import chart_script
import vl_convert

from softtargets.report.frame import CHARTS

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "run python docs/chart_script.py"
VERSIONS = {
    "vega": vl_convert.get_vega_version(),
    "vega-lite": alt.SCHEMA_VERSION.removeprefix("v"),
    "vega-embed": vl_convert.get_vega_embed_version(),
}


def test_the_packed_script_is_that_of_vl_convert() -> None:
    packed = gzip.decompress(CHARTS.read_bytes()).decode()
    assert packed == chart_script.build(), AGAIN
    for name in ("vega", "vega-lite"):
        assert f'"{VERSIONS[name]}"' in packed, f"{name} {VERSIONS[name]}"
    # it is inside a script element
    assert "</script" not in packed


def test_equal_scripts_are_packed_to_equal_files() -> None:
    assert CHARTS.read_bytes()[4:8] == b"\0\0\0\0"  # the time in the head of the file


def test_the_licences_are_those_of_these_versions() -> None:
    licences = (ROOT / "LICENSE-charts").read_text(encoding="utf-8")
    for name, version in VERSIONS.items():
        assert f"{name} {version}" in licences, "compare LICENSE-charts with the licences of the new versions"
