"""What several convolutional networks share: convolutions without bias, the first layers, and the last ones."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import relu

from softtargets.models.network import check_inputs

# The first layers of a network: "small" for images of about 32x32 pixels, "large" for about 224x224.
Stem = Literal["small", "large"]


class PooledNetwork(nn.Module):
    """The base of networks whose features are a mean over pixels; subclasses set `body` and `head`."""

    input_shape: tuple[int, int, int]
    body: nn.Module
    head: nn.Linear

    def features(self, inputs: Tensor) -> Tensor:
        """Return the (N, D) pooled activations that `head` acts on. Images may have another size than in training."""
        check_inputs(inputs, self.input_shape, any_size=True)
        return self.body(inputs).mean((2, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))


class ResidualBlock(nn.Module):
    """ReLU of a residual and a shortcut, which is a 1x1 convolution where the shape changes (He et al. 2016)."""

    def __init__(self, residual: nn.Module, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.residual = residual
        same = stride == 1 and fan_in == fan_out
        self.shortcut = nn.Identity() if same else conv_norm(fan_in, fan_out, 1, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, fan_out, H, W) activations."""
        return relu(self.residual(inputs) + self.shortcut(inputs), inplace=True)


class PreActivationBlock(nn.Module):
    """A residual of normalised and activated inputs, and a shortcut of the inputs themselves.

    Where the shape changes, the shortcut is a 1x1 convolution of the activated inputs.
    """

    def __init__(self, residual: nn.Module, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.activation = norm_relu(fan_in)
        self.residual = residual
        self.projection = None if stride == 1 and fan_in == fan_out else conv(fan_in, fan_out, 1, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, fan_out, H, W) activations."""
        activated = self.activation(inputs)
        shortcut = inputs if self.projection is None else self.projection(activated)
        return self.residual(activated) + shortcut


def conv(fan_in: int, fan_out: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the resolution, or divides it by `stride` (rounded up)."""
    return nn.Conv2d(fan_in, fan_out, size, stride, padding=size // 2, groups=groups, bias=False)


def norm_relu(channels: int) -> nn.Sequential:
    """Return batch normalisation and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def conv_norm(fan_in: int, fan_out: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution and batch normalisation."""
    return nn.Sequential(conv(fan_in, fan_out, size, stride, groups), nn.BatchNorm2d(fan_out))


def bottleneck(fan_in: int, inner: int, fan_out: int, stride: int, groups: int = 1) -> nn.Sequential:
    """Return 1x1, 3x3 and 1x1 convolutions with normalisation, and ReLU between them."""
    return nn.Sequential(
        *(conv_norm(fan_in, inner, 1), nn.ReLU(inplace=True)),
        *(conv_norm(inner, inner, 3, stride, groups), nn.ReLU(inplace=True)),
        conv_norm(inner, fan_out, 1),
    )


def residual_stem(fan_in: int, width: int, stem: Stem, *after: nn.Module) -> nn.Sequential:
    """Return the first layers of a residual network.

    "small" is a 3x3 convolution. "large" is a 7x7 one of stride 2, and after it 3x3 max pooling of stride 2.

    Args:
        fan_in: channels of the images.
        width: channels of the result.
        stem: which of the two.
        after: layers between the convolution and the pooling.
    """
    first = conv(fan_in, width) if stem == "small" else conv(fan_in, width, 7, 2)
    return nn.Sequential(first, *after, *([nn.MaxPool2d(3, 2, padding=1)] if stem == "large" else ()))
