"""The notebooks run, and print what is stored in them."""

import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

import nbformat  # noqa: E402

sys.path.insert(0, str(FOLDER))
from run_notebooks import executed  # noqa: E402


def outputs(notebook: nbformat.NotebookNode) -> list[tuple[str, ...]]:
    """The kinds of output of each code cell. A slow machine may send what a cell prints in several pieces."""
    return [
        tuple(sorted({kind for output in cell.outputs for kind in output.get("data", {output.get("name", ""): ""})}))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def printed(notebook: nbformat.NotebookNode) -> list[float]:
    """The numbers that are printed."""
    streams = [output.text for cell in notebook.cells for output in cell.get("outputs", ()) if "text" in output]
    return [float(number) for number in re.findall(r"\d+\.?\d*", " ".join(streams))]


def test_there_are_two() -> None:
    assert len(NOTEBOOKS) >= 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_is_stored(path: Path) -> None:
    stored, now = nbformat.read(path, as_version=4), executed(path)
    assert outputs(now) == outputs(stored)
    assert printed(stored)
    # other processors round differently: a few rows may be on the other side of a threshold
    assert printed(now) == pytest.approx(printed(stored), rel=0.05, abs=0.01)
    assert not any(output.output_type == "error" for cell in stored.cells for output in cell.get("outputs", ()))
