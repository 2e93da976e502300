"""The wide residual networks of Zagoruyko and Komodakis 2016."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import nn

from softtargets._checks import check_num_classes
from softtargets._spec import Share
from softtargets.models.layers import PooledNetwork, PreActivationBlock, conv, norm_relu
from softtargets.models.network import (
    NetworkSpec,
    Width,
    check_depth,
    checked_image,
    depth_rule,
    draw_convolutions,
    model,
)

MAX_DEPTH = 1000
STEM_WIDTH = 16


class WideResNet(PooledNetwork):
    """WRN-depth-widen: a 3x3 layer of 16 channels, three stages of n pre-activation blocks, a head; depth = 6n + 4.

    The stages have 16, 32 and 64 times `widen` channels, and the last two halve the resolution. Dropout is between the
    two convolutions of a block.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        depth: 6n + 4 with n >= 1.
        widen: The paper's widening factor k.
        dropout: In [0, 1); the paper uses .3 on CIFAR in some experiments.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, another depth, or inputs of another shape.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, depth: int = 16, widen: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        check_depth(depth, 6, 4)
        self.input_shape = checked_image(input_shape)
        layers: list[nn.Module] = [conv(self.input_shape[0], STEM_WIDTH)]
        fan_in = STEM_WIDTH
        for stage in range(3):
            for place in range((depth - 4) // 6):
                fan_out = STEM_WIDTH * widen * 2**stage
                layers.append(_Block(fan_in, fan_out, 2 if stage and not place else 1, dropout))
                fan_in = fan_out
        self.body = nn.Sequential(*layers, norm_relu(fan_in))
        self.head = nn.Linear(fan_in, num_classes)
        draw_convolutions(self)


@model("wide_resnet")
class WideResNetSpec(NetworkSpec):
    """The wide ResNet of Zagoruyko and Komodakis 2016: depth = 6n + 4 layers, widening factor `widen`, and dropout."""

    network = WideResNet

    depth: Annotated[int, Field(le=MAX_DEPTH), depth_rule(6, 4)] = 16
    widen: Width = 2
    dropout: Share = 0.0


class _Block(PreActivationBlock):
    def __init__(self, fan_in: int, fan_out: int, stride: int, dropout: float) -> None:
        residual = nn.Sequential(
            conv(fan_in, fan_out, 3, stride), norm_relu(fan_out), nn.Dropout(dropout), conv(fan_out, fan_out)
        )
        super().__init__(residual, fan_in, fan_out, stride)
