"""What the training loop knows of a method: the objective protocol, and the objectives by name."""

from softtargets.train.objectives._protocol import Batch, Objective, Problem, Teach
from softtargets.train.objectives._registry import OBJECTIVES, build_objective, objective_names

__all__ = ["OBJECTIVES", "Batch", "Objective", "Problem", "Teach", "build_objective", "objective_names"]
