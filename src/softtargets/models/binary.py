"""Binary layers: signs of activations and weights with straight-through gradients, RSign and RPReLU (ReActNet)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def approx_sign(activations: Tensor) -> Tensor:
    """Sign with the gradient of a piecewise polynomial (ApproxSign).

        forward:   -1 if x < 0, else +1                                                  # Shen et al. 2021, Sec. 6
        gradient:  2 + 2x in [-1, 0),  2 - 2x in [0, 1),  else 0                         # Liu et al. 2018 (Bi-Real Net)

    Args:
        activations: any shape, floating point.

    Returns:
        The signs, of the same shape and dtype. Unlike torch.sign, it returns +1 for 0.

    Example:
        >>> x = torch.tensor([-2.0, -0.25, 0.0, 0.5], requires_grad=True)
        >>> approx_sign(x).sum().backward()
        >>> approx_sign(x).tolist(), x.grad.tolist()
        ([-1.0, -1.0, 1.0, 1.0], [0.0, 1.5, 2.0, 1.0])
    """
    return _ApproxSign.apply(activations)  # pyright: ignore[reportReturnType]


def binary_weights(weights: Tensor) -> Tensor:
    """Signs of the weights, scaled by the mean absolute weight of each output channel.

        W_b = ||W_r||_1 / n · sign(W_r)                                                       # Shen et al. 2021, Sec. 6

    The gradient passes unchanged where |W_r| <= 1 and is 0 elsewhere; the scale is a constant in it, as in ReActNet's
    code.

    Args:
        weights: (C_out, ...) latent real-valued weights, floating point; n is the number of weights of a channel.

    Returns:
        Of the same shape and dtype: two values, plus and minus the scale, in each channel.

    Example:
        >>> binary_weights(torch.tensor([[0.5, -0.25], [0.0, 2.0]])).tolist()
        [[0.375, -0.375], [1.0, 1.0]]
    """
    return _BinaryWeights.apply(weights)  # pyright: ignore[reportReturnType]


class BinaryConv2d(nn.Conv2d):
    """A convolution without bias whose weights are :func:`binary_weights` of its latent parameters.

    The input is convolved as it is: apply :class:`RSign` before it.

    Args:
        fan_in: channels of the input.
        fan_out: channels of the result.
        size: kernel size, 1 or 3; the padding keeps the resolution.
        stride: divides the resolution, rounded up.
    """

    def __init__(self, fan_in: int, fan_out: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(fan_in, fan_out, size, stride, padding=size // 2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of the input with the binary weights."""
        return F.conv2d(input, binary_weights(self.weight), None, self.stride, self.padding)


class ChannelShift(nn.Module):
    """Adds one learned number to each channel of (N, C, H, W) activations, 0 at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the shifted activations."""
        return inputs + self.shift.view(1, -1, 1, 1)


class RSign(nn.Module):
    """Sign with a learned threshold for each channel: -1 if x < a_c, else +1 (Liu et al. 2020).

    The parameter is the shift -a_c, which is added before :func:`approx_sign`.

    Args:
        channels: number of channels of (N, C, H, W) activations.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.move = ChannelShift(channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return -1 and +1."""
        return approx_sign(self.move(inputs))


class RPReLU(nn.Module):
    """PReLU with learned shifts of input and output for each channel (Liu et al. 2020).

    f(x) = x - g_c + z_c if x > g_c, else b_c (x - g_c) + z_c             with b_c = .25 and both shifts 0 at first

    The parameters are the shifts -g_c (`before`) and z_c (`after`), and the slopes b_c.

    Args:
        channels: number of channels of (N, C, H, W) activations.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = ChannelShift(channels)
        self.slope = nn.PReLU(channels)
        self.after = ChannelShift(channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the activations."""
        return self.after(self.slope(self.before(inputs)))


def _signs(values: Tensor) -> Tensor:
    return torch.where(values < 0, -1.0, 1.0).to(values.dtype)


class _ApproxSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor) -> Tensor:
        ctx.save_for_backward(activations)
        return _signs(activations)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        (activations,) = ctx.saved_tensors
        return outputs[0] * (2 - 2 * activations.abs()).clamp_min(0)


class _BinaryWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor) -> Tensor:
        ctx.save_for_backward(weights)
        scale = weights.abs().flatten(1).mean(1)
        return scale.view(-1, *[1] * (weights.ndim - 1)) * _signs(weights)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        (weights,) = ctx.saved_tensors
        return outputs[0] * (weights.abs() <= 1)
