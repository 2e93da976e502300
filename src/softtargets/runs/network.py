"""The trained network of a finished run, used as a teacher or for analysis."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets._storage import open_regular
from softtargets.data.dataset import Dataset
from softtargets.data.tokens import NetworkInputs, device_of
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import MODEL, RunStore

ROWS = 1024
# Errors of a file of weights that is missing, damaged or of another network.
WEIGHTS_ERRORS = (OSError, ValueError, SafetensorError, RuntimeError)


class TrainedModel:
    """A trained network in evaluation mode, without gradients, in the precision it was trained in.

    Args:
        network: a module with `features` and `head`.
        resolved: the run that trained it.
    """

    def __init__(self, network: nn.Module, resolved: ResolvedRun) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.resolved = resolved

    def to(self, device: torch.device) -> "TrainedModel":
        """Move the network to a device and return this object."""
        self.network.to(device)
        return self

    def logits(self, inputs: NetworkInputs) -> Tensor:
        """Return (N, K) float32 logits of a batch of normalised inputs, or of padded tokens."""
        bfloat16 = self.resolved.precision == "bfloat16"
        with torch.no_grad(), torch.autocast(device_of(inputs).type, torch.bfloat16, enabled=bfloat16):
            return self.network(inputs).float()


def build_network(run: RunSpec, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build the network of a run for a data set, initialised with torch's global generator."""
    network = run.model.build(input_shape=input_shape, num_classes=num_classes)
    if run.training.sync_batch_norm:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return laid_out(network, input_shape)


def laid_out(network: nn.Module, input_shape: tuple[int, ...]) -> nn.Module:
    """Put the weights of a network into the order in memory in which it is trained; another one rounds differently."""
    if len(input_shape) != 3:
        return network
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_unsafe(module):
            module.weight.data = torch.empty_like(module.weight, memory_format=torch.contiguous_format).copy_(
                module.weight.data
            )
            module.register_forward_pre_hook(_channels_first)
    return network


def _is_unsafe(module: nn.Conv2d) -> bool:
    """Return whether oneDNN writes past its memory in the backward pass of a convolution whose channels are last.

    It does on processors with AVX2 alone (uxlfoundation/oneDNN, issue 6035); with the channels first it does not.
    """
    narrow = module.in_channels // module.groups < 8
    return narrow and module.kernel_size == (1, 1) and max(module.stride) > 1


def _channels_first(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].contiguous(), *inputs[1:])


def load_trained(resolved: ResolvedRun, dataset: Dataset, store: RunStore) -> TrainedModel:
    """Load the network of a finished run, with the weights after its last step, for the data set of the run.

    Raises:
        InputError: if the store has no intact record of that run, or the code of its network has changed since.
    """
    check_source(resolved)
    path = store.path(resolved.identity) / MODEL
    network = build_network(resolved.run, dataset.input_shape, dataset.num_classes)
    try:
        load_weights(network, path)
    except WEIGHTS_ERRORS as error:
        got = " ".join(str(error).split())  # torch puts every mismatch on its own line
        raise fail("runs", f"the network of a finished run in '{path}'", got, "train that run again") from None
    return TrainedModel(network, resolved)


def check_source(resolved: ResolvedRun) -> None:
    """Require that the code of a network is that which a run was trained with.

    Raises:
        InputError: if it has changed.
    """
    if resolved.run.model.source() != resolved.model_source:
        required = f"the code of '{resolved.run.model.name}' that the run was trained with"
        raise fail("model", required, "other code in that module", "restore it, or train that run again")


def load_weights(network: nn.Module, path: Path) -> None:
    """Load the weights of a network from a file. Raises `WEIGHTS_ERRORS`."""
    open_regular(path).close()
    network.load_state_dict(load_file(path))
