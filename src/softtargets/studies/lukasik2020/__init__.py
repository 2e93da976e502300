"""Lukasik et al. 2020, Does label smoothing mitigate label noise?: the exact results, in Python."""
