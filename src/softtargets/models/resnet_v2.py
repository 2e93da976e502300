"""ResNet-v2 of He et al. 2016, "Identity mappings in deep residual networks": blocks with pre-activation."""

from collections.abc import Sequence

from torch import nn

from softtargets._checks import check_num_classes
from softtargets.models.imagenet_resnet import Depth, stages
from softtargets.models.layers import PooledNetwork, PreActivationBlock, Stem, conv, norm_relu, residual_stem
from softtargets.models.network import NetworkSpec, Width, checked_image, draw_convolutions, model


class ResNetV2(PooledNetwork):
    """ResNet-18 to 152 whose blocks normalise and activate before each convolution, and once more after the last stage.

    The shortcut passes the input unchanged. Where the shape changes it is a 1x1 convolution of the activated input. The
    first layer is not normalised, since the first block does that.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        depth: 18, 34 (two 3x3 convolutions per block), 50, 101 or 152 (bottlenecks).
        width: Channels of the first stage; the paper's is 64.
        stem: "small": a 3x3 convolution, for images of about 32x32 pixels. "large": a 7x7 convolution and max pooling,
            which divide the resolution by 4.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, or inputs of another shape.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, depth: Depth = 18, width: int = 64, stem: Stem = "small"
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_image(input_shape)
        blocks, fan_in = stages(depth, width, _Block)
        layers = [residual_stem(self.input_shape[0], width, stem), *blocks]
        self.body = nn.Sequential(*layers, norm_relu(fan_in))
        self.head = nn.Linear(fan_in, num_classes)
        draw_convolutions(self)


@model("resnet_v2")
class ResNetV2Spec(NetworkSpec):
    """ResNet-v2 (pre-activation) of He et al. 2016 with `width` channels in the first of four stages.

    `stem` is "small" for images of about 32x32 pixels and "large" for those of ImageNet.
    """

    network = ResNetV2

    depth: Depth = 18
    width: Width = 64
    stem: Stem = "small"


class _Block(PreActivationBlock):
    """Two 3x3 convolutions, or a bottleneck if the output is wider than the inner layers."""

    def __init__(self, fan_in: int, inner: int, fan_out: int, stride: int) -> None:
        if inner == fan_out:
            convolutions = [conv(fan_in, inner, 3, stride), conv(inner, fan_out, 3)]
        else:
            convolutions = [conv(fan_in, inner, 1), conv(inner, inner, 3, stride), conv(inner, fan_out, 1)]
        first, *others = convolutions
        residual = nn.Sequential(first, *(layer for each in others for layer in (norm_relu(inner), each)))
        super().__init__(residual, fan_in, fan_out, stride)
