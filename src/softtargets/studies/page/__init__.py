"""The page of a study and its files, from its results; nothing is computed here."""
