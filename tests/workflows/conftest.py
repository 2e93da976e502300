"""A shipped study, and copies of it that a test may edit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softtargets.studies.catalog import find

EditedCopy = Callable[..., Path]


@pytest.fixture
def edited_copy(tmp_path) -> EditedCopy:
    """Return a function that copies a study and replaces text in its study.toml; each text must be there."""

    def make(*changes: tuple[str, str], claims: str | None = None, name: str = "copy") -> Path:
        folder = tmp_path / name
        shutil.copytree(find("lukasik2020"), folder)
        path = folder / "study.toml"
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        if claims is not None:
            text = text[: text.index("[[claims]]")] + claims
        path.write_text(text)
        return folder

    return make


@pytest.fixture(scope="session")
def page_numbers() -> Callable[[Path], Any]:
    """Return a function that reads what a page shows, less what may differ between two runs: seconds."""

    def read(folder: Path) -> Any:
        return _without_seconds(json.loads((folder / "results.json").read_text()))

    return read


def _without_seconds(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_seconds(value) for key, value in content.items() if "seconds" not in key}
    if isinstance(content, list):
        return [_without_seconds(value) for value in content]
    return content
