"""The network of a finished run, for its predictions on any rows of its data: of a teacher, or for an analysis."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets.data.dataset import Dataset
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import MODEL, RunStore

ROWS = 1024


class TrainedModel:
    """A trained network in evaluation mode, in the precision that it was trained in; it takes no gradient.

    Args:
        network: with `features` and `head`.
        resolved: what it was trained from.
    """

    def __init__(self, network: nn.Module, resolved: ResolvedRun) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.resolved = resolved

    def to(self, device: torch.device) -> "TrainedModel":
        """Move it, and return it."""
        self.network.to(device)
        return self

    def logits(self, inputs: Tensor) -> Tensor:
        """Return (N, K) float32 logits of a batch of normalised inputs."""
        bfloat16 = self.resolved.precision == "bfloat16"
        with torch.no_grad(), torch.autocast(inputs.device.type, torch.bfloat16, enabled=bfloat16):
            return self.network(inputs).float()


def load_trained(resolved: ResolvedRun, dataset: Dataset, store: RunStore) -> TrainedModel:
    """Load the network of a finished run, as it was after its last step.

    Raises:
        InputError: where the store has no whole record of that run.
    """
    path = store.path(resolved.identity) / MODEL
    network = resolved.run.model.build(input_shape=dataset.input_shape, num_classes=dataset.num_classes)
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        got = " ".join(str(error).split())  # torch names every mismatch on a line of its own
        raise fail("runs", f"the network of a finished run in '{path}'", got, "train that run again") from None
    layout = torch.channels_last if dataset.is_image else torch.preserve_format
    return TrainedModel(network.to(memory_format=layout), resolved)  # pyright: ignore[reportCallIssue]
