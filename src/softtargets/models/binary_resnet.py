"""ReActNet with the backbone of ResNet-18 or 34 (Liu et al. 2020), the binary student of Shen et al. 2021, Fig. 6."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets.models.binary import BinaryConv2d, RPReLU, RSign
from softtargets.models.imagenet_resnet import STAGES
from softtargets.models.layers import PooledNetwork, Stem, conv, residual_stem
from softtargets.models.network import NetworkSpec, Width, checked_image, draw_convolutions, model

BinaryDepth = Literal[18, 34]


class BinaryResNet(PooledNetwork):
    """A ResNet whose 3x3 convolutions are binary, each with RSign before it, a shortcut of its own and RPReLU after it.

    x -> RPReLU(norm(binary convolution(RSign(x))) + shortcut(x))

    The first convolution, the 1x1 convolutions of shortcuts that change the shape (after 2x2 average pooling) and the
    head have real weights. There is no ReLU after the first convolution, since all signs would be +1.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        depth: 18 or 34.
        width: Channels of the first of four stages; the paper's is 64.
        stem: "small": a 3x3 convolution, for images of about 32x32 pixels. "large": the paper's 7x7 convolution and
            max pooling, which divide the resolution by 4.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, or inputs of another shape.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        depth: BinaryDepth = 18,
        width: int = 64,
        stem: Stem = "small",
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_image(input_shape)
        layers: list[nn.Module] = [residual_stem(self.input_shape[0], width, stem, nn.BatchNorm2d(width))]
        fan_in = width
        for stage, count in enumerate(STAGES[depth]):
            # two convolutions per block of the ResNet, each a unit here
            for place in range(2 * count):
                fan_out = width * 2**stage
                layers.append(_Unit(fan_in, fan_out, 2 if stage and not place else 1))
                fan_in = fan_out
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(fan_in, num_classes)
        draw_convolutions(self)


@model("binary_resnet")
class BinaryResNetSpec(NetworkSpec):
    """ReActNet on ResNet-18 or 34: signs of weights and activations in all 3x3 convolutions but the first.

    `stem` is "small" for images of about 32x32 pixels and "large" for those of ImageNet.
    """

    network = BinaryResNet

    depth: BinaryDepth = 18
    width: Width = 64
    stem: Stem = "small"


class _Unit(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(RSign(fan_in), BinaryConv2d(fan_in, fan_out, 3, stride), nn.BatchNorm2d(fan_out))
        # rounds odd sizes up, as the convolution does
        pool = nn.AvgPool2d(2, stride, ceil_mode=True) if stride > 1 else nn.Identity()
        same = stride == 1 and fan_in == fan_out
        projection = nn.Identity() if same else nn.Sequential(conv(fan_in, fan_out, 1), nn.BatchNorm2d(fan_out))
        self.shortcut = nn.Sequential(pool, projection)
        self.activation = RPReLU(fan_out)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.activation(self.residual(inputs) + self.shortcut(inputs))
