"""The methods that are compared: one class per method, with its candidates and its name.

Every file of this folder is imported automatically.
"""

import importlib
import pkgutil

from softtargets.compare.methods.method import (
    BASELINE,
    METHODS,
    ComparedMethod,
    DataFacts,
    MethodCandidate,
    chosen_methods,
    compared,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["BASELINE", "METHODS", "ComparedMethod", "DataFacts", "MethodCandidate", "chosen_methods", "compared"]
