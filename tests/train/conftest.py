"""Small runs on the embedded data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from softtargets._spec import merged
from softtargets.data import fingerprint
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.train.execute import resolve

SMALL = {
    "data": {"name": "digits", "limit": {"train": 120, "validation": 40, "test": 60}},
    "model": {"name": "mlp", "hidden": [16]},
    "optimizer": {"learning_rate": 0.1, "nesterov": True},
    "training": {"epochs": 4, "batch_size": 32, "precision": "float32"},
}

MakeRun = Callable[..., ResolvedRun]


@pytest.fixture(scope="session")
def small_run() -> MakeRun:
    """Return a function from changes of a small specification to a resolved run."""
    prints: dict[str, str] = {}

    def make(**changes) -> ResolvedRun:
        run = RunSpec.parse(merged(SMALL, changes))
        name = run.data.name
        if name not in prints or Path(name).exists():
            prints[name] = fingerprint(run.data)
        return resolve(run, prints[name])

    return make
