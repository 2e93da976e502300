"""MobileNetV2 of Sandler et al. 2018, with strides for small images too."""

from collections.abc import Sequence

from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets._spec import Share
from softtargets.models.layers import PooledNetwork, Stem, conv_norm
from softtargets.models.network import NetworkSpec, checked_image, draw_convolutions, model

# The paper's Table 2: expansion t, channels c, repetitions n, stride s.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM_WIDTH, LAST_WIDTH = 32, 1280


class MobileNetV2(PooledNetwork):
    """Inverted residual blocks with linear bottlenecks: 1x1 expansion, depthwise 3x3, 1x1 projection; ReLU6.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        width: The paper's width multiplier. Channels are rounded to multiples of 8, and at least 90 % of the exact
            number; the last 1x1 layer is not narrowed below 1280.
        stem: "large": the paper's strides, which divide the resolution by 32. "small": the first layer and the second
            stage have stride 1, which divides it by 8, for images of about 32x32 pixels.
        dropout: In [0, 1), before the head; the paper's code uses .2.

    Raises:
        InputError: a shape other than (C, H, W), fewer than 2 classes, or inputs of another shape.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        width: float = 1.0,
        stem: Stem = "small",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_image(input_shape)
        slow = stem == "small"
        fan_in = _rounded(STEM_WIDTH * width)
        layers: list[nn.Module] = [
            conv_norm(self.input_shape[0], fan_in, 3, 1 if slow else 2),
            nn.ReLU6(inplace=True),
        ]
        for stage, (expansion, channels, count, stride) in enumerate(STAGES):
            for place in range(count):
                fan_out, first = _rounded(channels * width), 1 if slow and stage == 1 else stride
                layers.append(_Block(fan_in, fan_out, expansion, 1 if place else first))
                fan_in = fan_out
        last = _rounded(LAST_WIDTH * max(1.0, width))
        self.body = nn.Sequential(*layers, conv_norm(fan_in, last, 1), nn.ReLU6(inplace=True))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(last, num_classes)
        draw_convolutions(self)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the (N, D) pooled activations that `head` acts on, after dropout."""
        return self.dropout(super().features(inputs))


@model("mobilenet_v2")
class MobileNetV2Spec(NetworkSpec):
    """MobileNetV2 of Sandler et al. 2018 with the width multiplier `width` and dropout before the head.

    `stem` is "small" for images of about 32x32 pixels and "large" for those of ImageNet.
    """

    network = MobileNetV2

    width: float = Field(default=1.0, gt=0, le=16)
    stem: Stem = "small"
    dropout: Share = 0.0


class _Block(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = fan_in * expansion
        expand = () if expansion == 1 else (conv_norm(fan_in, inner, 1), nn.ReLU6(inplace=True))
        depthwise = conv_norm(inner, inner, 3, stride, groups=inner), nn.ReLU6(inplace=True)
        self.residual = nn.Sequential(*expand, *depthwise, conv_norm(inner, fan_out, 1))
        self.added = stride == 1 and fan_in == fan_out

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.residual(inputs) if self.added else self.residual(inputs)


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8 that is at least 8 and at least 90 % of a number.

    Example:
        >>> _rounded(24), _rounded(16.8), _rounded(11.9), _rounded(1)
        (24, 16, 16, 8)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
