"""The small networks of the papers, each in one file with its specification.

Every file of this folder is imported automatically.
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
