"""Measures of finished runs, one file for each family."""

from importlib import import_module
from pkgutil import iter_modules

from softtargets.measures.combined import CombinedRuns, combine_predictions
from softtargets.measures.registry import MEASURES, TRACES, Measure
from softtargets.measures.run import Measured, measure_network, measure_record, measure_run, trace_run

__all__ = [
    "MEASURES",
    "TRACES",
    "CombinedRuns",
    "Measure",
    "Measured",
    "combine_predictions",
    "measure_network",
    "measure_record",
    "measure_run",
    "trace_run",
]

# Importing a family registers its measures, and results list them in this order. The other files of this folder follow
# in alphabetical order.
_FIRST = ("accuracy", "classes", "transition", "calibration", "fit", "gaps", "stability", "history", "teacher")
_FIRST += ("votes", "cost", "tokens", "collapse", "separation", "probe", "projection", "information")

for _name in dict.fromkeys((*_FIRST, *sorted(module.name for module in iter_modules(__path__)))):
    import_module(f"{__name__}.{_name}")
