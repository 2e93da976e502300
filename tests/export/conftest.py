"""One small trained run on every kind of inputs."""

from collections.abc import Callable

import pytest
from classifiers import run_on

from softtargets.train import LoadedRun


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LoadedRun]:
    """Return a function from a kind of inputs to the loaded run."""
    runs: dict[str, LoadedRun] = {}

    def of(kind: str) -> LoadedRun:
        if kind not in runs:
            runs[kind] = run_on(kind, tmp_path_factory.mktemp("run"))
        return runs[kind]

    return of
