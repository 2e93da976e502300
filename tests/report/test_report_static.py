"""Figures as SVG and PNG, with and without vl-convert."""

import io
import sys

import pytest
from PIL import Image

from softtargets._errors import InputError
from softtargets.report import static
from softtargets.report.drawing import Drawing, Panel

DRAWING = Drawing((), (Panel("", lambda style: style.upright(0.5, "half"), "share"),), "")


@pytest.fixture
def without_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)


def test_a_figure_is_an_image() -> None:
    assert static.is_available()
    svg = DRAWING.svg()
    assert svg.startswith("<svg")
    assert ">half</text>" in svg
    assert svg == DRAWING.svg()
    image = Image.open(io.BytesIO(DRAWING.png()))
    assert image.format == "PNG"
    # 150 pixels per inch of 72 units: 560 units of the panel, and padding
    assert image.width > 560 * 150 / 72
    assert DRAWING.still().startswith("data:image/svg+xml;base64,")


@pytest.mark.usefixtures("without_converter")
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_without_the_converter_the_error_names_the_extra(kind: str) -> None:
    message = rf"^{kind}: the package vl_convert; got no such package; run pip install 'softtargets\[figures\]'$"
    with pytest.raises(InputError, match=message):
        getattr(DRAWING, kind)()


@pytest.mark.usefixtures("without_converter")
def test_without_the_converter_there_is_no_still() -> None:
    assert not static.is_available()
    assert DRAWING.still() == ""
