"""Names that every doctest may use."""

import pytest
import torch

# else a warning that torch gives once per process would fail whichever test comes first, and hide in the others
torch.set_warn_always(True)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["torch"] = torch
