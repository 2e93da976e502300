"""``python -m benchmarks``: time and memory of the losses compared with other libraries."""
