"""Run the notebooks of this folder and keep what they print: `python docs/notebooks/run_notebooks.py`."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
# of a cell or a notebook: times and versions, which change with every run
_VOLATILE = ("execution", "language_info")


def executed(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of all its cells.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for part in (notebook, *notebook.cells):
        for name in _VOLATILE:
            part.metadata.pop(name, None)
    return notebook


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(executed(path), path)


if __name__ == "__main__":
    main()
