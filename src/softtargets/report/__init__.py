"""Records to pages: the only room that draws. It computes nothing but means, deviations and layout."""

from softtargets.report.files import write

__all__ = ["write"]
