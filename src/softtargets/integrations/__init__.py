"""Our methods as other libraries' own kinds of object: `torchmetrics.Metric`, scikit-learn estimators.

Each module is named after its library, and imports it when one of its classes is first used.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softtargets.integrations import sklearn, torchmetrics

__all__ = ["sklearn", "torchmetrics"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"softtargets.integrations.{name}")
    raise AttributeError(f"module 'softtargets.integrations' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
