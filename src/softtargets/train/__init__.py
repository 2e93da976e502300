"""From a specification to a trained run: the loop, checkpoints, and the scheduler that trains many runs."""

from softtargets.train.load import LoadedRun, load_run
from softtargets.train.run import TrainedRun, train_run

__all__ = ["LoadedRun", "TrainedRun", "load_run", "train_run"]
