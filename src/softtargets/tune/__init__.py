"""Choosing numeric fields of a run specification by validation, with a guard against chance."""

from softtargets.tune.fields import SearchField
from softtargets.tune.job import tune
from softtargets.tune.results import Guard, TuneResults, TuneTrial

__all__ = ["Guard", "SearchField", "TuneResults", "TuneTrial", "tune"]
