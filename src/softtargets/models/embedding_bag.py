"""A classifier of texts by the mean of the embeddings of their tokens."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from softtargets._checks import check_num_classes
from softtargets._errors import fail_type
from softtargets.data.tokens import Tokens
from softtargets.models.network import MAX_LAYERS, NetworkSpec, Width, checked_tokens, model

# The multiplier of the hash of two ids; a prime, so that neighbouring ids are spread.
_PRIME = 1_000_003


class EmbeddingBag(nn.Module):
    """Averages the embeddings of a text's tokens and applies linear layers with ReLU and dropout.

    Without hidden layers this is the classifier of Joulin et al. 2017 (fastText), a linear function of the mean.

    Args:
        input_shape: The shape of rows of tokens.
        num_classes: At least 2.
        width: Of an embedding.
        hidden: Widths of the hidden layers.
        dropout: In [0, 1), on the mean and after each hidden layer.
        bigrams: The number of embeddings of pairs of neighbouring tokens, which are chosen by a hash of the pair and
            averaged with those of the tokens. 0: none.

    Raises:
        InputError: if the inputs are not rows of tokens, or there are fewer than 2 classes.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        width: int = 128,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        bigrams: int = 0,
    ) -> None:
        super().__init__()
        check_num_classes(num_classes)
        self.input_shape = checked_tokens(input_shape, "embedding_bag")
        self.embedding = nn.Embedding(self.input_shape.vocabulary, width)
        self.bigrams = nn.Embedding(bigrams, width) if bigrams else None
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        for fan_in, fan_out in pairwise([width, *hidden]):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear([width, *hidden][-1], num_classes)

    def features(self, inputs: Tokens) -> Tensor:
        """Return the (N, D) activations that `head` acts on, D the last hidden width."""
        if not isinstance(inputs, Tokens):
            raise fail_type("inputs", "tokens", type(inputs).__name__, "pass softtargets.data.tokens.Tokens")
        total, count = _sum(self.embedding, inputs.ids, inputs.mask)
        if self.bigrams is not None:
            first, second = inputs.ids[:, :-1], inputs.ids[:, 1:]
            hashed = (first * _PRIME + second) % self.bigrams.num_embeddings
            # the second token of a pair is padding if any of the two is
            more, pairs = _sum(self.bigrams, hashed, inputs.mask[:, 1:])
            total, count = total + more, count + pairs
        return self.body(total / count.clamp(min=1))

    def forward(self, inputs: Tokens) -> Tensor:
        """Return (N, K) logits."""
        return self.head(self.features(inputs))


def _sum(embedding: nn.Embedding, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (N, D) sum of the embeddings where `mask` is True, and the (N, 1) number of them."""
    summed = torch.einsum("nld,nl->nd", embedding(ids), mask.to(embedding.weight.dtype))
    return summed, mask.sum(1, keepdim=True)


@model("embedding_bag")
class EmbeddingBagSpec(NetworkSpec):
    """A classifier of texts that are tokens: the mean of embeddings of `width`, and `hidden` layers with dropout.

    With `bigrams`, so many embeddings of pairs of neighbouring tokens, chosen by a hash, are averaged too. It trains in
    seconds.
    """

    network = EmbeddingBag
    reduced_precision = False

    width: Width = 128
    hidden: tuple[Width, ...] = Field(default=(), max_length=MAX_LAYERS)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    bigrams: int = Field(default=0, ge=0, le=2**24)
