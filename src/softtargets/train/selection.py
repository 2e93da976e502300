"""The best epoch on observed validation labels, and when to stop for the lack of a better one."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor, nn


@dataclass(frozen=True)
class Selected:
    """The epoch (from 1) that did best on the observed validation labels, and its weights."""

    epoch: int
    accuracy: float
    nll: float
    model: dict[str, Tensor]


class Selection:
    """Keeps the best epoch, and counts the evaluations since.

    Args:
        monitor: whether the best epoch has the highest accuracy or the lowest NLL.
        patience: number of evaluations in a row without a better one after which training stops; None: it never does.
    """

    def __init__(self, monitor: Literal["accuracy", "nll"] = "accuracy", patience: int | None = None) -> None:
        self.monitor, self.patience = monitor, patience
        self.selected: Selected | None = None
        self.without_better = 0

    def consider(self, epoch: int, accuracy: float, nll: float, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Take an evaluation into account; `weights` returns copies, and is called if the epoch is the best so far."""
        best = self.selected
        if best is None or (accuracy > best.accuracy if self.monitor == "accuracy" else nll < best.nll):
            self.selected, self.without_better = Selected(epoch, accuracy, nll, weights()), 0
        else:
            self.without_better += 1

    @property
    def over(self) -> bool:
        """Whether training should stop."""
        return self.patience is not None and self.without_better >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return the state, for a checkpoint."""
        selected = None if self.selected is None else asdict(self.selected)
        return {"selected": selected, "without_better": self.without_better}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        self.selected = None if state["selected"] is None else Selected(**state["selected"])
        self.without_better = state["without_better"]


def copied_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the weights of a network."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
