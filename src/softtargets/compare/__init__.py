"""Comparisons: which training method is better on a data set of the user's own, beyond chance."""

from typing import TYPE_CHECKING, Any

from softtargets.compare.job import compare_methods
from softtargets.compare.request import CompareOptions, CompareStage, ComparisonFailedError
from softtargets.compare.results import CompareResults

if TYPE_CHECKING:
    from softtargets.compare.page import write_page

__all__ = ["CompareOptions", "CompareResults", "CompareStage", "ComparisonFailedError", "compare_methods", "write_page"]


def __getattr__(name: str) -> Any:
    # The page is imported when first used, since its drawing tools take 0.4 s and 40 MB.
    if name == "write_page":
        from softtargets.compare.page import write_page

        return write_page
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
