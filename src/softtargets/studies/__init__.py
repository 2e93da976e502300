"""Studies: claims of papers written down, the runs that test them, and the page that says how they came out.

    load -> plan -> schedule -> execute -> measure -> judge -> results -> page

:func:`run_study` does all of it, :func:`report_study` leaves out the training, :func:`describe_study` stops at the
plan and estimates its cost. Each study is a folder with ``study.toml``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softtargets.studies.describe import describe_study
    from softtargets.studies.job import StudyOutcome, report_study, run_study

__all__ = ["StudyOutcome", "describe_study", "report_study", "run_study"]


def __getattr__(name: str) -> Any:
    # imported on first use: listing the studies needs the schema alone, and must not wait for torch
    if name in __all__:
        return getattr(import_module(f"{__name__}.{'describe' if name == 'describe_study' else 'job'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
