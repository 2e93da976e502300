"""The names of files and classes, held by the syntax trees."""

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "softtargets"
# Files that share a first word are a package waiting to be made.
MOST_OF_ONE_PREFIX = 2


def _folders() -> list[Path]:
    return sorted({path.parent for path in SOURCE.rglob("*.py")})


def first_word(stem: str) -> str:
    return stem.strip("_").split("_")[0]


@pytest.mark.parametrize("folder", _folders(), ids=lambda folder: str(folder.relative_to(SOURCE.parent)))
def test_no_prefix_is_shared_by_three_files_of_a_folder(folder: Path) -> None:
    stems = [path.stem for path in folder.iterdir() if path.suffix == ".py" and path.stem != "__init__"]
    stems += [path.name for path in folder.iterdir() if (path / "__init__.py").exists()]
    shared = {word: n for word, n in Counter(map(first_word, stems)).items() if n > MOST_OF_ONE_PREFIX}
    assert not shared, f"make a package of the files of {folder.name} that begin with {sorted(shared)}"


def test_no_two_public_classes_share_a_name() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(SOURCE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_the_test_finds_what_it_looks_for() -> None:
    assert [first_word(stem) for stem in ("_cache_read", "cache", "audit_files")] == ["cache", "cache", "audit"]


def test_every_path_that_contributing_names_exists() -> None:
    text = (SOURCE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    layout, rest = text.split("### From command to page")
    rooms = re.findall(r"^\| (.*?) \| .*? \| (.*) \|$", layout, re.MULTILINE)
    for room, files in rooms:
        places = [SOURCE / name for name in re.findall(r"`([\w/]+)/`", room)] or [SOURCE]
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", files):
            assert any((place / name).exists() for place in (*places, SOURCE)), f"{room}: {name}"
    for name in re.findall(r"`([a-z_]+/[\w/]*(?:\.py)?)`", rest):
        assert any((root / name).exists() for root in (SOURCE, SOURCE.parents[1])), name
