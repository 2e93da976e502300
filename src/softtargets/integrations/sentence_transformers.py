"""Losses for the classifiers of sentence-transformers: a cross-encoder with several labels.

A bi-encoder's `SoftmaxLoss` takes a module of this package as it is::

    SoftmaxLoss(model, dimension, num_labels=3, loss_fct=softtargets.nn.CrossEntropyLoss(label_smoothing=0.1))
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from softtargets._errors import fail
from softtargets.integrations._late import late_classes
from softtargets.integrations._modules import IGNORED, loss_module

if TYPE_CHECKING:
    from sentence_transformers.cross_encoder.losses import (  # pyright: ignore[reportMissingImports]
        CrossEntropyLoss as _CrossEntropyLoss,
    )
else:
    _CrossEntropyLoss = object  # see the end of the file

__all__ = ["CrossEncoderLoss"]


class CrossEncoderLoss(_CrossEntropyLoss):
    """A loss of this package for a `CrossEncoderTrainer`, in place of sentence-transformers' `CrossEntropyLoss`.

    sum_i w_i * function(logits_i, label_i) / sum_i w_i        over the pairs of texts i that are not ignored

    Args:
        model: a `CrossEncoder` with num_labels > 1.
        function: name of a loss of :mod:`softtargets.losses`, such as "focal_loss"; the function itself; your own
            function of (logits, labels) that returns one loss per row; or a :class:`softtargets.nn.CrossEntropyLoss` or
            :class:`softtargets.nn.Loss`, whose own class weights and `ignore_index` are used.
        class_weight: (K,) float, >= 0, one weight per class, applied to the pair.
        ignore_index: label to leave out.
        hyper_parameters: of the function, by name; for cross entropy those of CrossEntropyLoss, such as
            `label_smoothing`.

    Raises:
        ValueError: if the name or a hyper-parameter is unknown, or the model has one label or is no CrossEncoder; when
            called, if labels are out of range.
        TypeError: if `function` is neither a name, nor a function, nor one of those modules.

    Special cases:
        "cross_entropy" gives sentence-transformers' CrossEntropyLoss.

    Notes:
        Labels are classes, or probabilities of shape (N, K) if the function is defined for soft targets. The model card
        that the trainer writes names the function and its hyper-parameters.

    Limitations:
        With gradient accumulation the trainer averages the means of the micro-batches.
    """

    def __init__(
        self,
        model: Any,
        function: str | Callable[..., Tensor],
        *,
        class_weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        **hyper_parameters: Any,
    ) -> None:
        criterion = loss_module(function, class_weight, ignore_index, hyper_parameters)
        super().__init__(model)
        if model.num_labels < 2:
            remedy = "construct CrossEncoder(..., num_labels=K)"
            raise fail("model", "a CrossEncoder with at least 2 labels", model.num_labels, remedy)
        self.ce_loss = criterion

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings, which sentence-transformers writes to the model card."""
        return {"loss": repr(self.ce_loss)}


if not TYPE_CHECKING:  # a type checker sees the class above

    def _bases() -> tuple[type, ...]:
        from sentence_transformers.cross_encoder.losses import CrossEntropyLoss

        return (CrossEntropyLoss,)

    __getattr__ = late_classes(globals(), __all__, _bases)
