"""The residual networks for ImageNet of He et al. 2016, Table 1, with a first layer for small images too."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import nn

from softtargets._checks import check_num_classes
from softtargets.models.layers import (
    PooledNetwork,
    ResidualBlock,
    Stem,
    bottleneck,
    conv_norm,
    norm_relu,
    residual_stem,
)
from softtargets.models.network import NetworkSpec, Width, checked_image, draw_convolutions, model

Depth = Literal[18, 34, 50, 101, 152]
# Depth -> blocks of each of the four stages. From 50 layers on, blocks are bottlenecks.
STAGES: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
BOTTLENECK_FROM = 50
EXPANSION = 4


class ImageNetResNet(PooledNetwork):
    """Four stages of basic blocks (18 and 34 layers) or bottlenecks (50, 101, 152), global average pooling, a head.

    The stages have 1, 2, 4 and 8 times `width` channels, times 4 with bottlenecks. The last three halve the resolution.
    Where the shape changes, the shortcut is a 1x1 convolution with batch normalisation (the paper's option B). A
    bottleneck has its stride in the 3x3 convolution, as in torchvision; the paper has it in the first 1x1 one.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        depth: 18, 34, 50, 101 or 152.
        width: Channels of the first stage; the paper's is 64.
        stem: "small": a 3x3 convolution, for images of about 32x32 pixels. "large": the paper's 7x7 convolution and
            max pooling, which divide the resolution by 4.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, or inputs of another shape.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, depth: Depth = 18, width: int = 64, stem: Stem = "small"
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_image(input_shape)
        blocks, fan_in = stages(depth, width, _Bottleneck if depth >= BOTTLENECK_FROM else _Basic)
        layers = [residual_stem(self.input_shape[0], width, stem, norm_relu(width)), *blocks]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(fan_in, num_classes)
        draw_convolutions(self)


@model("imagenet_resnet")
class ImageNetResNetSpec(NetworkSpec):
    """ResNet-18, 34, 50, 101 or 152 of He et al. 2016 with `width` channels in the first of four stages.

    `stem` is "small" for images of about 32x32 pixels and "large" for those of ImageNet.
    """

    network = ImageNetResNet

    depth: Depth = 18
    width: Width = 64
    stem: Stem = "small"


def stages(depth: int, width: int, block: Callable[[int, int, int, int], nn.Module]) -> tuple[list[nn.Module], int]:
    """Return the blocks of the four stages of a depth in `STAGES`, and the number of channels after them.

    Args:
        depth: of the network.
        width: channels of its first layer.
        block: (fan_in, inner, fan_out, stride) -> a block.
    """
    blocks: list[nn.Module] = []
    expansion, fan_in = (EXPANSION if depth >= BOTTLENECK_FROM else 1), width
    for stage, count in enumerate(STAGES[depth]):
        inner = width * 2**stage
        for place in range(count):
            blocks.append(block(fan_in, inner, inner * expansion, 2 if stage and not place else 1))
            fan_in = inner * expansion
    return blocks, fan_in


class _Basic(ResidualBlock):
    def __init__(self, fan_in: int, inner: int, fan_out: int, stride: int) -> None:
        residual = nn.Sequential(
            conv_norm(fan_in, inner, 3, stride), nn.ReLU(inplace=True), conv_norm(inner, fan_out, 3)
        )
        super().__init__(residual, fan_in, fan_out, stride)


class _Bottleneck(ResidualBlock):
    def __init__(self, fan_in: int, inner: int, fan_out: int, stride: int) -> None:
        super().__init__(bottleneck(fan_in, inner, fan_out, stride), fan_in, fan_out, stride)
