"""From a specification to a trained run: the loop, checkpoints, and the scheduler that trains many runs."""

from softtargets.train.run import TrainedRun, train_run

__all__ = ["TrainedRun", "train_run"]
