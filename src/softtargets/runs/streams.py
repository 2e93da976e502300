"""Streams of random numbers: one generator per purpose and epoch, derived from its own seed only.

Every epoch has a new generator, so a run that is resumed after an epoch draws the same numbers as one that was never
interrupted.
"""

import hashlib

import torch


def derived_seed(stream: str, seed: int, epoch: int = 0) -> int:
    """Return a 63-bit seed. Different streams, seeds and epochs give unrelated seeds.

    Example:
        >>> derived_seed("order", 0) == derived_seed("noise", 0)
        False
    """
    digest = hashlib.sha256(f"{stream}:{seed}:{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(stream: str, seed: int, epoch: int = 0) -> torch.Generator:
    """Return a CPU generator for one stream and epoch."""
    return torch.Generator().manual_seed(derived_seed(stream, seed, epoch))
