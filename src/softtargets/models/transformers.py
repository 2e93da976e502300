"""The classifiers of images and of texts of Hugging Face's transformers, by architecture or by a checkpoint's name."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from softtargets import _packages
from softtargets._errors import InputError, fail, unknown
from softtargets.data.tokens import Tokens, TokenShape
from softtargets.models.adapter import AdaptedNetwork, AdaptedSpec, first_line
from softtargets.models.arguments import Settings, written
from softtargets.models.checkpoints import checkpoint_folder, folder_fingerprint
from softtargets.models.network import WithoutDraws, checked_image, model
from softtargets.models.weights import load_weights


@model("transformers")
class TransformersSpec(AdaptedSpec):
    """A classifier of transformers with the last linear layer as its head: of images, or of texts that are tokens.

    Attributes:
        architecture: Its model type, such as "resnet", "convnext" or "vit" for images, "bert", "distilbert" or "gpt2"
            for texts; random weights.
        pretrained: A checkpoint to start from: a folder, or a name on the Hugging Face Hub such as
            "microsoft/resnet-18". Give this or `architecture`. For texts, `data.tokenizer.pretrained` is usually the
            same name.
        config: Settings of its configuration, such as {hidden_sizes = [16, 32], depths = [1, 1]}. The number of classes
            is set from the data. For an architecture of images, so are `num_channels` and `image_size`; of texts the
            size of the vocabulary, the special tokens, and a number of positions that holds the longest text.
    """

    places: ClassVar[tuple[str, ...]] = ("init_from", "pretrained")

    architecture: str | None = Field(default=None, min_length=1)
    pretrained: str | None = Field(default=None, min_length=1)
    config: Settings | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.architecture is None) == (self.pretrained is None):
            got = "neither" if self.architecture is None else "both"
            raise fail("architecture", "given, or else pretrained", got, 'give one, such as architecture = "resnet"')
        if self.pretrained is not None and self.init_from is not None:
            raise fail("init_from", "not given with pretrained", f"'{self.init_from}'", "drop one of the two")
        return self

    def assemble(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network with random weights, without the adapter."""
        with _imported():
            made = _kind(input_shape).auto.from_config(self._configured(input_shape, num_classes), dtype=torch.float32)
        return TextClassifier(made) if isinstance(input_shape, TokenShape) else made

    def initialise(self, network: nn.Module, images: Callable[[int], Iterable[Tensor]]) -> None:
        """Load the checkpoint's weights, all but those of its head unless `init_head` is "kept"."""
        if self.pretrained is None:
            super().initialise(network, images)
            return
        assert isinstance(network, AdaptedNetwork)
        with _imported():
            folder = checkpoint_folder(self.pretrained)
            settings = written(self.config or {})
            loaded = _kind(network.input_shape).auto.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, **settings
            )
        if isinstance(network.input_shape, TokenShape):
            loaded = TextClassifier(loaded)
        weights = {network.adapted_name(name): value for name, value in loaded.state_dict().items()}
        load_weights(network, weights, keep_head=self.init_head == "kept", source=self.pretrained)

    def weights_fingerprint(self) -> str | None:
        """Return a hash of the checkpoint's configuration and weights."""
        if self.pretrained is None:
            return super().weights_fingerprint()
        return folder_fingerprint(checkpoint_folder(self.pretrained))

    def most_tokens(self, input_shape: tuple[int, ...], num_classes: int) -> int | None:
        """Return the number of positions; None if they are not numbered."""
        if not isinstance(input_shape, TokenShape):
            return None
        with _imported(), torch.device("meta"), WithoutDraws():
            config = self._configured(input_shape, num_classes)
            with settings_that_fit(self.architecture or self.pretrained, self.config):
                network = _kind(input_shape).auto.from_config(config)
        positions = getattr(config, "max_position_embeddings", None) or 0
        if positions < 1:
            return None
        # models in the manner of RoBERTa number the positions from the one after that of padding
        skipped = [
            layer.padding_idx + 1
            for name, layer in network.named_modules()
            if name.endswith("position_embeddings") and getattr(layer, "padding_idx", None) is not None
        ]
        return positions - max(skipped, default=0)

    def _configured(self, input_shape: Sequence[int], num_classes: int) -> Any:
        from transformers import AutoConfig

        settings, kind = written(self.config or {}), _kind(input_shape)
        if self.pretrained is None:
            config = configured(self.architecture, kind.known, settings, input_shape, num_labels=num_classes)
        else:
            folder = checkpoint_folder(self.pretrained)
            plain = AutoConfig.from_pretrained(folder)
            if plain.model_type not in kind.known:
                got = f"'{self.pretrained}', a {plain.model_type}"
                raise fail("model.pretrained", f"a checkpoint of {kind.name}", got, "choose another checkpoint")
            _check_keys(settings, plain)
            given = {"pad_token_id": input_shape.pad} if isinstance(input_shape, TokenShape) else {}
            config = AutoConfig.from_pretrained(folder, **{**given, **settings, "num_labels": num_classes})
        if isinstance(input_shape, TokenShape):
            check_vocabulary(input_shape, config.vocab_size, self.pretrained)
        return config


