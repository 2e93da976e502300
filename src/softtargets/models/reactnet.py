"""ReActNet of Liu et al. 2020: MobileNet with binary convolutions, for small images too."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets.models.binary import BinaryConv2d, RPReLU, RSign
from softtargets.models.layers import PooledNetwork, Stem, conv_norm
from softtargets.models.network import NetworkSpec, Width, checked_image, draw_convolutions, model

# Channels of each block relative to the first layer. A block halves the resolution where the channels double, except
# the first one.
CHANNELS = (2, 4, 4, 8, 8, *(16,) * 6, 32, 32)


class ReActNet(PooledNetwork):
    """Blocks of a binary 3x3 and a binary 1x1 convolution, each with RSign, a shortcut and RPReLU, as in the paper.

    A block that halves the resolution averages 2x2 pixels in its first shortcut. A block that doubles the channels
    duplicates its activations: two 1x1 convolutions with a shortcut each, whose results are concatenated. So no
    shortcut has real-valued convolutions. The first convolution and the head have real weights.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        width: Channels of the first layer; the paper's is 32.
        stem: "large": the paper's strides, which divide the resolution by 32. "small": the first layer and the second
            block have stride 1, which divides it by 8, for images of about 32x32 pixels.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, or inputs of another shape.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, width: int = 32, stem: Stem = "small") -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_image(input_shape)
        slow = stem == "small"
        layers: list[nn.Module] = [conv_norm(self.input_shape[0], width, 3, 1 if slow else 2)]
        fan_in = width
        for place, scale in enumerate(CHANNELS):
            fan_out = width * scale
            halved = fan_out != fan_in and place >= (2 if slow else 1)
            layers.append(_Block(fan_in, fan_out, 2 if halved else 1))
            fan_in = fan_out
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(fan_in, num_classes)
        draw_convolutions(self)


@model("reactnet")
class ReActNetSpec(NetworkSpec):
    """ReActNet of Liu et al. 2020: binary convolutions in the blocks of MobileNet, `width` channels in the first layer.

    `stem` is "small" for images of about 32x32 pixels and "large" for those of ImageNet.
    """

    network = ReActNet

    width: Width = 32
    stem: Stem = "small"


class _Block(nn.Module):
    """The 3x3 unit keeps the channels; the 1x1 unit keeps or doubles them."""

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(RSign(fan_in), BinaryConv2d(fan_in, fan_in, 3, stride), nn.BatchNorm2d(fan_in))
        # rounds odd sizes up, as the convolution does
        self.shortcut = nn.AvgPool2d(2, 2, ceil_mode=True) if stride > 1 else nn.Identity()
        self.first = RPReLU(fan_in)
        self.sign = RSign(fan_in)
        copies = fan_out // fan_in
        self.pointwise = nn.ModuleList(
            nn.Sequential(BinaryConv2d(fan_in, fan_in, 1), nn.BatchNorm2d(fan_in)) for _ in range(copies)
        )
        self.second = RPReLU(fan_out)

    def forward(self, inputs: Tensor) -> Tensor:
        signal = self.first(self.spatial(inputs) + self.shortcut(inputs))
        signs = self.sign(signal)
        return self.second(torch.cat([each(signs) + signal for each in self.pointwise], dim=1))
