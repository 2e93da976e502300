"""Time and memory of the losses against the peers: ``python -m benchmarks``."""
