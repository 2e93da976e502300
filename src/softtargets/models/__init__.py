"""The small networks of the papers, built from a specification.

Names are imported when first used, so that a specification can be read without waiting for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softtargets.models._build import MODELS, build
    from softtargets.models.alexnet import AlexNet
    from softtargets.models.convnet import ConvNet
    from softtargets.models.mlp import Mlp
    from softtargets.models.resnet import ResNet
    from softtargets.models.spec import AlexNetSpec, ConvNetSpec, MlpSpec, ModelSpec, ResNetSpec

__all__ = [
    "MODELS",
    "AlexNet",
    "AlexNetSpec",
    "ConvNet",
    "ConvNetSpec",
    "Mlp",
    "MlpSpec",
    "ModelSpec",
    "ResNet",
    "ResNetSpec",
    "build",
]

_HOME = {
    "MODELS": "_build",
    "AlexNet": "alexnet",
    "AlexNetSpec": "spec",
    "ConvNet": "convnet",
    "ConvNetSpec": "spec",
    "Mlp": "mlp",
    "MlpSpec": "spec",
    "ModelSpec": "spec",
    "ResNet": "resnet",
    "ResNetSpec": "spec",
    "build": "_build",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"softtargets.models.{_HOME[name]}"), name)
    raise AttributeError(f"module 'softtargets.models' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
