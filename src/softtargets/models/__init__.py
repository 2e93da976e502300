"""The small networks of the papers, built from a specification: each network and its specification in one file.

A file of this folder is imported because it is here; nothing lists it.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from softtargets._spec import union_of
from softtargets.models.network import MODELS, ModelSpec, model

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

if TYPE_CHECKING:
    AnyModel = ModelSpec
else:
    AnyModel = union_of(MODELS)

__all__ = ["MODELS", "AnyModel", "ModelSpec", "model"]