def configured(
    architecture: str | None, known: Iterable[str], settings: dict[str, Any], input_shape: Sequence[int], **fixed: Any
) -> Any:
    """Return the configuration of a network with random weights.

    Args:
        architecture: its model type.
        known: the model types that may be chosen.
        settings: of the user, which come before those that the data give.
        input_shape: of an image or of rows of tokens.
        fixed: settings that come before those of the user.

    Raises:
        InputError: an unknown architecture or setting, or settings that do not fit together.
    """
    from transformers import AutoConfig

    if architecture is None or architecture not in known:
        raise unknown("model.architecture", architecture, known)
    plain = AutoConfig.for_model(architecture)
    keys = _check_keys(settings, plain)
    shape = _of_tokens(input_shape, plain) if isinstance(input_shape, TokenShape) else _of_image(input_shape, plain)
    given = {key: value for key, value in shape.items() if key in keys}
    with settings_that_fit(architecture, settings):
        return AutoConfig.for_model(architecture, **{**given, **settings, **fixed})


@contextlib.contextmanager
def settings_that_fit(name: str | None, settings: dict[str, Any] | None) -> Iterator[None]:
    """Report any error in making a configuration or its network as one of the settings of this architecture."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each configuration and each network checks its settings in its own way
        got = f"{settings or {}} ({type(error).__name__}: {first_line(error)})"
        raise fail("model.config", f"settings of '{name}' that fit together", got, "change them") from error


def _check_keys(settings: dict[str, Any], plain: Any) -> set[str]:
    """Return the keys of a configuration; require that those of the settings are among them."""
    keys = set(plain.to_dict()) | set(plain.attribute_map)
    for key in settings:
        if key not in keys:
            raise unknown("model.config", key, sorted(keys))
    return keys


def check_vocabulary(shape: TokenShape, size: int, pretrained: str | None = None) -> None:
    """Require a network that has an embedding for every token."""
    if shape.vocabulary > size:
        required = f"at most {size} tokens, the vocabulary of " + (f"'{pretrained}'" if pretrained else "model.config")
        remedy = f'set data.tokenizer.pretrained = "{pretrained}"' if pretrained else "remove vocab_size"
        raise fail("data.tokenizer", required, shape.vocabulary, f"{remedy}, or take another network")


class TextClassifier(nn.Module):
    """A classifier of transformers that is called with :class:`Tokens` and returns logits.

    Args:
        inner: called as inner(input_ids=ids, attention_mask=mask).
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens: Tokens) -> Tensor:
        """Return (N, K) logits, or what the head acts on if it was moved out."""
        return self.inner(input_ids=tokens.ids, attention_mask=tokens.mask.long()).logits


@dataclass(frozen=True)
class _Kind:
    """A kind of classifiers: its name, the class that builds them, and the known architectures."""

    name: str
    auto: Any
    known: Iterable[str]


def _kind(input_shape: Sequence[int]) -> _Kind:
    import transformers
    from transformers.models.auto import modeling_auto as auto

    if isinstance(input_shape, TokenShape):
        known = auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
        return _Kind("a text classifier", transformers.AutoModelForSequenceClassification, known)
    known = auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return _Kind("an image classifier", transformers.AutoModelForImageClassification, known)


def _of_image(input_shape: Sequence[int], plain: Any) -> dict[str, Any]:
    """Return the settings that the shape of images gives."""
    channels, height, width = checked_image(input_shape)
    whole = height == width and isinstance(getattr(plain, "image_size", 0), int)
    return {"num_channels": channels, "image_size": height if whole else [height, width]}


def _of_tokens(shape: TokenShape, plain: Any) -> dict[str, Any]:
    """Return the settings that the shape of rows of tokens gives."""
    given: dict[str, int | None] = {"vocab_size": shape.vocabulary, "pad_token_id": shape.pad}
    for name, number in (("bos_token_id", shape.bos), ("eos_token_id", shape.eos)):
        given[name] = None if number < 0 else number
    # one more for each id up to that of padding, since some models number positions from there
    needed = shape.max_length + shape.pad + 1
    if needed > (getattr(plain, "max_position_embeddings", None) or needed):
        given["max_position_embeddings"] = needed
    return given


@contextlib.contextmanager
def _imported() -> Iterator[None]:
    """Require transformers, and silence what it prints about weights that are loaded."""
    try:
        from transformers.utils import logging
    except ImportError as error:
        raise _packages.missing("transformers", "model.name", "softtargets[transformers]") from error
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
