"""Studies: claims of papers, the runs that test them, and pages with the results.

    load -> plan -> schedule -> execute -> measure -> judge -> results -> page

:func:`run_study` performs all steps, :func:`report_study` skips the training, :func:`describe_study` stops at the plan
and estimates the time. Each study is a folder with a ``study.toml``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softtargets.studies.describe import describe_study
    from softtargets.studies.job import StudyOutcome, report_study, run_study

__all__ = ["StudyOutcome", "describe_study", "report_study", "run_study"]


def __getattr__(name: str) -> Any:
    # imported on first use, because listing the studies must not import torch
    if name in __all__:
        return getattr(import_module(f"{__name__}.{'describe' if name == 'describe_study' else 'job'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
