"""What the modules share: their settings, the dimension of the classes, and class weights as weights of examples."""

from typing import TypedDict

from torch import Tensor, nn

from softtargets._errors import fail
from softtargets._numerics import at_least_float32, rows_of
from softtargets.losses.inputs import LossInputs, check_ignore_index
from softtargets.losses.reduction import Reduction, check_reduction
from softtargets.targets import example_weights


class RowSettings(TypedDict):
    """The keywords of a loss for the dimension of the classes and the examples to leave out."""

    class_dim: int
    ignore_index: int
    mask: Tensor | None


class SoftmaxLoss(nn.CrossEntropyLoss):
    """Base of the modules whose logits become probabilities by a softmax.

    Other libraries recognise such a loss by ``isinstance(loss, torch.nn.CrossEntropyLoss)``: skorch's `predict_proba`
    applies a softmax to the outputs of the network only then.
    """

    reduction: Reduction

    def __init__(self, *, reduction: Reduction, ignore_index: int, class_dim: int) -> None:
        # not torch's own, which registers a buffer `weight`: some hyper-parameters have this name
        nn.Module.__init__(self)
        check_settings(reduction, ignore_index)
        self.reduction = reduction  # pyright: ignore[reportIncompatibleVariableOverride]
        self.ignore_index, self.class_dim = int(ignore_index), class_dim

    def rows(self, logits: Tensor, mask: Tensor | None) -> RowSettings:
        """Return the keywords of a loss for these logits."""
        class_dim = class_dim_of(logits, self.class_dim)
        return {"class_dim": class_dim, "ignore_index": self.ignore_index, "mask": mask}


def check_settings(reduction: str, ignore_index: int) -> None:
    """Check the settings that all modules have."""
    check_reduction(reduction)
    check_ignore_index(ignore_index)


def class_dim_of(logits: Tensor, class_dim: int) -> int:
    """Return the dimension of the classes: (K,) logits without a batch have only one."""
    return 0 if isinstance(logits, Tensor) and logits.ndim == 1 else class_dim


def check_fits(argument: str, weight: Tensor | None, num_classes: int) -> None:
    """Require one number for every class of the logits."""
    if weight is not None and len(weight) != num_classes:
        required = f"shape ({num_classes},), one number per class of the logits"
        raise fail(argument, required, tuple(weight.shape), "give one number per class, or set class_dim")


def weights_of(batch: LossInputs, class_weight: Tensor | None) -> Tensor | None:
    """Return the weight of each example in a mean, (...), 0 if it is left out; None: all weights are 1."""
    if class_weight is None:
        return None if batch.left_out is None else ~batch.left_out
    if batch.labels is None:
        return example_weights(batch.targets, class_weight)
    weights = at_least_float32(rows_of(class_weight, batch.labels))
    return weights if batch.left_out is None else weights.masked_fill(batch.left_out, 0.0)


def shape_of(tensor: Tensor | None) -> tuple[int, ...] | None:
    """Return what is printed of a tensor."""
    return None if tensor is None else tuple(tensor.shape)
