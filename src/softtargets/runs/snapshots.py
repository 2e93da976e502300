"""Snapshots of the weights during training: one file each during the run, one file for all in the finished run."""

from collections.abc import Iterator
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets._storage import open_regular
from softtargets.runs.checkpoint import load_state, save_state
from softtargets.runs.store import SNAPSHOTS


class Snapshots:
    """The weights of a run before its first epoch, every `every` epochs, and after the last epoch.

    A snapshot depends only on the run and the epoch, so a resumed run may overwrite one.

    Args:
        folder: of the partial run.
        every: epochs between snapshots.
        epochs: number of epochs of the run.
    """

    def __init__(self, folder: Path, every: int, epochs: int) -> None:
        self.folder, self.every, self.epochs = folder, every, epochs

    def keep(self, epoch: int, model: nn.Module) -> None:
        """Write the weights and buffers of a model after `epoch` epochs, if a snapshot is due."""
        if epoch in self._due(epoch):
            save_state(self._path(epoch), dict(model.state_dict()))

    def whole(self, epoch: int) -> bool:
        """Return whether every snapshot up to an epoch is present and intact."""
        return all(load_state(self._path(due)) is not None for due in self._due(epoch))

    def joined(self) -> dict[str, Tensor]:
        """Return the tensors of all epochs, named ``epoch.<n>/<name>``.

        Raises:
            InputError: if one is missing or damaged.
        """
        tensors: dict[str, Tensor] = {}
        for epoch in self._due(self.epochs):
            state = load_state(self._path(epoch))
            if state is None:
                got = f"none, or a damaged one, in '{self._path(epoch)}'"
                raise fail("snapshots", f"the weights after epoch {epoch}", got, "train that run again")
            tensors.update({f"epoch.{epoch}/{name}": tensor for name, tensor in state.items()})
        return tensors

    def _due(self, epoch: int) -> list[int]:
        """Return the epochs up to this one that have a snapshot."""
        return [n for n in range(epoch + 1) if n % self.every == 0 or n == self.epochs]

    def _path(self, epoch: int) -> Path:
        return self.folder / f"snapshot-{epoch}.safetensors"


def read_snapshots(folder: Path) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Yield each epoch with a snapshot, and the weights and buffers after it, one at a time.

    Raises:
        InputError: if the run has no snapshots.
    """
    path = folder / SNAPSHOTS
    if not path.exists():
        raise fail(
            "training.snapshot_every", "given, for a run whose weights are analysed", None, "set it, for example to 1"
        )
    open_regular(path).close()
    with safe_open(path, framework="pt") as file:
        names = [name.removeprefix("epoch.").split("/", 1) for name in file.keys()]  # noqa: SIM118
        by_epoch: dict[int, list[str]] = {}
        for epoch, name in names:
            by_epoch.setdefault(int(epoch), []).append(name)
        for epoch in sorted(by_epoch):
            yield epoch, {name: file.get_tensor(f"epoch.{epoch}/{name}") for name in by_epoch[epoch]}
