"""Networks as a user writes them, right and wrong, for tests of import paths."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

BUILT: list[dict[str, Any]] = []


def plain(input_shape: Sequence[int], num_classes: int, width: int = 5, deep: Any = None) -> nn.Module:
    """Features are what the last linear layer takes."""
    BUILT.append({"input_shape": input_shape, "num_classes": num_classes, "width": width, "deep": deep})
    size = torch.Size(input_shape).numel()
    return nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.Tanh(), nn.Linear(width, num_classes))


class WithBoth(nn.Module):
    """Features and head of its own. The head comes before another layer in the order of definition."""

    def __init__(self, *, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(6, num_classes)
        self.body = nn.Linear(torch.Size(input_shape).numel(), 6)

    def features(self, inputs: Tensor) -> Tensor:
        return self.body(inputs.flatten(1)).relu()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.features(inputs))


class WithConvolutionalFeatures(nn.Module):
    """Has `features`, which are no vectors, and a head of another name, as torchvision's networks."""

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(input_shape[0], 4, 3), nn.ReLU())
        self.norm = nn.LayerNorm(4)
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, num_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.classifier(self.norm(self.features(inputs).mean((2, 3))))


class Branched(nn.Module):
    """An auxiliary head of the same size is defined and called after the real one."""

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        size = torch.Size(input_shape).numel()
        self.main, self.auxiliary = nn.Linear(size, num_classes), nn.Linear(size, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        logits, _ = self.main(inputs.flatten(1)), self.auxiliary(inputs.flatten(1))
        return logits


class Ending(nn.Module):
    """A linear layer with something around it."""

    def __init__(self, input_shape: Sequence[int], num_classes: int, end: str) -> None:
        super().__init__()
        self.end, self.last = end, nn.Linear(torch.Size(input_shape).numel(), num_classes)
        self.again = self.last if end == "shared" else None
        self.noise = nn.Dropout(0.5)

    def forward(self, inputs: Tensor) -> Any:
        logits = self.last(inputs.flatten(1))
        match self.end:
            case "softmax":
                return logits.log_softmax(1)
            case "tuple":
                return logits, logits
            case "tuple in training":
                return (logits, logits) if self.training else logits
            case "transposed":
                return logits.T
            case "double":
                return logits.double()
            case "random":
                return logits + torch.rand(())
            case "uses weight":
                return logits + 0 * self.last.weight.sum()
            case "raises":
                raise ZeroDivisionError("in forward\nsecond line")
            case "raises in training" if self.training:
                raise ZeroDivisionError("in training")
        return logits


class WithExtraState(WithBoth):
    """Its state_dict has a text."""

    def get_extra_state(self) -> str:
        return "a text"

    def set_extra_state(self, state: str) -> None:
        pass


def unsteady_layers(input_shape: Sequence[int], num_classes: int) -> nn.Module:
    return plain(input_shape, num_classes, width=5 + len(BUILT) % 2)


def unsteady_weights(input_shape: Sequence[int], num_classes: int) -> nn.Module:
    network = WithBoth(input_shape=input_shape, num_classes=num_classes)
    nn.init.constant_(network.body.bias, random.random())
    return network


def none(input_shape: Sequence[int], num_classes: int) -> None:
    return None


def raises(input_shape: Sequence[int], num_classes: int) -> nn.Module:
    raise RuntimeError("no such depth")


def needs(input_shape: Sequence[int], num_classes: int, depth: int) -> nn.Module:
    return plain(input_shape, num_classes, width=depth)


def without_classes(input_shape: Sequence[int]) -> nn.Module:
    return plain(input_shape, 2)


number = 3
