"""Features and head of any classifier: its last linear layer is found by running it once."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from softtargets._errors import InputError, fail
from softtargets.data.tokens import Tokens, TokenShape, as_shape
from softtargets.models.network import ModelSpec, WithoutDraws, check_inputs, check_size
from softtargets.models.weights import HEAD

# Sizes that are tried to find one that a network takes.
SIDES = (8, 16, 24, 28, 32, 48, 64, 75, 96, 128, 160, 192, 224, 256, 299, 331, 384, 512)
# Tokens of a row that a network is run with once.
_SAMPLED_TOKENS = 8
RETURN_LOGITS = "return the output of the last linear layer, or define features(inputs) and head"


class AdaptedNetwork(nn.Module):
    """A classifier whose last linear layer was moved out of it, to `head`.

    Args:
        network: returns features, or an object with features in its attribute `logits`.
        head: the linear layer that acts on them.
        place: the former name of `head` in `network`.
        input_shape: shape of one input.
    """

    def __init__(self, network: nn.Module, head: nn.Linear, place: str, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.head = network, head
        self.place, self.input_shape = place, input_shape

    def features(self, inputs: Any) -> Tensor:
        """Return the (N, D) activations that `head` acts on."""
        if not isinstance(inputs, Tokens):
            check_inputs(inputs, self.input_shape)
        return _output(self.network(inputs))

    def forward(self, inputs: Any) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))

    def adapted_name(self, name: str) -> str:
        """Return the name in this module of a tensor of the network's own state_dict before it was adapted."""
        head = f"{self.place}."
        return f"{HEAD}{name.removeprefix(head)}" if name.startswith(head) else f"network.{name}"


