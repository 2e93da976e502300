"""The figures of a study, one file for each kind."""
