"""The page of a study and the files beside it, drawn from its results; nothing is decided here."""
