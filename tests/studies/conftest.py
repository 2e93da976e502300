"""Simulated records and results, so that what is known of them can be looked for; and copies of a study to edit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from studies.simulated import simulate as simulate_results

from softtargets.studies.catalog import find
from softtargets.studies.page import files
from softtargets.studies.records import CellKey, CellRecord
from softtargets.studies.results import StudyResults

Make = Callable[..., StudyResults]
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


@pytest.fixture
def make_results() -> Make:
    """Return a function that simulates results; `hostile` puts markup into every name that a user can choose."""
    return simulate_results


@pytest.fixture
def results() -> StudyResults:
    """Return simulated results with ordinary names."""
    return simulate_results()


@pytest.fixture(scope="session")
def built() -> dict[str, bytes]:
    """Return the files of the report on ordinary results."""
    return files.build(simulate_results())


@pytest.fixture(scope="session")
def hostile_page() -> str:
    """Return the page on hostile results."""
    return files.build(simulate_results(hostile=True))["index.html"].decode()
