"""One store for all tests of measures that need a network."""

import pytest
from measures.small_runs import CLASSES, trained

from softtargets.measures.subject import Subject
from softtargets.runs.store import RunStore


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def subject(store) -> Subject:
    return Subject(trained(store), store, CLASSES)
