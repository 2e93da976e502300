"""A small network that learns CIFAR-10 in few epochs, after Keller Jordan's airbench94 (2024)."""

from collections.abc import Callable, Iterable, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets.models.network import NetworkSpec, Width, check_inputs, checked_image, model

PATCH = 2
# Three poolings by 2 after the first layer, which removes one row and one column.
LEAST_PIXELS = 9
# airbench94 uses the first 5000 training images, and adds .0005 to the variances.
IMAGES, VARIANCE_FLOOR = 5_000, 5e-4
# Images whose patches are in memory at a time.
ROWS = 16


class FastConv(nn.Module):
    """A layer that whitens 2x2 patches, three groups of two 3x3 convolutions, global max pooling, a scaled head.

    A group is conv, max pooling, norm, GELU, conv, norm, GELU. Norms have a learned bias and no learned weight. The
    first layer's weights are fixed, and only its bias is learned. The first filters of every convolution start as the
    identity, as many as it has input channels. The features are the pooled activations times `scale`.

    Here the head has a bias, and the random part of the initial weights is torch's. The original trains the bias of the
    first layer in the first three epochs only.

    Args:
        input_shape: (C, H, W) of one image; H and W at least 9.
        num_classes: At least 2.
        widths: Channels of the three groups; airbench94 has 64, 256 and 256.
        scale: Factor on the features.

    Raises:
        InputError: a shape other than (C, H, W), too few pixels, fewer than 2 classes, or inputs of another shape.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        widths: Sequence[int] = (64, 256, 256),
        scale: float = 1 / 9,
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape, self.scale = checked_image(input_shape, least=LEAST_PIXELS), scale
        dimensions = self.input_shape[0] * PATCH**2
        self.whitening = nn.Conv2d(self.input_shape[0], 2 * dimensions, PATCH)
        self.whitening.weight.requires_grad = False
        nn.init.zeros_(self._first_bias)
        layers: list[nn.Module] = [nn.GELU()]
        fan_in = 2 * dimensions
        for width in widths:
            layers += [_conv(fan_in, width), nn.MaxPool2d(2), _norm(width), nn.GELU()]
            layers += [_conv(width, width), _norm(width), nn.GELU()]
            fan_in = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(fan_in, num_classes)

    @property
    def _first_bias(self) -> Tensor:
        bias = self.whitening.bias
        assert bias is not None
        return bias

    def whiten(self, images: Iterable[Tensor]) -> None:
        """Set the first layer's filters: the principal components of the images' patches over their deviations.

        Args:
            images: batches of (n, C, H, W) float32, as the network sees them, at least one.
        """
        channels = self.input_shape[0]
        dimensions = channels * PATCH**2
        moments, count = torch.zeros(dimensions, dimensions, dtype=torch.float64), 0
        for batch in images:
            for rows in batch.cpu().double().split(ROWS):
                patches = rows.unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, dimensions)
                moments += patches.T @ patches
                count += len(patches)
        variances, components = torch.linalg.eigh(moments / count)
        filters = (components / (variances + VARIANCE_FLOOR).sqrt()).T.flip(0)
        filters = filters.view(-1, channels, PATCH, PATCH)
        with torch.no_grad():
            self.whitening.weight.copy_(torch.cat([filters, -filters]))

    def features(self, inputs: Tensor) -> Tensor:
        """Return the (N, D) scaled maxima over pixels that `head` acts on."""
        check_inputs(inputs, self.input_shape)
        return self.body(self.whitening(inputs)).amax((2, 3)) * self.scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))


@model("fastconv")
class FastConvSpec(NetworkSpec):
    """A small network after airbench94 that learns CIFAR-10 in few epochs, with `widths` channels in three groups.

    Its first layer is set from the training images and is not trained.
    """

    network = FastConv

    widths: tuple[Width, Width, Width] = (64, 256, 256)
    scale: float = Field(default=1 / 9, gt=0)

    def initialise(self, network: nn.Module, images: Callable[[int], Iterable[Tensor]]) -> None:
        """Set the first layer from training images, unless weights are loaded."""
        if not self.trained:
            assert isinstance(network, FastConv)
            network.whiten(images(IMAGES))
        super().initialise(network, images)


def _conv(fan_in: int, fan_out: int) -> nn.Conv2d:
    layer = nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[: min(fan_in, fan_out)])
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    # statistics of few steps, since weights move fast
    layer = nn.BatchNorm2d(channels, momentum=0.4, eps=1e-12)
    layer.weight.requires_grad = False
    return layer
