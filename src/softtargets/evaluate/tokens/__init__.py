"""The tokens of sequences: metrics by position and by token frequency."""
