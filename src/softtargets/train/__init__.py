"""A run specification to a trained run: objectives by name, one loop, checkpoints."""
