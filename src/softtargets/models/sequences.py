"""What networks that write rows of tokens have in common: which tokens they predict, and in what order."""

from torch import Tensor

from softtargets.data.tokens import Pairs, Tokens


def predicted(inputs: Tokens | Pairs) -> Tensor:
    """Return where a batch has a token that is predicted.

    Args:
        inputs: pairs, all of whose target tokens are predicted, or tokens of a language model, of which the first of
            each row is given.

    Returns:
        (n, M) bool: True where a token is predicted.
    """
    if isinstance(inputs, Pairs):
        return inputs.target.mask
    mask = inputs.mask.clone()
    mask[:, :1] = False
    return mask


def token_labels(inputs: Tokens | Pairs) -> Tensor:
    """Return the tokens that are predicted, row after row: the (T,) int64 labels of the (T, V) logits of a network.

    Example:
        >>> import torch
        >>> ids = torch.tensor([[1, 5, 2], [1, 2, 0]])
        >>> token_labels(Tokens(ids, ids != 0))
        tensor([5, 2, 2])
    """
    ids = inputs.target.ids if isinstance(inputs, Pairs) else inputs.ids
    return ids[predicted(inputs)]


def token_counts(inputs: Tokens | Pairs) -> Tensor:
    """Return the number of tokens that are predicted in each row, (n,) int64."""
    return predicted(inputs).sum(1)
