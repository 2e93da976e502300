"""The Transformer for translation (Vaswani et al. 2017), as transformers' Marian defines it."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from softtargets._errors import fail, fail_type
from softtargets._spec import Share
from softtargets.data.tokens import Pairs, Tokens
from softtargets.models.decoding import EXTRA_LENGTH, Decoding, Hypothesis, Search, search
from softtargets.models.network import MAX_LAYERS, ModelSpec, Width, checked_tokens, model
from softtargets.models.sequences import predicted
from softtargets.models.transformers import _imported

# Names of tensors that are the embedding, which state_dict has once.
EMBEDDING = "network.shared.weight"
TIED = ("network.encoder.embed_tokens.weight", "network.decoder.embed_tokens.weight", "head.weight")


class MarianNetwork(nn.Module):
    """An encoder and a decoder of one shared vocabulary, whose embedding is also the last linear layer.

    Args:
        network: transformers' MarianModel.
        num_classes: V, the size of the vocabulary.
        positions: the largest number of tokens of a sentence.
        start: the token that the decoder reads first.
        eos: the token that ends a sentence.
    """

    def __init__(self, network: Any, num_classes: int, positions: int, start: int, eos: int) -> None:
        super().__init__()
        self.network, self.positions, self.start, self.eos = network, positions, start, eos
        self.head = nn.Linear(network.shared.embedding_dim, num_classes, bias=False)
        self.head.weight = network.shared.weight
        self.register_state_dict_post_hook(_once)
        self.register_load_state_dict_pre_hook(_thrice)

    def features(self, pairs: Pairs) -> Tensor:
        """Return the (T, D) activations that `head` acts on, of the T target tokens that are predicted.

        They are those of :func:`softtargets.models.sequences.token_labels`, in the same order.
        """
        if not isinstance(pairs, Pairs):
            got, remedy = type(pairs).__name__, "call translate(source, Search()) for sources alone"
            raise fail_type("inputs", "sentence pairs, sources with targets", got, remedy)
        self._check_length(pairs.source.ids, "source")
        self._check_length(pairs.target.ids, "target")
        # every token is predicted from those before it
        first = torch.full_like(pairs.target.ids[:, :1], self.start)
        hidden = self.network(
            input_ids=pairs.source.ids,
            attention_mask=pairs.source.mask,
            decoder_input_ids=torch.cat([first, pairs.target.ids[:, :-1]], dim=1),
            use_cache=False,
        ).last_hidden_state
        # the padding is to the right of the tokens, which attend to the left, so that the decoder needs no mask
        return hidden[predicted(pairs)]

    def forward(self, pairs: Pairs) -> Tensor:
        """Return the (T, V) logits of all target tokens; see :meth:`features`."""
        return self.head(self.features(pairs))

    def begin(self, source: Tokens) -> Decoding:
        """Encode sentences, and start an output of each."""
        self._check_length(source.ids, "source")
        return _MarianDecoding(self, source)

    def translate(self, source: Tokens, settings: Search) -> list[Hypothesis]:
        """Translate sentences with greedy or beam search; outputs are at most 50 tokens longer than their source.

        The network must be in evaluation mode.
        """
        limits = (source.mask.sum(1) + EXTRA_LENGTH).clamp(max=self.positions)
        return search(self.begin(source), limits, settings, start=self.start, eos=self.eos)

    def _check_length(self, ids: Tensor, side: str) -> None:
        if ids.shape[1] > self.positions:
            remedy = "raise model.positions, or lower data.tokenizer.max_length"
            raise fail(side, f"sentences of at most {self.positions} tokens", ids.shape[1], remedy)


class _MarianDecoding(Decoding):
    def __init__(self, network: MarianNetwork, source: Tokens) -> None:
        from transformers import DynamicCache, EncoderDecoderCache

        self._decoder, self._head, self._mask = network.network.decoder, network.head, source.mask
        with torch.no_grad():
            encoded = network.network.encoder(input_ids=source.ids, attention_mask=source.mask)
        self._memory = encoded.last_hidden_state
        config = network.network.config
        self._cache: Any = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))

    def step(self, ids: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = self._decoder(
                input_ids=ids[:, None],
                encoder_hidden_states=self._memory,
                encoder_attention_mask=self._mask,
                past_key_values=self._cache,
                use_cache=True,
            ).last_hidden_state
            return self._head(hidden[:, -1])

    def reorder(self, rows: Tensor) -> None:
        # the keys of the source are the same in all rows of a source
        self._cache.self_attention_cache.reorder_cache(rows)

    def keep(self, rows: Tensor) -> None:
        self._memory, self._mask = self._memory[rows], self._mask[rows]
        self._cache.self_attention_cache.reorder_cache(rows)
        self._cache.cross_attention_cache.reorder_cache(rows)


@model("marian")
class MarianSpec(ModelSpec):
    """The Transformer of Vaswani et al. 2017 for translation; the defaults are its base settings.

    One vocabulary is shared by both languages, and one embedding by the encoder, the decoder and the last layer. Layers
    are normalised after the residual connection, as in the paper; `transformer_base` of tensor2tensor, which Müller et
    al. 2019 trained, normalises before. Positions are sinusoids. Requires the package transformers.

    Attributes:
        layers: Number of layers of the encoder, and of the decoder.
        decoder_layers: Number of layers of the decoder, if it is another.
        width: Of the embedding and the layers.
        heads: Of every attention; a divisor of the width.
        feedforward: Width of the hidden layer of each feed-forward network. None: 4 times the width.
        dropout: After the embedding and in every residual connection.
        attention_dropout: Of attention weights.
        activation_dropout: After the activation of the feed-forward networks.
        activation: Of the feed-forward networks.
        positions: The largest number of tokens of a sentence, at least that of the tokenizer.
    """

    writes: ClassVar[Literal["pairs", "texts"] | None] = "pairs"

    layers: int = Field(default=6, ge=1, le=MAX_LAYERS)
    decoder_layers: int | None = Field(default=None, ge=1, le=MAX_LAYERS)
    width: Width = 512
    heads: int = Field(default=8, ge=1)
    feedforward: Width | None = None
    dropout: Share = 0.1
    attention_dropout: Share = 0.0
    activation_dropout: Share = 0.0
    activation: Literal["relu", "gelu", "silu"] = "relu"
    positions: int = Field(default=256, ge=2, le=4096)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "MarianSpec":
        if self.width % self.heads:
            raise fail("heads", f"a divisor of the width, which is {self.width}", self.heads, "change one of the two")
        return self

    def most_tokens(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the largest number of tokens of a sentence."""
        return self.positions

    def assemble(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network for sentence pairs; `num_classes` is the number of tokens of the vocabulary."""
        shape = checked_tokens(input_shape, "marian")
        if shape.vocabulary != num_classes:
            got = f"{shape.vocabulary} tokens of sources and {num_classes} of targets"
            raise fail("model", "one vocabulary for both languages", got, "remove data.tokenizer.separate")
        if shape.max_length > self.positions:
            required = f"at least {shape.max_length}, the tokens of the longest sentence or data.tokenizer.max_length"
            raise fail("model.positions", required, self.positions, "raise it, or lower data.tokenizer.max_length")
        with _imported():
            from transformers import MarianConfig, MarianModel

            network = MarianModel(MarianConfig(**self._settings(num_classes)))
            # as Marian's own models do where the vocabulary has no token that begins a text
            start = shape.bos if shape.bos >= 0 else shape.pad
            return MarianNetwork(network, num_classes, self.positions, start, shape.eos)

    def _settings(self, num_classes: int) -> dict[str, Any]:
        wide = self.feedforward or 4 * self.width
        sides = {
            f"{side}_{key}": value
            for side, layers in (("encoder", self.layers), ("decoder", self.decoder_layers or self.layers))
            for key, value in (("layers", layers), ("attention_heads", self.heads), ("ffn_dim", wide))
        }
        return {
            **sides,
            "vocab_size": num_classes,
            "d_model": self.width,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation_dropout": self.activation_dropout,
            "activation_function": self.activation,
            "max_position_embeddings": self.positions,
            # the embeddings are multiplied by sqrt(width), and drawn so that the logits start with variance 1
            "scale_embedding": True,
            "init_std": self.width**-0.5,
            # masks say where padding is, so that no token is special for the network
            "pad_token_id": None,
            "bos_token_id": None,
            "eos_token_id": None,
            "forced_eos_token_id": None,
            "decoder_start_token_id": 0,
        }


def _once(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Remove the other names of the embedding from a state_dict: a file of weights has no tensor twice."""
    for name in TIED:
        state.pop(prefix + name, None)


def _thrice(module: nn.Module, state: dict[str, Any], prefix: str, *others: Any) -> None:
    """Give the embedding its other names again before a state_dict is loaded."""
    if prefix + EMBEDDING in state:
        state.update({prefix + name: state[prefix + EMBEDDING] for name in TIED})
