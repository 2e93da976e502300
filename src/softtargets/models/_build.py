"""Every network by the name that a specification gives it."""

from collections.abc import Sequence

from torch import nn

from softtargets.models.alexnet import AlexNet
from softtargets.models.convnet import ConvNet
from softtargets.models.mlp import Mlp
from softtargets.models.resnet import ResNet
from softtargets.models.spec import AlexNetSpec, ConvNetSpec, MlpSpec, ResNetSpec

MODELS: dict[str, type[Mlp] | type[ConvNet] | type[ResNet] | type[AlexNet]] = {
    "mlp": Mlp,
    "convnet": ConvNet,
    "resnet": ResNet,
    "alexnet": AlexNet,
}


def build(
    spec: MlpSpec | ConvNetSpec | ResNetSpec | AlexNetSpec, *, input_shape: Sequence[int], num_classes: int
) -> nn.Module:
    """Build the network of a specification; its initial weights come from torch's global generator.

    Args:
        spec: Which network; its fields are the class's own arguments.
        input_shape: Shape of one input without the batch: (C, H, W) of an image, (D,) of a row of a table.
        num_classes: At least 2.

    Returns:
        A module with ``features(inputs)`` -> (N, D), ``head``, its last linear layer, and ``forward``, the head of
        the features: (N, K) logits.

    Raises:
        InputError: an input shape that the network cannot take.

    Example:
        >>> from softtargets.models.spec import MlpSpec
        >>> build(MlpSpec(hidden=(5,)), input_shape=(1, 8, 8), num_classes=10).head
        Linear(in_features=5, out_features=10, bias=True)
    """
    return MODELS[spec.name](input_shape, num_classes, **spec.model_dump(exclude={"name"}))
