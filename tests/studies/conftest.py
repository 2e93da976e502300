"""Simulated records, so that verdicts are tested on numbers that are known; and copies of a study to edit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softtargets.studies.catalog import find
from softtargets.studies.results import CellKey, CellRecord

Simulate = Callable[..., tuple[CellRecord, ...]]
EditedCopy = Callable[..., Path]


@pytest.fixture
def simulate() -> Simulate:
    """Return a function from {(arm, level, noise): [value per seed]} of one metric to records."""

    def make(values: dict[tuple[str, float, float], list[float | None]], metric: str = "test.accuracy"):
        return tuple(
            CellRecord(
                CellKey(*key),
                seed,
                run_id=f"{key}{seed}",
                status="complete" if value is not None else "failed",
                metrics={metric: value} if value is not None else {},
            )
            for key, row in values.items()
            for seed, value in enumerate(row)
        )

    return make


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
