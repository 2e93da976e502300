"""The small AlexNet of Müller et al. 2019, App. A.1: TensorFlow's tutorial network for CIFAR-10."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets._errors import fail
from softtargets.models.network import MAX_LAYERS, NetworkSpec, Width, check_inputs, checked_shape, model

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class AlexNet(nn.Module):
    """Two 5x5 convolutions with pooling and local response normalisation, then dense layers; ReLU after each layer.

        b_c = a_c / (1 + alpha / size · sum of a_j^2 over |j - c| <= 4)^beta,  size 9, alpha .001, beta .75

    The order is conv, pool, norm, conv, norm, pool, as in the tutorial (tensorflow/models, `cifar10.py`). The
    tutorial's average of the weights is left out, as in the paper. Pooling is 3x3 with stride 2 and TensorFlow's "SAME"
    padding: n pixels become n/2, rounded up. The tutorial crops 24x24 images from 32x32 ones; the paper does not say
    whether it does.

    Initial weights are normal, truncated at two standard deviations: .05 for convolutions, .04 for dense layers, one
    over the number of inputs for the head. Biases are 0 in the first convolution and the head, .1 elsewhere. The
    deviations do not depend on the fan-in, so images much larger than 32x32 give large initial activations.

    The dense layers are `hidden.0`, `hidden.2`, ...: ``match = "hidden.*.weight"`` in `optimizer.groups` sets a weight
    decay for them alone. The paper's .04 "in the last two dense layers" is read this way, since the tutorial decays
    these two (by .004) and neither biases nor the head. Its penalty is the decay times half the sum of squares, so the
    same number as torch's weight_decay gives the same gradient.

    Args:
        input_shape: (C, H, W) of one image, of any size.
        num_classes: At least 2.
        channels: Number of channels of each convolution.
        hidden: Widths of the dense layers before the head, at least one.

    Raises:
        InputError: a shape other than (C, H, W), no hidden layer, fewer than 2 classes, or inputs of another shape.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, channels: int = 64, hidden: Sequence[int] = (384, 192)
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_shape(input_shape, "(C, H, W), the shape of an image", ndim=3)
        if not hidden:
            raise fail("hidden", "at least one width", tuple(hidden), "use convnet for no dense layer but the head")
        colours, height, width = self.input_shape
        halved = _half(height), _half(width)
        self.body = nn.Sequential(
            _started(nn.Conv2d(colours, channels, 5, padding=2), deviation=0.05, bias=0.0),
            nn.ReLU(),
            _pool(height, width),
            _norm(),
            _started(nn.Conv2d(channels, channels, 5, padding=2), deviation=0.05, bias=0.1),
            nn.ReLU(),
            _norm(),
            _pool(*halved),
            nn.Flatten(),
        )
        dense: list[nn.Module] = []
        for fan_in, fan_out in pairwise((channels * _half(halved[0]) * _half(halved[1]), *hidden)):
            dense += [_started(nn.Linear(fan_in, fan_out), deviation=0.04, bias=0.1), nn.ReLU()]
        self.hidden = nn.Sequential(*dense)
        self.head = _started(nn.Linear(hidden[-1], num_classes), deviation=1 / hidden[-1], bias=0.0)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the (N, D) activations that `head` acts on, D the last hidden width."""
        check_inputs(inputs, self.input_shape)
        return self.hidden(self.body(inputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))


@model("alexnet")
class AlexNetSpec(NetworkSpec):
    """The small AlexNet of Müller et al. 2019, App. A.1: two convolutions of `channels`, then `hidden` dense widths."""

    network = AlexNet

    channels: Width = 64
    hidden: tuple[Width, ...] = Field(default=(384, 192), min_length=1, max_length=MAX_LAYERS)


def _half(size: int) -> int:
    return (size + 1) // 2


def _pool(height: int, width: int) -> nn.MaxPool2d:
    # "SAME" pads an odd size by one pixel at both ends, and an even size at its far end only, as ceil_mode does
    return nn.MaxPool2d(3, stride=2, padding=(height % 2, width % 2), ceil_mode=True)


def _norm() -> nn.LocalResponseNorm:
    # TensorFlow's alpha = .001 / 9 multiplies the sum of squares; torch's multiplies their mean over the window of 9
    return nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0)


def _started(layer: Layer, *, deviation: float, bias: float) -> Layer:
    weights, biases = layer.parameters()
    nn.init.trunc_normal_(weights, std=deviation, a=-2 * deviation, b=2 * deviation)
    nn.init.constant_(biases, bias)
    return layer
