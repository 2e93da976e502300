"""Studies: claims of papers, the runs that test them, and pages with the results.

    load -> plan -> schedule -> execute -> measure -> judge -> results -> page

:func:`run_study` performs all steps, :func:`report_study` skips the training, :func:`describe_study` stops at the plan
and estimates the time, and :func:`estimate_power` trains a pilot and estimates how many seeds the claims need. Each
study is a folder with a ``study.toml``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softtargets.studies.describe import describe_study
    from softtargets.studies.job import StudyOutcome, report_study, run_study
    from softtargets.studies.power import StudyPower, estimate_power

_MODULES = {"describe_study": "describe", "StudyPower": "power", "estimate_power": "power"}

__all__ = ["StudyOutcome", "StudyPower", "describe_study", "estimate_power", "report_study", "run_study"]


def __getattr__(name: str) -> Any:
    # imported on first use, because listing the studies must not import torch
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'job')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
