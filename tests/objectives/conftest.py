"""Specifications of objectives by name."""

from collections.abc import Callable
from typing import Any

import pytest
from objective_specs import CLASSES, context, parse, specification

from softtargets.objectives import Objective

# sources of transitions that the context has
TRANSITIONS = {
    "forward": {"transition": {"name": "estimated", "estimator": "dual_t", "percentile": 97.0}},
    "loss_bound": {"transition": {"name": "known"}},
}


@pytest.fixture
def written() -> Callable[[str], dict[str, Any]]:
    """Return a function from the name of an objective to the content of its specification."""

    def write(name: str) -> dict[str, Any]:
        content = {"name": name, **TRANSITIONS[name]} if name in TRANSITIONS else None
        return content or specification(name, CLASSES)

    return write


@pytest.fixture
def parsed(written) -> Callable[[str], Objective]:
    """Return a function from the name of an objective to its specification."""
    return lambda name: parse(written(name))


@pytest.fixture
def started(parsed) -> Callable[[str], Objective]:
    """Return a function from the name of an objective to one that can train."""
    return lambda name: parsed(name).started(context())
