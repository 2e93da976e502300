"""Random groups of examples by a hash of their ids, which does not depend on the order in which they are read."""

from torch import Tensor


def group_of(ids: Tensor, groups: int, seed: int) -> Tensor:
    """Return the group of each example by a hash of its id (the finaliser of SplitMix64, Steele et al. 2014)."""
    if groups == 1:
        return ids.new_zeros(1).expand(ids.shape)
    mixed = ids + _signed(0x9E3779B97F4A7C15 * (seed + 1))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ _shifted(mixed, shift)) * _signed(factor)
    return _shifted(mixed ^ _shifted(mixed, 31), 1) % groups


def _shifted(numbers: Tensor, by: int) -> Tensor:
    """Shift 64 bits to the right, filling with zeros."""
    return (numbers >> by) & (2 ** (64 - by) - 1)


def _signed(number: int) -> int:
    """Return a number modulo 2^64 as the signed integer that torch stores."""
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number
