"""Garbage collection while a command imports what it needs."""

import gc
import sys

import pytest

from softtargets.cli import main
from softtargets.cli.imports import without_collections


@pytest.fixture(autouse=True)
def _thawed():
    yield
    gc.unfreeze()
    gc.enable()


def test_no_collection_runs_during_imports_and_their_objects_are_left_out_later():
    before = gc.get_freeze_count()
    with without_collections():
        assert not gc.isenabled()
        made: list[object] = [[] for _ in range(10)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_a_failed_import_turns_collections_on_again():
    with pytest.raises(ImportError, match="absent"), without_collections():
        raise ImportError("absent")
    assert gc.isenabled()


def test_disabled_collections_stay_disabled():
    gc.disable()
    with without_collections():
        pass
    assert not gc.isenabled()


def test_without_the_lab_the_command_names_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "typer", None)  # importing it then raises ModuleNotFoundError
    with pytest.raises(SystemExit, match=r"requires the package 'typer'; .*pip install 'softtargets\[lab\]'"):
        main()
