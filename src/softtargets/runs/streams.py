"""Streams of randomness: a generator for each purpose and epoch, derived from its own seed alone.

A generator is made anew for every epoch, so that a run resumed at an epoch's end draws what it would have drawn.
"""

import hashlib

import torch


def derived_seed(stream: str, seed: int, epoch: int = 0) -> int:
    """Return a 63-bit seed; different streams, seeds and epochs have unrelated ones.

    Example:
        >>> derived_seed("order", 0) == derived_seed("noise", 0)
        False
    """
    digest = hashlib.sha256(f"{stream}:{seed}:{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(stream: str, seed: int, epoch: int = 0) -> torch.Generator:
    """Return a CPU generator of a stream, for one epoch."""
    return torch.Generator().manual_seed(derived_seed(stream, seed, epoch))
