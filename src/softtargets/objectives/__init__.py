"""What a run minimises: one class per method, with its specification, its behaviour and its name.

All files of this folder are imported, without a list of them. A new method is a class that derives from
:class:`Objective`, decorated with the name that selects it:

    @objective("focal")
    class Focal(Objective):
        gamma: NonNegative = 3.0

        def losses(self, logits, batch):
            return losses.focal_loss(logits, batch.labels, gamma=self.gamma)
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from softtargets._spec import union_of
from softtargets.objectives.context import Batch, ObjectiveContext, TeacherFn, TrainingData
from softtargets.objectives.objective import OBJECTIVES, Objective, objective

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

if TYPE_CHECKING:
    AnyObjective = Objective
else:
    AnyObjective = union_of(OBJECTIVES)

__all__ = [
    "OBJECTIVES",
    "AnyObjective",
    "Batch",
    "Objective",
    "ObjectiveContext",
    "TeacherFn",
    "TrainingData",
    "objective",
]
