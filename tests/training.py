"""Training in a test's own process, and what is compared of its runs."""

from collections.abc import Callable
from typing import Any

import pytest

from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import HISTORY, MODEL, PREDICTIONS, SELECTED, RunStore
from softtargets.train import loop
from softtargets.train.execute import Outcome
from softtargets.train.schedule import train_all


def train(resolved: ResolvedRun, store: RunStore, *, checkpoint_seconds: float = 20.0) -> Outcome:
    """Train a run after the runs that it needs, as the scheduler does, and return its own outcome."""
    outcomes = train_all([resolved], store, workers=1, checkpoint_seconds=checkpoint_seconds)
    return next(outcome for outcome in outcomes if outcome.identity == resolved.identity)


# Everything with state of its own: batch statistics, averaged weights, dropout, augmentation, objectives.
STATEFUL: dict[str, dict[str, Any]] = {
    "hard": {},
    "early_learning": {"objective": {"name": "early_learning"}, "noise": {"name": "symmetric", "rate": 0.3}},
    "online_smoothing": {"objective": {"name": "online_smoothing"}},
    "selection and dynamics": {
        "noise": {"name": "pair_flip", "rate": 0.3},
        "training": {"evaluate_every": 1, "dynamics": True},
    },
    "a learned transition": {"objective": {"name": "learned_transition"}},
    "mixup": {"objective": {"name": "mixup", "smoothing": 0.1}},
    "dropout and averaging": {
        "model": {"name": "mlp", "hidden": [16], "dropout": 0.3},
        "training": {"average_decay": 0.9},
    },
    "adamw and cosine": {
        "optimizer": {"name": "adamw", "learning_rate": 0.01, "nesterov": False},
        "schedule": {"name": "cosine", "warmup_steps": 3},
    },
    "convolutions": {
        "model": {"name": "resnet", "depth": 8, "width": 4},
        "augmentation": {"crop_padding": 1, "flip": True, "shift": 1},
        "training": {"precision": "bfloat16", "average_decay": 0.9, "epochs": 3, "evaluate_every": 1},
    },
    "steps that end within an epoch": {"training": {"epochs": None, "steps": 10}},
}


class KilledError(BaseException):
    """Stands for the death of the process: no handler of errors may see it."""


def kill_in_epoch(epoch: int, train: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call `train`, which must train a run, and kill the run when this epoch, counted from 0, begins."""
    original = loop.Trainer._train_epoch

    def dies(self: loop.Trainer) -> dict[str, Any]:
        if self.epoch == epoch:
            raise KilledError
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop.Trainer, "_train_epoch", dies)
        with pytest.raises(KilledError):
            train()


def files_of(store: RunStore, identity: str) -> dict[str, bytes]:
    """Return the content of the files of a finished run that do not depend on time."""
    folder = store.path(identity)
    return {
        HISTORY: (folder / HISTORY).read_bytes(),
        MODEL: (folder / MODEL).read_bytes(),
        PREDICTIONS: (folder / PREDICTIONS).read_bytes(),
        SELECTED: (folder / SELECTED).read_bytes() if (folder / SELECTED).exists() else b"",
    }


def kill_before_steps(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> list[int]:
    """Die before each of these steps, the first time that it is reached. Return the list of steps that were taken."""
    original, left, taken = loop.Learner.step, set(steps), []

    def dies(self, batch, save=False):
        trainer_step = counter["step"]
        if trainer_step in left:
            left.discard(trainer_step)
            raise KilledError
        taken.append(trainer_step)
        counter["step"] += 1
        return original(self, batch, save)

    counter = {"step": 0}
    train = loop.Trainer.train

    def follows(self, checkpoint_seconds, *arguments):
        restore = self._restore

        def restores(state):
            restore(state)
            counter["step"] = self.step

        counter["step"] = 0
        self._restore = restores
        return train(self, checkpoint_seconds, *arguments)

    monkeypatch.setattr(loop.Learner, "step", dies)
    monkeypatch.setattr(loop.Trainer, "train", follows)
    return taken
