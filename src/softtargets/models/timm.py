"""The networks of timm (PyTorch Image Models), by name."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from softtargets import _packages
from softtargets._errors import fail, nearest
from softtargets.models.adapter import AdaptedNetwork, AdaptedSpec, first_line
from softtargets.models.arguments import Settings, written
from softtargets.models.checkpoints import checkpoint_folder, folder_fingerprint
from softtargets.models.network import checked_image, model
from softtargets.models.weights import load_weights


@model("timm")
class TimmSpec(AdaptedSpec):
    """An image classifier of timm with the last linear layer as its head.

    Attributes:
        architecture: Its name in timm, such as "inception_v4", "densenet121" or "wide_resnet50_2".
        pretrained: Whether to start from timm's weights for this name, from the Hugging Face Hub.
        config: Further arguments of timm.create_model, such as {img_size = 32, drop_rate = 0.1}. The numbers of classes
            and channels are set from the data.
    """

    architecture: str = Field(min_length=1)
    pretrained: bool | None = None
    config: Settings | None = None

    @property
    def trained(self) -> bool:
        """Whether training starts from trained weights."""
        return bool(self.pretrained) or super().trained

    def assemble(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network with random weights, without the adapter."""
        timm, (channels, *_) = _timm(), checked_image(input_shape)
        self._check_name(timm)
        try:
            return timm.create_model(
                self.architecture, num_classes=num_classes, in_chans=channels, **written(self.config or {})
            )
        except TypeError as error:  # an argument that the network does not take
            got = f"{self.config} ({first_line(error)})"
            required = f"arguments of timm.create_model for '{self.architecture}'"
            raise fail("model.config", required, got, "drop that argument") from error

    def initialise(self, network: nn.Module, images: Callable[[int], Iterable[Tensor]]) -> None:
        """Load timm's weights, all but those of the head unless `init_head` is "kept"."""
        if not self.pretrained:
            super().initialise(network, images)
            return
        assert isinstance(network, AdaptedNetwork)
        file = next(self._folder().glob("*.safetensors"))
        settings: dict[str, Any] = {**written(self.config or {}), "pretrained_cfg_overlay": {"file": str(file)}}
        weights = _timm().create_model(self.architecture, pretrained=True, **settings).state_dict()
        named = {network.adapted_name(name): value for name, value in weights.items()}
        load_weights(network, named, keep_head=self.init_head == "kept", source=self.architecture)

    def weights_fingerprint(self) -> str | None:
        """Return a hash of timm's weights."""
        return folder_fingerprint(self._folder()) if self.pretrained else super().weights_fingerprint()

    def _check_name(self, timm: ModuleType) -> None:
        """Require an architecture of timm and, after a dot, one of the tags of its weights."""
        name, dot, _ = self.architecture.partition(".")
        known, listing = timm.list_models(), "timm.list_models()"
        if dot and name in known:
            known, listing = timm.list_pretrained(f"{name}.*"), f"timm.list_pretrained('{name}.*')"
        if self.architecture not in known:
            close = nearest(self.architecture, known)
            remedy = f"did you mean '{close}'?" if close else f"see {listing}"
            raise fail("model.architecture", "an architecture of timm", f"'{self.architecture}'", remedy)

    def _folder(self) -> Path:
        timm = _timm()
        self._check_name(timm)
        found = timm.get_pretrained_cfg(self.architecture)
        if found is None or not found.hf_hub_id:
            got = f"'{self.architecture}'"
            raise fail("model.pretrained", "an architecture with weights on the Hub", got, "use pretrained = false")
        hub = found.hf_hub_id
        return checkpoint_folder(hub if not hub.endswith("/") else f"{hub}{found.architecture}.{found.tag}")


def _timm() -> ModuleType:
    try:
        return _packages.load("timm", "model.name", "softtargets[vision]")
    except RuntimeError as error:  # torchvision for CUDA beside torch for CPUs
        remedy = "install the build of torchvision that fits torch"
        raise fail("model.name", "the package timm", first_line(error), remedy) from error
