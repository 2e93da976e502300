"""A language model by its architecture in transformers: it predicts every token from those before it."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from softtargets._errors import fail
from softtargets.data.tokens import Tokens, TokenShape
from softtargets.models.arguments import Settings, written
from softtargets.models.network import ModelSpec, check_size, checked_tokens, model
from softtargets.models.transformers import _imported, check_vocabulary, configured, settings_that_fit


class CausalNetwork(nn.Module):
    """Predicts every token of a row but the first from the tokens before it.

    Args:
        network: of transformers, without the layer that predicts tokens; its outputs depend on earlier tokens only.
        width: of its outputs.
        vocabulary: V.
        tied: whether the last layer is the embedding of the inputs, too.
    """

    def __init__(self, network: Any, width: int, vocabulary: int, *, tied: bool) -> None:
        super().__init__()
        self.network, self.tied = network, tied
        self.head = nn.Linear(width, vocabulary, bias=False)
        deviation = getattr(network.config, "initializer_range", None) or 0.02
        nn.init.normal_(self.head.weight, std=deviation)
        if tied:
            # one tensor with one name: the embedding is looked up in the last layer
            network.set_input_embeddings(nn.Identity())

    def features(self, tokens: Tokens) -> Tensor:
        """Return the (T, D) activations that `head` acts on, of the T tokens after the first of each row."""
        # padding is to the right of the tokens, which attend to the left, so that it needs no mask
        given = {"inputs_embeds": F.embedding(tokens.ids, self.head.weight)} if self.tied else {"input_ids": tokens.ids}
        hidden = self.network(**given, use_cache=False).last_hidden_state
        return hidden[:, :-1][tokens.mask[:, 1:]]

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the (T, V) logits of the tokens after the first of each row, row after row."""
        return self.head(self.features(tokens))


@model("causal_lm")
class CausalSpec(ModelSpec):
    """A causal language model of transformers with random weights, such as a small GPT-2.

    Attributes:
        architecture: Its model type, such as "gpt2".
        config: Settings of its configuration, such as {n_embd = 128, n_layer = 2, n_head = 4}. The size of the
            vocabulary, the special tokens and a number of positions that holds the longest text are set from the data.
    """

    writes: ClassVar[Literal["pairs", "texts"] | None] = "texts"

    architecture: str = Field(default="gpt2", min_length=1)
    config: Settings | None = None

    def assemble(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network with random weights."""
        from transformers import AutoModel

        shape = checked_tokens(input_shape, "causal_lm")
        with _imported():
            config = self._configured(shape)
            with settings_that_fit(self.architecture, self.config):
                network = AutoModel.from_config(config, dtype=torch.float32)
        tied = bool(getattr(config, "tie_word_embeddings", False))
        return CausalNetwork(network, config.hidden_size, num_classes, tied=tied)

    def build(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network; see :meth:`ModelSpec.build`.

        Raises:
            InputError: also if an output of the architecture depends on later tokens.
        """
        shape = checked_tokens(input_shape, "causal_lm")
        check_size(self.parameters(shape, num_classes), shape)
        network = self.assemble(shape, num_classes)
        self._check_causal(network, shape)
        return network

    def most_tokens(self, input_shape: tuple[int, ...], num_classes: int) -> int | None:
        """Return the number of positions; None if they are not numbered."""
        with _imported():
            return getattr(self._configured(checked_tokens(input_shape, "causal_lm")), "max_position_embeddings", None)

    def _configured(self, shape: TokenShape) -> Any:
        from transformers.models.auto import modeling_auto as auto

        known = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        config = configured(self.architecture, known, written(self.config or {}), shape)
        check_vocabulary(shape, config.vocab_size)
        return config

    def _check_causal(self, network: nn.Module, shape: TokenShape) -> None:
        ids = torch.arange(min(4, shape.max_length))[None] % shape.vocabulary
        other, mask = ids.clone(), torch.ones_like(ids, dtype=torch.bool)
        other[0, -1] = (other[0, -1] + 1) % shape.vocabulary
        network.eval()
        with torch.no_grad():
            first, second = (network(Tokens(rows, mask)) for rows in (ids, other))
        network.train()
        # the last token is an input of no output
        if not torch.allclose(first, second, rtol=1e-4, atol=1e-5):
            remedy = 'use one such as "gpt2", or set config = { is_decoder = true }'
            raise fail("model.architecture", "a causal language model", f"'{self.architecture}'", remedy)
