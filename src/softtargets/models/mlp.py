"""A multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets.models.network import MAX_LAYERS, NetworkSpec, Width, check_inputs, checked_shape, model


class Mlp(nn.Module):
    """Flattens its input and applies linear layers with ReLU and dropout between them.

    Args:
        input_shape: Shape of one input, of any number of axes.
        num_classes: At least 2.
        hidden: Widths of the hidden layers; an empty sequence gives softmax regression.
        dropout: In [0, 1), after each hidden layer.
        initial_deviation: Standard deviation of the normal distribution of all initial weights, with biases 0. None:
            torch's initialisation.

    Raises:
        InputError: a shape without positive sizes, fewer than 2 classes, or inputs of another shape.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        hidden: Sequence[int] = (256, 256),
        dropout: float = 0.0,
        initial_deviation: float | None = None,
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_shape(input_shape, "positive sizes")
        widths = [prod(self.input_shape), *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], num_classes)
        if initial_deviation is not None:
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=initial_deviation)
                    nn.init.zeros_(layer.bias)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the (N, D) activations that `head` acts on, D the last hidden width."""
        check_inputs(inputs, self.input_shape)
        return self.body(inputs.flatten(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))


@model("mlp")
class MlpSpec(NetworkSpec):
    """A multilayer perceptron on the flattened input, with `hidden` widths and dropout in [0, 1) after each layer.

    With `initial_deviation`, all initial weights are drawn from N(0, initial_deviation²) and all biases are 0.
    """

    network = Mlp
    reduced_precision = False

    hidden: tuple[Width, ...] = Field(default=(256, 256), max_length=MAX_LAYERS)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    initial_deviation: float | None = Field(default=None, gt=0)
