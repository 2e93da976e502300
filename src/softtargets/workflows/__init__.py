"""What a command does: run a study, report it, describe it, train one run."""
