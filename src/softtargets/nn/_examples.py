"""What the modules that reduce share: where the classes are, and their weights as the weights of examples."""

from torch import Tensor

from softtargets._checks import check_floating
from softtargets._errors import fail
from softtargets.targets import Targets, example_weights


def class_dim_of(logits: Tensor, class_dim: int) -> int:
    """Return where the classes of these logits are; (K,) logits without a batch have but one dimension."""
    check_floating("logits", logits)
    class_dim = 0 if logits.ndim == 1 else class_dim
    if not -logits.ndim <= class_dim < logits.ndim:
        raise fail(
            "class_dim", f"a dimension of the logits, of shape {tuple(logits.shape)}", class_dim, "set class_dim"
        )
    return class_dim


def check_fits(argument: str, weight: Tensor | None, num_classes: int) -> None:
    """Require one class weight for every class of the logits."""
    if weight is not None and len(weight) != num_classes:
        required = f"shape ({num_classes},), one weight per class of the logits"
        raise fail(argument, required, tuple(weight.shape), "give one weight per class, or set class_dim")


def weights_of(targets: Targets, class_weight: Tensor | None) -> Tensor | None:
    """Return what each example counts in a mean, (...), 0 where it is ignored; None: each counts 1."""
    if class_weight is not None:
        return example_weights(targets, class_weight)
    return None if targets.ignored is None else ~targets.ignored


def shape_of(tensor: Tensor | None) -> tuple[int, ...] | None:
    """Return what is printed of a tensor."""
    return None if tensor is None else tuple(tensor.shape)