class AdaptedSpec(ModelSpec):
    """A specification of networks that others define: :meth:`build` gives them `features` and `head`."""

    def build(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network and adapt it; see :meth:`ModelSpec.build` and :func:`adapt`."""
        shape = as_shape(input_shape)
        try:
            check_size(self.parameters(shape, num_classes), shape)
            network = self.assemble(shape, num_classes)
        except InputError:
            raise
        except Exception as error:  # of the library that defines the network: any class of error
            raise self._unfit(shape, num_classes, error) from error
        try:
            logits = run(network, shape)
        except InputError:
            raise
        except Exception as error:
            raise self._unfit(shape, num_classes, error) from error
        return adapt(network, shape, num_classes, logits)

    def _unfit(self, input_shape: tuple[int, ...], num_classes: int, error: Exception) -> InputError:
        got = f"{input_shape} ({type(error).__name__}: {first_line(error)})"
        size = self._fitting(input_shape, num_classes)
        if size is None:
            required = "a shape and settings that the network can be built with"
            return fail("input_shape", required, got, "change the settings, or use another network")
        required = f"a size that the network takes, such as {size}x{size}"
        return fail("input_shape", required, got, "resize the images, or use another network")

    def _fitting(self, input_shape: tuple[int, ...], num_classes: int) -> int | None:
        """Return the smallest square size of `SIDES` that the network takes, without computing anything."""
        if len(input_shape) != 3:
            return None
        for side in SIDES:
            shape = (input_shape[0], side, side)
            try:
                with torch.device("meta"), WithoutDraws():
                    run(self.assemble(shape, num_classes), shape)
            except Exception:  # a size that does not fit
                continue
            return side
        return None


def adapt(network: nn.Module, input_shape: tuple[int, ...], num_classes: int, logits: Tensor) -> nn.Module:
    """Give a classifier `features` and `head`.

    A network with `features` and `head` of its own is returned as it is, if head(features(inputs)) gives its logits.
    Otherwise the last linear layer whose output is the logits becomes the head.

    Args:
        network: returns (N, K) logits, or an object that has them in its attribute `logits`; changed in place.
        input_shape: shape of one input.
        num_classes: K.
        logits: what :func:`run` returned for this network.

    Raises:
        InputError: if the logits have another shape or dtype, differ between two calls in evaluation mode, or are not
            the output of a linear layer; if the network returns something else in training mode; or if its state_dict
            cannot be stored.
    """
    expected = (2, num_classes)
    if tuple(logits.shape) != expected or logits.dtype != torch.float32:
        got = f"{logits.dtype} of shape {tuple(logits.shape)} for 2 inputs"
        raise fail("model", f"float32 logits of shape (N, {num_classes})", got, "return one logit per class")
    if not _same(run(network, input_shape), logits):
        raise fail("model", "the same logits for the same inputs in evaluation mode", "others", "remove random layers")
    adapted = network if _is_adapted(network, input_shape, logits) else _moved_head(network, input_shape, logits)
    _check_training(adapted, input_shape, expected)
    _check_tensors(adapted)
    return adapted


def run(network: nn.Module, input_shape: tuple[int, ...], of: Callable[[Tensor], Any] | None = None) -> Tensor:
    """Return what a network, or a function that calls it, returns for two fixed inputs in evaluation mode."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return _output((of or network)(_sample(input_shape)))
    finally:
        network.train(training)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or nothing."""
    return next(iter(str(error).strip().splitlines()), "")


def _sample(input_shape: tuple[int, ...]) -> Any:
    if isinstance(input_shape, TokenShape):
        return _sampled_tokens(input_shape)
    size = torch.Size((2, *input_shape))
    return torch.linspace(-2, 2, size.numel()).sin().view(size)


def _sampled_tokens(shape: TokenShape) -> Tokens:
    """Return two rows, of which the second is padded."""
    width = min(shape.max_length, _SAMPLED_TOKENS)
    mask = torch.arange(width) < torch.tensor([width, max(1, width - 1)])[:, None]
    ids = (torch.arange(2 * width) * 7 + 5).view(2, width) % shape.vocabulary
    # the id of padding is found only where there is padding
    ids = torch.where(ids == shape.pad, (shape.pad + 1) % shape.vocabulary, ids)
    return Tokens(torch.where(mask, ids, shape.pad), mask)


def _output(result: Any) -> Tensor:
    found = result if isinstance(result, Tensor) else getattr(result, "logits", None)
    if not isinstance(found, Tensor):
        required = "a network that returns logits, or an object with logits"
        raise fail("model", required, type(result).__name__, "return a tensor")
    return found


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)


def _holds(outputs: Tensor, logits: Tensor) -> bool:
    """Return whether outputs of a layer are the logits, or are those of one position of each row of tokens."""
    if outputs.ndim == 3 and outputs.shape[::2] == logits.shape:
        return all(any(_same(at, row) for at in positions) for positions, row in zip(outputs, logits, strict=True))
    return _same(outputs, logits)


def _is_adapted(network: nn.Module, input_shape: tuple[int, ...], logits: Tensor) -> bool:
    features, head = getattr(network, "features", None), getattr(network, "head", None)
    if not isinstance(head, nn.Linear) or not callable(features):
        return False
    try:
        found = run(network, input_shape, features)
        return found.ndim == 2 and _same(head(found), logits)
    except Exception:  # "features" is also a usual name of convolutional layers, which return no vectors
        return False


def _moved_head(network: nn.Module, input_shape: tuple[int, ...], logits: Tensor) -> AdaptedNetwork:
    """Replace the layer whose output is the logits by one that passes its input, and check what that gives."""
    place = _place_of_head(network, input_shape, logits)
    head = network.get_submodule(place)
    assert isinstance(head, nn.Linear)
    if place == "":
        network = nn.Identity()
    else:
        parent, _, name = place.rpartition(".")
        setattr(network.get_submodule(parent), name, nn.Identity())
    adapted = AdaptedNetwork(network, head, place, input_shape)
    try:
        fits = _same(run(adapted, input_shape), logits) and run(adapted, input_shape, adapted.features).ndim == 2
    except Exception as error:  # of the network, which may use its last layer in another way than calling it
        got = f"{type(error).__name__} once '{place}' passes its input: {first_line(error)}"
        raise fail("model", f"a network that only calls '{place}', its last layer", got, RETURN_LOGITS) from error
    if not fits:
        required = f"logits that are '{place}' of one vector per input"
        raise fail("model", required, "other logits without that layer", RETURN_LOGITS)
    return adapted


def _place_of_head(network: nn.Module, input_shape: tuple[int, ...], logits: Tensor) -> str:
    called: list[tuple[str, bool]] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda layer, inputs, outputs: called.append((name, _holds(outputs, logits)))

    linear = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}
    handles = [layer.register_forward_hook(watch(name)) for name, layer in linear.items()]
    try:
        run(network, input_shape)
    finally:
        for handle in handles:
            handle.remove()
    found = [name for name, is_logits in called if is_logits]
    if not found:
        last = f"other numbers than the last one, '{called[-1][0]}', gives" if called else "a network that calls none"
        raise fail("model", "logits that are the output of an nn.Linear", last, RETURN_LOGITS)
    return found[-1]


def _check_training(network: nn.Module, input_shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    # on a copy, since statistics of batch normalisation change
    copy = deepcopy(network).train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            shape = tuple(copy(_sample(input_shape)).shape)
    except InputError:
        raise
    except Exception as error:
        got = f"{type(error).__name__} for 2 inputs: {first_line(error)}"
        raise fail("model", "a network that runs in training mode", got, "change its settings") from error
    if shape != expected:
        raise fail("model", f"logits of shape (N, {expected[1]}) in training mode too", shape, "return logits alone")


def _check_tensors(network: nn.Module) -> None:
    """Require a state_dict of tensors, none of which has two names: a file of weights holds nothing else."""
    places: dict[int, str] = {}
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            got = f"a {type(value).__name__} as '{name}'"
            raise fail("model", "a network whose state_dict has tensors only", got, "drop that state")
        other = places.setdefault(value.data_ptr(), name) if value.numel() else name
        if other != name:
            required = "a network whose tensors have one name each"
            raise fail("model", required, f"'{other}' and '{name}' for the same one", "do not share weights")
