"""Prediction sets of the evaluated models: thresholds from some rows, coverage and size on the others."""
