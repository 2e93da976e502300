"""The ResNeXt networks for CIFAR of Xie et al. 2017, Sec. 5.3."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import nn

from softtargets._checks import check_num_classes
from softtargets.models.layers import PooledNetwork, ResidualBlock, bottleneck, conv_norm
from softtargets.models.network import (
    NetworkSpec,
    Width,
    check_depth,
    checked_image,
    depth_rule,
    draw_convolutions,
    model,
)

MAX_DEPTH = 1001


class ResNeXt(PooledNetwork):
    """Three stages of n bottlenecks whose 3x3 convolution is divided into `cardinality` groups; depth = 9n + 2.

    The groups have `base_width`, 2 base_width and 4 base_width channels in the three stages, and blocks return 4, 8 and
    16 times `width` channels. The last two stages halve the resolution.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        depth: 9n + 2 with n >= 1.
        cardinality: Number of groups.
        base_width: Channels of a group in the first stage. ResNeXt-29, 8x64d has cardinality 8 and base_width 64.
        width: Channels of the first layer; the paper's is 64.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, another depth, or inputs of another shape.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        depth: int = 11,
        cardinality: int = 4,
        base_width: int = 8,
        width: int = 16,
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        check_depth(depth, 9, 2)
        self.input_shape = checked_image(input_shape)
        layers: list[nn.Module] = [conv_norm(self.input_shape[0], width), nn.ReLU(inplace=True)]
        fan_in = width
        for stage in range(3):
            for place in range((depth - 2) // 9):
                inner, fan_out = cardinality * base_width * 2**stage, 4 * width * 2**stage
                stride = 2 if stage and not place else 1
                residual = bottleneck(fan_in, inner, fan_out, stride, cardinality)
                layers.append(ResidualBlock(residual, fan_in, fan_out, stride))
                fan_in = fan_out
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(fan_in, num_classes)
        draw_convolutions(self)


@model("resnext")
class ResNeXtSpec(NetworkSpec):
    """The CIFAR ResNeXt of Xie et al. 2017: depth = 9n + 2 layers, `cardinality` groups of `base_width` channels.

    The paper's ResNeXt-29, 8x64d is depth = 29, cardinality = 8, base_width = 64, width = 64.
    """

    network = ResNeXt

    depth: Annotated[int, Field(le=MAX_DEPTH), depth_rule(9, 2)] = 11
    cardinality: Width = 4
    base_width: Width = 8
    width: Width = 16
