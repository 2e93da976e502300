"""Audits in a folder of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit.simulated_audits import Run, simulate, write_arrays, write_column, write_table

from softtargets.audit import AuditOptions, audit_labels

SOURCES = ("data", "predictions", "logits", "probs")


@pytest.fixture
def audit(tmp_path, monkeypatch) -> Run:
    """Return a function that audits in a folder of its own and returns where the files are."""
    monkeypatch.chdir(tmp_path)

    def run(**settings: Any) -> Path:
        given = {name: settings.pop(name) for name in ("labels", "output", *SOURCES) if name in settings}
        options = AuditOptions(reports=Path("reports"), workers=None if "predictions" in given else 1, **settings)
        page = audit_labels(**given, options=options).page
        assert page is not None
        return page.parent

    return run


@pytest.fixture
def simulated(tmp_path) -> dict[str, np.ndarray]:
    """Write simulated predictions to held.npz and return what they hold."""
    content = simulate()
    write_arrays(tmp_path / "held.npz", content)
    return content


@pytest.fixture
def with_reference(tmp_path, simulated) -> dict[str, np.ndarray]:
    """Write data sets whose own labels are the clean ones, and the clean ones shuffled, and the observed labels."""
    inputs = np.log(simulated["probs"]).round(3)
    write_table(tmp_path / "true.csv", simulated["clean"], inputs)
    write_table(tmp_path / "shuffled.csv", np.random.default_rng(0).permutation(simulated["clean"]), inputs)
    write_column(tmp_path / "observed.csv", simulated["labels"])
    return simulated
