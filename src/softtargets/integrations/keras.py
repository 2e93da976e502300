"""Losses as `keras.losses.Loss`, on Keras's torch backend (environment variable ``KERAS_BACKEND=torch``).

Example:
    >>> import keras
    >>> from softtargets.integrations.keras import KerasLoss
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> model.compile(optimizer="sgd", loss=KerasLoss("focal_loss", gamma=2.0))
    >>> loss = KerasLoss("cross_entropy", label_smoothing=0.1)
    >>> round(float(loss(torch.tensor([0, 2]), torch.zeros(2, 3))), 4)        # log 3
    1.0986
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from softtargets import losses
from softtargets._checks import check_entries
from softtargets._errors import fail, fail_type
from softtargets.integrations._late import late_classes
from softtargets.integrations._modules import IGNORED, loss_module

if TYPE_CHECKING:
    from keras.losses import Loss as _Loss  # pyright: ignore[reportMissingImports]
else:
    _Loss = object  # see the end of the file

__all__ = ["KerasLoss"]


class KerasLoss(_Loss):
    """A loss of this package for ``model.compile(loss=...)``, with Keras's reductions, sample weights and masks.

    reduction over i of sample_weight_i * class_weight[label_i] * function(logits_i, target_i)

    `y_true` holds integer labels, of the shape of `y_pred` without its last dimension or with 1 there; or one-hot or
    soft labels, of the shape of `y_pred`, if the function is defined for them. The classes are last.

    Args:
        function: name of a loss of :mod:`softtargets.losses`, such as "focal_loss"; the function itself; or your own
            function of (logits, labels) that returns one loss per row.
        from_logits: True if `y_pred` holds logits. False for probabilities, which are clipped at
            `keras.config.epsilon()`.
        class_weight: (K,) float, >= 0, one weight per class: it multiplies the losses of its labels. Keras's means
            divide by the number of examples, not by the sum of the weights.
        ignore_index: label to leave out. Keras's means do not count it.
        reduction: of Keras: "sum_over_batch_size", "mean_with_sample_weight", "sum" or None.
        name: of Keras. Default: the name of the function.
        dtype: of Keras.
        hyper_parameters: of the function, by name; for cross entropy those of CrossEntropyLoss, such as
            `label_smoothing`.

    Raises:
        ValueError: if Keras's backend is not torch, or the name or a hyper-parameter is unknown; when called, if labels
            are out of range, not whole, or of another shape; when saved, if `function` or a hyper-parameter cannot be.
        TypeError: if `function` is neither a name nor a function.

    Special cases:
        "cross_entropy" with label_smoothing=r gives keras.losses.CategoricalCrossentropy(label_smoothing=r).

    Notes:
        A saved model stores the name of the loss and its hyper-parameters: numbers, texts and tensors. Import this
        class before ``keras.saving.load_model``, which then finds it.

    Limitations:
        Losses are saved by name only. A model with your own function is loaded with ``compile=False``.
    """

    def __init__(
        self,
        function: str | Callable[..., Tensor],
        *,
        from_logits: bool = True,
        class_weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **hyper_parameters: Any,
    ) -> None:
        from keras.config import backend  # pyright: ignore[reportMissingImports]

        if backend() != "torch":
            remedy = "set the environment variable KERAS_BACKEND=torch before keras is imported"
            raise fail("KERAS_BACKEND", "torch", backend(), remedy)
        if isinstance(function, nn.Module):
            remedy = "pass its function and hyper-parameters"
            raise fail_type("function", "a name or a function", type(function).__name__, remedy)
        self._module = loss_module(function, class_weight, ignore_index, hyper_parameters, reduction="none")
        self._function = function if isinstance(function, str) else getattr(function, "__name__", repr(function))
        self._is_public = isinstance(function, str) or getattr(losses, self._function, None) is function
        self.from_logits, self.class_weight = from_logits, class_weight
        self.hyper_parameters = hyper_parameters
        super().__init__(name=name or self._function, reduction=reduction, dtype=dtype)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss; the arguments are as in `keras.losses.Loss`."""
        # Keras 3.15 multiplies a tensor of weights by the mask in place, which weighted metrics would see
        given = sample_weight.clone() if isinstance(sample_weight, Tensor) else sample_weight
        return super().__call__(y_true, y_pred, given)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return one loss per example, (...).

        Args:
            y_true: (...) or (..., 1) labels, whole numbers; or (..., K) probabilities.
            y_pred: (..., K) float.
        """
        from keras.config import epsilon  # pyright: ignore[reportMissingImports]

        shape, size = y_pred.shape[:-1], y_pred.shape[-1]
        if size < 2:
            remedy = "use a last layer with one unit per class"
            raise fail("y_pred", "one number for each of at least 2 classes", f"shape {tuple(y_pred.shape)}", remedy)
        if y_true.shape not in (shape, (*shape, 1), y_pred.shape):
            required = f"shape {tuple(shape)} for labels, or {tuple(y_pred.shape)}, as y_pred, for probabilities"
            raise fail("y_true", required, tuple(y_true.shape), "pass one label, or K probabilities, per example")
        if y_pred.is_meta:  # Keras asks for the shape when it builds a model
            return y_pred.new_empty(shape)
        logits = (y_pred if self.from_logits else y_pred.clamp(min=epsilon()).log()).reshape(-1, size)
        module = self._module.to(y_pred.device)
        if y_true.shape == y_pred.shape:
            return module(logits, y_true.reshape(-1, size)).reshape(shape)
        remedy = "pass classes, or probabilities of the shape of y_pred"
        check_entries("y_true", y_true, lambda label: label == label.round(), "whole numbers", remedy)
        labels = y_true.reshape(-1).long()
        values = module(logits, labels).reshape(shape)
        # where Keras looks for a mask
        values._keras_mask = (labels != module.ignore_index).reshape(shape)  # pyright: ignore[reportAttributeAccessIssue]
        return values

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for Keras to save."""
        if not self._is_public:
            remedy = "pass a loss of softtargets.losses"
            raise fail("function", "a name, so that the model can be saved", self._function, remedy)
        for name, value in self.hyper_parameters.items():
            if not isinstance(value, int | float | str | bool | Tensor | None):
                remedy = "pass a tensor, such as transition.to_dense()"
                raise fail(
                    name, "a number, text or tensor, so that the model can be saved", type(value).__name__, remedy
                )
        own = {"class_weight": self.class_weight, "ignore_index": self._module.ignore_index}
        return {
            **super().get_config(),
            "function": self._function,
            "from_logits": self.from_logits,
            **own,
            **self.hyper_parameters,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "KerasLoss":
        """Return the loss of a config of :meth:`get_config`, whose tensors Keras may have encoded."""
        from keras.saving import deserialize_keras_object  # pyright: ignore[reportMissingImports]

        decoded = {k: deserialize_keras_object(v) if isinstance(v, dict) else v for k, v in config.items()}
        return cls(**decoded)


if not TYPE_CHECKING:  # a type checker sees the class above

    def _bases() -> tuple[type, ...]:
        from keras.losses import Loss

        return (Loss,)

    _complete = late_classes(globals(), __all__, _bases)

    def __getattr__(name: str) -> Any:
        made = _complete(name)
        from keras.saving import register_keras_serializable

        return register_keras_serializable("softtargets")(made)
