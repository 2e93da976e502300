"""The image classifiers of Hugging Face's transformers, by architecture or by the name of a checkpoint."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from softtargets._errors import fail, unknown
from softtargets.models.adapter import AdaptedNetwork, AdaptedSpec, first_line
from softtargets.models.arguments import Settings, written
from softtargets.models.checkpoints import checkpoint_folder, folder_fingerprint
from softtargets.models.network import checked_image, model
from softtargets.models.weights import load_weights


@model("transformers")
class TransformersSpec(AdaptedSpec):
    """An image classifier of transformers with the last linear layer as its head.

    Attributes:
        architecture: Its model type, such as "resnet", "mobilenet_v2", "convnext" or "vit"; random weights.
        pretrained: A checkpoint to start from: a folder, or a name on the Hugging Face Hub such as
            "microsoft/resnet-18". Give this or `architecture`.
        config: Settings of its configuration, such as {hidden_sizes = [16, 32], depths = [1, 1]}. The number of classes
            is set from the data, and for an architecture also `num_channels` and `image_size`, if it has them.
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
            from transformers import AutoModelForImageClassification

            config = self._configured(checked_image(input_shape), num_classes)
            return AutoModelForImageClassification.from_config(config, dtype=torch.float32)

    def initialise(self, network: nn.Module, images: Callable[[int], Iterable[Tensor]]) -> None:
        """Load the checkpoint's weights, all but those of its head unless `init_head` is "kept"."""
        if self.pretrained is None:
            super().initialise(network, images)
            return
        assert isinstance(network, AdaptedNetwork)
        with _imported():
            from transformers import AutoModelForImageClassification

            folder = checkpoint_folder(self.pretrained)
            settings = written(self.config or {})
            loaded = AutoModelForImageClassification.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, **settings
            )
        weights = {network.adapted_name(name): value for name, value in loaded.state_dict().items()}
        load_weights(network, weights, keep_head=self.init_head == "kept", source=self.pretrained)

    def weights_fingerprint(self) -> str | None:
        """Return a hash of the checkpoint's configuration and weights."""
        if self.pretrained is None:
            return super().weights_fingerprint()
        return folder_fingerprint(checkpoint_folder(self.pretrained))

    def _configured(self, input_shape: tuple[int, int, int], num_classes: int) -> Any:
        from transformers import AutoConfig
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as KNOWN

        settings = written(self.config or {})
        if self.pretrained is not None:
            plain = AutoConfig.from_pretrained(checkpoint_folder(self.pretrained))
            if plain.model_type not in KNOWN:
                got = f"'{self.pretrained}', a {plain.model_type}"
                raise fail("model.pretrained", "a checkpoint of an image classifier", got, "choose another checkpoint")
        else:
            plain = AutoConfig.for_model(self._known_architecture(KNOWN))
        known = set(plain.to_dict()) | set(plain.attribute_map)
        for key in settings:
            if key not in known:
                raise unknown("model.config", key, sorted(known))
        if self.pretrained is not None:
            folder = checkpoint_folder(self.pretrained)
            return AutoConfig.from_pretrained(folder, **{**settings, "num_labels": num_classes})
        channels, height, width = input_shape
        whole = height == width and isinstance(getattr(plain, "image_size", 0), int)
        shape = {"num_channels": channels, "image_size": height if whole else [height, width]}
        given = {key: value for key, value in shape.items() if key in known}
        try:
            return AutoConfig.for_model(plain.model_type, **{**given, **settings, "num_labels": num_classes})
        except Exception as error:  # each configuration checks its settings in its own way
            got = f"{settings} ({type(error).__name__}: {first_line(error)})"
            raise fail("model.config", f"settings of '{self.architecture}'", got, "change them") from error

    def _known_architecture(self, known: Iterable[str]) -> str:
        if self.architecture is None or self.architecture not in known:
            raise unknown("model.architecture", self.architecture, known)
        return self.architecture


@contextlib.contextmanager
def _imported() -> Iterator[None]:
    """Require transformers, and silence what it prints about weights that are loaded."""
    try:
        from transformers.utils import logging
    except ImportError as error:
        remedy = "run pip install 'softtargets[transformers]'"
        raise fail("model.name", "the package transformers for 'transformers'", "no such package", remedy) from error
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
