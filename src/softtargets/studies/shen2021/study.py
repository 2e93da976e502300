"""The extension of this study: the kind of Figure 3."""

from softtargets.studies.shen2021.logistic import SmoothedLogistic

__all__ = ["SmoothedLogistic"]
