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
    """Return a function that copies a study and replaces text in its TOML files; each text must be in one of them."""

    def make(*changes: tuple[str, str], claims: str | None = None, name: str = "copy") -> Path:
        folder = tmp_path / name
        shutil.copytree(find("lukasik2020"), folder)
        texts = {path: path.read_text() for path in folder.glob("*.toml")}
        for old, new in changes:
            assert any(old in text for text in texts.values())
            texts = {path: text.replace(old, new) for path, text in texts.items()}
        if claims is not None:
            texts |= {path: "" for path in texts if path.name.startswith("claims")} | {folder / "claims.toml": claims}
        for path, text in texts.items():
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
