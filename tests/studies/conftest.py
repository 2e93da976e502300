"""Simulated records, so that verdicts are tested on numbers that are known."""

from collections.abc import Callable

import pytest

from softtargets.studies.results import CellKey, CellRecord

Simulate = Callable[..., tuple[CellRecord, ...]]


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
