"""A plain convolutional network that is small and fast on a CPU."""

from collections.abc import Sequence
from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets._errors import fail
from softtargets.models.network import NetworkSpec, Width, check_inputs, checked_shape, model


class ConvNet(nn.Module):
    """Stages of 3x3 convolution, max pooling that halves the resolution, batch normalisation and ReLU; then the mean.

    Pooling comes before the normalisation, which then processes a quarter of the pixels. The two commute unless the
    normalisation's weight is negative.

    Args:
        input_shape: (C, H, W) of one image; H and W at least 2^stages.
        num_classes: At least 2.
        widths: Channels of each stage.

    Raises:
        InputError: a shape other than (C, H, W), too few pixels, fewer than 2 classes, or inputs of another shape.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, widths: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_shape(input_shape, "(C, H, W), the shape of an image", ndim=3)
        least = 2 ** len(widths)
        if min(self.input_shape[1:]) < least:
            required = f"images of at least {least}x{least} pixels for {len(widths)} stages"
            raise fail("widths", required, tuple(input_shape), "remove a stage")
        stages: list[nn.Module] = []
        for fan_in, fan_out in pairwise((self.input_shape[0], *widths)):
            convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            stages += [convolution, nn.MaxPool2d(2), nn.BatchNorm2d(fan_out), nn.ReLU()]
        self.body = nn.Sequential(*stages)
        self.head = nn.Linear(widths[-1], num_classes)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the (N, D) pooled activations that `head` acts on, D the last width."""
        check_inputs(inputs, self.input_shape)
        return self.body(inputs).mean((2, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))


@model("convnet")
class ConvNetSpec(NetworkSpec):
    """A plain convolutional network with one stage per width, each of which halves the resolution."""

    network = ConvNet

    widths: tuple[Width, ...] = Field(default=(32, 64, 128), min_length=1, max_length=32)
