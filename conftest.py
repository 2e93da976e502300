"""What every test has: names for doctests, and the kernels that the environment chooses."""

from collections.abc import Iterator

import pytest
import torch

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
