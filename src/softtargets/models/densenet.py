"""The densely connected networks with bottlenecks and compression (DenseNet-BC) of Huang et al. 2017, for CIFAR."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets.models.layers import PooledNetwork, conv, norm_relu
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
# Two transitions halve the resolution by pooling.
LEAST_PIXELS = 4


class DenseNet(PooledNetwork):
    """Three dense blocks of n layers; each layer adds `growth` channels to all before it; depth = 6n + 4.

    A layer is a 1x1 convolution to 4 growth channels and a 3x3 convolution to `growth`, each after batch normalisation
    and ReLU. A transition between blocks halves the channels by a 1x1 convolution (compression .5) and the resolution
    by average pooling. The first layer has 2 growth channels.

    Args:
        input_shape: (C, H, W) of one image; H and W at least 4.
        num_classes: At least 2.
        depth: 6n + 4 with n >= 1; the paper has 100, 190 and 250.
        growth: Channels that each layer adds; the paper has 12, 24 and 40.

    Raises:
        InputError: a shape other than (C, H, W), too few pixels, fewer than 2 classes, another depth, or inputs of
            another shape.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, depth: int = 40, growth: int = 12) -> None:
        super().__init__()
        check_num_classes(num_classes)
        check_depth(depth, 6, 4)
        self.input_shape = checked_image(input_shape, least=LEAST_PIXELS)
        channels = 2 * growth
        layers: list[nn.Module] = [conv(self.input_shape[0], channels)]
        for block in range(3):
            for _ in range((depth - 4) // 6):
                layers.append(_Layer(channels, growth))
                channels += growth
            if block < 2:
                layers += [norm_relu(channels), conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
                channels //= 2
        self.body = nn.Sequential(*layers, norm_relu(channels))
        self.head = nn.Linear(channels, num_classes)
        draw_convolutions(self)


@model("densenet")
class DenseNetSpec(NetworkSpec):
    """DenseNet-BC for CIFAR of Huang et al. 2017: depth = 6n + 4 layers, each of which adds `growth` channels."""

    network = DenseNet

    depth: Annotated[int, Field(le=MAX_DEPTH), depth_rule(6, 4)] = 40
    growth: Width = 12


class _Layer(nn.Module):
    def __init__(self, fan_in: int, growth: int) -> None:
        super().__init__()
        self.new = nn.Sequential(
            *(norm_relu(fan_in), conv(fan_in, 4 * growth, 1)), *(norm_relu(4 * growth), conv(4 * growth, growth))
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs, self.new(inputs)], dim=1)
