"""``python docs/chart_script.py``: pack the script of pages with charts, which the package contains.

Run it when the versions of altair or vl-convert change in constraints.txt. It writes ``charts.js.gz``: Vega, Vega-Lite
and Vega-Embed as vl-convert has them, in the version of Vega-Lite for which Altair writes. Their licences are in
``LICENSE-charts``, which is changed by hand; a test compares the versions.
"""

import gzip

import vl_convert

from softtargets.report.frame import CHARTS
from softtargets.report.static import VEGA_LITE


def build() -> str:
    """Return the script, which defines ``vegaEmbed``; building takes seconds."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return script.replace("</script", "<\\/script")


if __name__ == "__main__":
    CHARTS.write_bytes(gzip.compress(build().encode(), 9, mtime=0))
    print(f"{CHARTS}: Vega-Lite {VEGA_LITE}")
