"""The order in memory in which networks are trained."""

import torch
from torch import nn

from softtargets.runs.network import laid_out


def _network(channels: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 8, 1, stride=2, bias=False))


def test_channels_are_last_for_images_only() -> None:
    network = laid_out(_network(8), (3, 32, 32))
    weights = [weight for weight in network.parameters() if weight.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    assert not [layer for layer in network.children() if layer._forward_pre_hooks]
    linear = nn.Linear(4, 3)
    assert laid_out(linear, (4,)) is linear


def test_a_narrow_strided_convolution_has_its_channels_first() -> None:
    """Otherwise oneDNN writes past its memory on processors with AVX2 alone, which ends the process."""
    network, plain = laid_out(_network(4), (3, 32, 32)), _network(4)
    images = torch.randn(4, 3, 32, 32, generator=torch.manual_seed(1))
    seen: list[torch.Tensor] = []
    list(network.children())[1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    network(images.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    plain(images).square().sum().backward()
    assert seen[0].is_contiguous()
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-3)
