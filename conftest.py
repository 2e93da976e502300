"""What every test has: names for doctests, and the kernels that the environment chooses. Which doctests can run."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# a module of an integration is named after its library; its examples need it
_INTEGRATIONS = Path(__file__).parent / "src" / "softtargets" / "integrations"
collect_ignore = [
    str(path)
    for path in _INTEGRATIONS.iterdir()
    if not path.name.startswith("_") and importlib.util.find_spec(path.stem) is None
]

# else a warning that torch gives once per process would fail whichever test comes first, and hide in the others
torch.set_warn_always(True)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["torch"] = torch


@pytest.fixture(autouse=True)
def _kernels_of_the_environment() -> Iterator[None]:
    """Undo what `kernels.use_kernels` chose, once the environment variable is restored."""
    yield
    from softtargets._native import library

    library.forget()
