"""Networks by name, each in one file with its specification: the papers', and any of other packages or the user's.

Every file of this folder is imported automatically.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from softtargets._spec import union_of
from softtargets.models.imported import named
from softtargets.models.network import MODELS, ModelSpec, model

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

if TYPE_CHECKING:
    AnyModel = ModelSpec
else:
    AnyModel = Annotated[union_of(MODELS), BeforeValidator(named)]

__all__ = ["MODELS", "AnyModel", "ModelSpec", "model"]
