"""The compiled kernels, their twins in torch, and the choice between them.

Each module of this package offers one computation. It runs the C kernel where the library was built and can take the
tensors, and otherwise torch operations that give the same numbers. No other package knows which one runs.
"""
