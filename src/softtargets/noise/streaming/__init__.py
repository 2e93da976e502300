"""Estimates of label noise from rows that are read block by block, with a state that does not grow with the rows.

Every state consists of integers, of selected rows or of values that occur, so it does not depend on how the rows are
cut into blocks.
"""
