"""Losses of this package in the classification trainer of ultralytics.

:func:`classification_trainer` makes the `trainer` of ``YOLO.train`` from any loss of this package.

Example:
    >>> def train(model, data):
    ...     return model.train(data=data, trainer=classification_trainer("focal_loss", gamma=2.0))
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from softtargets.integrations._modules import loss_module
from softtargets.nn import CrossEntropyLoss, Loss

if TYPE_CHECKING:
    from ultralytics.models.yolo.classify import ClassificationTrainer as _Trainer  # pyright: ignore[reportMissingImports]
else:
    _Trainer = object  # the trainer of ultralytics is added when a class is made, so that it is not imported here

__all__ = ["classification_trainer"]


def classification_trainer(
    function: str | Callable[..., Tensor], *, class_weight: Tensor | None = None, **hyper_parameters: Any
) -> type:
    """Make the `trainer` of ``YOLO.train`` for image classification from a loss.

    sum_i w_i * function(logits_i, label_i) / sum_i w_i

    The loss replaces the cross entropy of ultralytics. "train/loss" and "val/loss" of its results are this loss, of the
    model and of the average of its weights that it validates.

    Args:
        function: name of a loss of :mod:`softtargets.losses`, such as "focal_loss"; the function itself; your own
            function of (logits, labels) that returns one loss per row; or a :class:`softtargets.nn.CrossEntropyLoss` or
            :class:`softtargets.nn.Loss`.
        class_weight: (K,) float, >= 0, one weight per class, in the order of the class folders' names.
        hyper_parameters: of the function, by name; for cross entropy those of CrossEntropyLoss, such as
            `label_smoothing`.

    Returns:
        A subclass of ultralytics.models.yolo.classify.ClassificationTrainer, for ``YOLO.train(trainer=...)``.

    Raises:
        ValueError: if the name or a hyper-parameter is unknown.
        TypeError: if `function` is neither a name, nor a function, nor one of those modules.

    Special cases:
        "cross_entropy" trains the same network as ultralytics does.

    Notes:
        Checkpoints are those of ultralytics: the loss is not saved in them. To resume training, pass the trainer again.

    Limitations:
        Classification only. Parameters of a loss are not trained.

    Complexity:
        That of the function.

    Example:
        >>> def train(model, data):
        ...     trainer = classification_trainer("cross_entropy", label_smoothing=0.1)
        ...     return model.train(data=data, epochs=10, trainer=trainer)
    """
    module = loss_module(function, class_weight, hyper_parameters=hyper_parameters)
    from ultralytics.models.yolo.classify import ClassificationTrainer  # pyright: ignore[reportMissingImports]

    return type("ClassificationTrainer", (_WithCriterion, ClassificationTrainer), {"criterion": _Criterion(module)})


class _WithCriterion(_Trainer):
    """A trainer whose models have a loss of this package; see :func:`classification_trainer`."""

    criterion: "_Criterion"

    def get_model(self, *args: Any, **kwargs: Any) -> Any:
        """Return the model of ultralytics with our criterion."""
        model = super().get_model(*args, **kwargs)
        model.criterion = self.criterion
        return model


class _Criterion:
    """A loss in the form that a classification model of ultralytics calls.

    No module, so that it adds nothing to the model's state.
    """

    def __init__(self, module: CrossEntropyLoss | Loss) -> None:
        self.module = module

    def __call__(self, preds: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, (), and what is reported."""
        logits = preds[1] if isinstance(preds, list | tuple) else preds  # with probabilities in evaluation
        value = self.module.to(logits.device)(logits, batch["cls"])
        return value, {"loss": value.detach()}
