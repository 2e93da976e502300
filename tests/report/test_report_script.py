"""The script of pages with charts, and its copy in the cache folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from softtargets.report import script
from softtargets.report.script import cache_folder, charts_script


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """An empty cache folder, and what was built since; a text that needs escaping takes the script's place."""
    built: list[str] = []

    def build(snippet: str, vl_version: str) -> str:
        built.append(vl_version)
        return f"{snippet} '</script>' 'é'"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(script.vl_convert, "javascript_bundle", build)
    charts_script.cache_clear()
    yield built
    charts_script.cache_clear()


def again() -> str:
    """Return the script as another process would."""
    charts_script.cache_clear()
    return charts_script()


def files(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "softtargets").iterdir())


def test_the_script_is_built_once_and_then_read(builds: list[str], tmp_path: Path):
    first = charts_script()
    assert first == r"window.vegaEmbed = vegaEmbed; '<\/script>' 'é'"
    assert again() == first
    assert len(builds) == 1
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"alert(1)", b"0" * 64 + b"\nalert(1)"])
def test_a_damaged_file_is_replaced(builds: list[str], tmp_path: Path, content: bytes):
    first = charts_script()
    (file,) = files(tmp_path)
    good = file.read_bytes()
    file.write_bytes(content or good[:-1])
    assert again() == first
    assert len(builds) == 2
    assert file.read_bytes() == good


def test_another_version_has_a_file_of_its_own(builds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    charts_script()
    monkeypatch.setattr(script, "VEGA_LITE", "0.1")
    again()
    assert builds[1] == "0.1"
    assert len(files(tmp_path)) == 2


def test_a_folder_that_cannot_be_written_is_not_needed(builds: list[str], tmp_path: Path):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert charts_script() == again()
    assert len(builds) == 2


def test_a_pipe_in_place_of_the_file_is_not_read(builds: list[str], tmp_path: Path):
    first = charts_script()
    (file,) = files(tmp_path)
    file.unlink()
    os.mkfifo(file)
    assert again() == first


def test_without_a_home_folder_there_is_no_cache(builds: list[str], monkeypatch: pytest.MonkeyPatch):
    def no_home() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() is None
    assert charts_script() == again()
    assert len(builds) == 2
