"""The weights of a finished run that another run starts from."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from softtargets.data.sources import load_cached
from softtargets.models.weights import load_weights, read_weights
from softtargets.runs.network import build_network
from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore

ARGUMENT = "init_from"


def load_start(network: nn.Module, resolved: ResolvedRun, store: Path) -> None:
    """Load the weights of the run that a run starts from, if it starts from one.

    Args:
        network: of the run, with its random weights; changed in place.
        resolved: the run.
        store: folder of the run store, which has the run that it starts from.

    Raises:
        InputError: if the weights cannot be read.
    """
    if resolved.init_from is not None:
        weights = read_weights(str(RunStore(store).path(resolved.init_from.identity)), ARGUMENT)
        _load(network, resolved, weights)


def check_start(network: nn.Module, resolved: ResolvedRun, store: RunStore) -> None:
    """Require that the weights of the run that a run starts from fit its network, before either is trained.

    Args:
        network: of the run; changed in place.
        resolved: the run.
        store: for the data set of the run that it starts from.

    Raises:
        InputError: naming the first tensor that does not fit.
    """
    start = resolved.init_from
    if start is not None:
        data = load_cached(start.run.data, str(store.cache))
        _load(network, resolved, build_network(start.run, data.input_shape, data.num_classes).state_dict())


def _load(network: nn.Module, resolved: ResolvedRun, weights: Mapping[str, Tensor]) -> None:
    kept, start = resolved.run.init_head == "kept", resolved.init_from
    assert start is not None
    source = f"{start.run.model.name} trained on {start.run.data.name}"
    load_weights(network, weights, keep_head=kept, source=source, argument=ARGUMENT)
