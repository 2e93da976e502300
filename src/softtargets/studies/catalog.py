"""Finding studies, by name or folder, and reading their ``study.toml``.

This module imports neither torch nor the registries, so that `softtargets list` is fast.
"""

from importlib.resources import files
from pathlib import Path

from softtargets._errors import fail, unknown
from softtargets._spec import read_toml
from softtargets._storage import user_path
from softtargets.studies.schema import Study
from softtargets.studies.templating import expand_templates

STUDY = "study.toml"


def shipped() -> dict[str, Path]:
    """Return the folders of the studies in this package, by name."""
    root = Path(str(files("softtargets.studies")))
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{STUDY}"))}


def find(study: str) -> Path:
    """Return the folder of a study, by name or by path.

    Raises:
        InputError: no such study, with the nearest name.
    """
    known = shipped()
    if study in known:
        return known[study]
    folder = user_path("study", study)
    folder = folder.parent if folder.name == STUDY else folder
    if (folder / STUDY).is_file():
        return folder
    if folder.is_dir():
        raise fail("study", f"a folder with {STUDY}", f"'{study}'", f"add {STUDY}, or use one of {', '.join(known)}")
    raise unknown("study", study, known)


def read_study(folder: Path) -> Study:
    """Read ``study.toml`` and validate it against the schema; :func:`load.load_study` checks the rest.

    Raises:
        InputError: an invalid file, with the key and the nearest valid name.
    """
    return Study.parse(expand_templates(read_toml(folder / STUDY), folder / STUDY), source=str(folder / STUDY))


def list_studies() -> list[Study]:
    """Return all studies of this package."""
    return [read_study(folder) for folder in shipped().values()]
