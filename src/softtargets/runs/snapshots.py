"""Weights through training: kept one file each while a run is in the making, and as one file of the finished run."""

from collections.abc import Iterator
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn

from softtargets._errors import fail
from softtargets.runs.checkpoint import load_state, save_state
from softtargets.runs.store import SNAPSHOTS


class Snapshots:
    """The weights of a run before its first epoch, after every so many and after the last.

    A snapshot is a function of the run and its epoch, so that one which outlived its checkpoint is only written again.

    Args:
        folder: of the run in the making.
        every: epochs between two.
        epochs: the last.
    """

    def __init__(self, folder: Path, every: int, epochs: int) -> None:
        self.folder, self.every, self.epochs = folder, every, epochs

    def keep(self, epoch: int, model: nn.Module) -> None:
        """Write the weights and buffers of a model after so many epochs, if they are to be kept."""
        if epoch in self._due(epoch):
            save_state(self._path(epoch), dict(model.state_dict()))

    def whole(self, epoch: int) -> bool:
        """Say whether every snapshot up to an epoch is there and undamaged."""
        return all(load_state(self._path(due)) is not None for due in self._due(epoch))

    def joined(self) -> dict[str, Tensor]:
        """Return the tensors of all epochs, as ``epoch.<n>/<name>``.

        Raises:
            InputError: where one is gone or damaged.
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
        """Return the epochs up to this one whose weights are kept."""
        return [n for n in range(epoch + 1) if n % self.every == 0 or n == self.epochs]

    def _path(self, epoch: int) -> Path:
        return self.folder / f"snapshot-{epoch}.safetensors"


def read_snapshots(folder: Path) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Yield the epochs that a finished run kept, and its weights and buffers after each, one at a time.

    Raises:
        InputError: where it kept none.
    """
    path = folder / SNAPSHOTS
    if not path.exists():
        raise fail("training.snapshot_every", "a run that keeps its weights through training", None, "set it")
    with safe_open(path, framework="pt") as file:
        names = [name.removeprefix("epoch.").split("/", 1) for name in file.keys()]  # noqa: SIM118
        by_epoch: dict[int, list[str]] = {}
        for epoch, name in names:
            by_epoch.setdefault(int(epoch), []).append(name)
        for epoch in sorted(by_epoch):
            yield epoch, {name: file.get_tensor(f"epoch.{epoch}/{name}") for name in by_epoch[epoch]}
