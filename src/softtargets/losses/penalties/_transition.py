"""Penalty on a transition matrix."""

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32
from softtargets.matrices import Transition

__all__ = ["volume_penalty"]


def volume_penalty(transition: Transition | Tensor) -> Tensor:
    """Volume penalty: the log-determinant of a transition matrix, which keeps a learned matrix close to the identity.

    log |det T|        # Li et al. 2021 (VolMinNet)

    Args:
        transition: clean -> observed, Transition or (K, K) float with rows that sum to 1.

    Returns:
        () float32 or wider, at most 0, and -inf if T is singular: one number for all examples. Multiply it by a weight
        and add it to a loss.

    Raises:
        ValueError: if T is not square or its rows do not sum to 1.
        TypeError: if T is neither a Transition nor a floating-point tensor.

    Special cases:
        no noise gives 0; symmetric noise gives (K - 1) log |1 - redraw|.

    Notes:
        The paper multiplies it by lambda, 1e-4. The absolute value of the determinant is taken, as in their code.

    Complexity:
        O(K^3) per step, independent of the batch.

    When to use:
        T is unknown and learned with the model; see ``nn.VolMinNet``.

    Limitations:
        It identifies T only if the clean posteriors are sufficiently scattered (Li et al. 2021). Used without a loss,
        it makes T singular.

    Example:
        >>> round(float(volume_penalty(torch.tensor([[0.75, 0.25], [0.25, 0.75]]))), 4)        # log(1/2)
        -0.6931
    """
    transition = Transition.wrap(transition)
    matrix = transition.to_dense() if transition.matrix is None else at_least_float32(transition.matrix)
    return torch.linalg.slogdet(matrix).logabsdet
