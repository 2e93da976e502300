"""The residual networks for small images of He et al. 2016, Sec. 4.2."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from softtargets._checks import check_num_classes
from softtargets.models.network import NetworkSpec, Width, check_depth, check_inputs, checked_shape, depth_rule, model

# The paper's deepest network has 1202 layers.
MAX_DEPTH = 1202


class ResNet(nn.Module):
    """A 3x3 stem, three stages of n basic blocks, global average pooling and a linear layer; depth = 6n + 2.

    The stages have width, 2 width and 4 width channels, and the second and third halve the resolution. Shortcuts have
    no parameters (the paper's option A): they take every second pixel and fill new channels with zeros.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        depth: 6n + 2 with n >= 1.
        width: Channels of the first stage.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, another depth, or inputs of another shape.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, depth: int = 20, width: int = 16) -> None:
        super().__init__()
        check_num_classes(num_classes)
        check_depth(depth, 6, 2)
        self.input_shape = checked_shape(input_shape, "(C, H, W), the shape of an image", ndim=3)
        self.stem = nn.Sequential(_conv(self.input_shape[0], width, 1), nn.BatchNorm2d(width), nn.ReLU())
        channels = [width] + [width * scale for scale in (1, 2, 4) for _ in range((depth - 2) // 6)]
        self.blocks = nn.Sequential(*map(_Block, channels, channels[1:]))
        self.head = nn.Linear(channels[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, inputs: Tensor) -> Tensor:
        """Return the (N, 4 width) pooled activations that `head` acts on."""
        check_inputs(inputs, self.input_shape, any_size=True)
        return self.blocks(self.stem(inputs)).mean((2, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))


@model("resnet")
class ResNetSpec(NetworkSpec):
    """The CIFAR ResNet of He et al. 2016: depth = 6n + 2 layers, `width` channels in the first of three stages."""

    network = ResNet

    depth: Annotated[int, Field(le=MAX_DEPTH), depth_rule(6, 2)] = 20
    width: Width = 16


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut. A block that adds channels halves the resolution."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.stride = 1 if fan_in == fan_out else 2
        self.new_channels = fan_out - fan_in
        self.conv1 = _conv(fan_in, fan_out, self.stride)
        self.norm1 = nn.BatchNorm2d(fan_out)
        self.conv2 = _conv(fan_out, fan_out, 1)
        self.norm2 = nn.BatchNorm2d(fan_out)

    def forward(self, inputs: Tensor) -> Tensor:
        residual = self.norm2(self.conv2(relu(self.norm1(self.conv1(inputs)))))
        shortcut = inputs
        if self.new_channels:
            shortcut = pad(inputs[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))
        return relu(residual + shortcut, inplace=True)


def _conv(fan_in: int, fan_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)
