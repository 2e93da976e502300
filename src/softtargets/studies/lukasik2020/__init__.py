"""Lukasik et al. 2020, Does label smoothing mitigate label noise?: what of it is exact, in Python."""
