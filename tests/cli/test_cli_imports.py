"""Garbage collection while a command imports what it needs."""

import gc

import pytest

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
