"""A teacher's probabilities of few of many classes, with the mass of all others: what a cache holds of each token."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import check_classes_last, check_floating, check_num_classes, read_labels
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32

__all__ = ["TeacherRows"]

TENSORS = ("log_probs", "classes", "log_tail", "log_weights")


@dataclass(frozen=True, eq=False)
class TeacherRows:
    """A teacher's log-probabilities: of all classes, of the k largest with the mass of the others, or of draws.

    all classes:  log_probs alone, (..., K)
    top k:        log_probs and classes (..., k), and log_tail (...), the logarithm of the mass of the other classes
    draws:        log_probs and classes (..., d), and log_weights (..., d) unless they are 0; there is no log_tail

    ``TeacherCache.sequences`` and ``CacheCollator`` make them; :func:`divergence_loss` and
    :func:`linear_divergence_loss` take them. A class that was drawn twice appears twice, and the expected value of
    mean_d exp(log_weights_d) * onehot(class_d) is the teacher's distribution.

    Args:
        log_probs: float, nats.
        classes: integers, or None if `log_probs` are of all classes.
        log_tail: float, nats, -inf if no mass is left; None for all classes and for draws.
        log_weights: float, log(p / q) of each draw; None: 0.
        num_classes: K; None: the last dimension of `log_probs`, which are of all classes.
        temperature: at which the teacher's probabilities are softened.

    Raises:
        ValueError: if shapes differ, K is missing, or a class is out of range.
        TypeError: if log_probs are not floating-point, or classes not integers.

    Example:
        >>> half = torch.tensor([0.5]).log()
        >>> TeacherRows(half[:, None], torch.tensor([[2]]), half, num_classes=5)
        TeacherRows(top 1 of 5, shape=(1,))
    """

    log_probs: Tensor
    classes: Tensor | None = None
    log_tail: Tensor | None = None
    log_weights: Tensor | None = None
    num_classes: int | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_floating("log_probs", self.log_probs)
        if self.log_probs.ndim < 1:
            raise fail("log_probs", "shape (..., k)", (), "put the classes last")
        if self.classes is None:
            if self.log_tail is not None or self.log_weights is not None:
                raise fail(
                    "classes", "the classes of log_probs", None, "pass classes, or log_probs of all classes only"
                )
            if self.num_classes not in (None, self.log_probs.shape[-1]):
                required = f"{self.num_classes} classes, num_classes, last"
                raise fail("log_probs", required, tuple(self.log_probs.shape), "pass classes for a part of them")
            check_classes_last("log_probs", self.log_probs)
            object.__setattr__(self, "num_classes", self.log_probs.shape[-1])
            return
        if self.num_classes is None:
            raise fail("num_classes", "the number of all classes", None, "pass num_classes=")
        check_num_classes(self.num_classes)
        read_labels("classes", self.classes, num_classes=self.num_classes, shape=tuple(self.log_probs.shape))
        if self.log_tail is not None and self.log_weights is not None:
            raise fail("log_weights", "None for the k largest classes", "a tensor", "leave out log_tail for draws")
        for name, shape in (("log_tail", self.shape), ("log_weights", self.log_probs.shape)):
            given = getattr(self, name)
            if given is None:
                continue
            check_floating(name, given)
            if given.shape != shape:
                raise fail(name, f"shape {tuple(shape)}", tuple(given.shape), "pass one number for each")

    @property
    def shape(self) -> torch.Size:
        """The shape of the examples, (...)."""
        return self.log_probs.shape[:-1]

    @property
    def drawn(self) -> bool:
        """Whether the classes are draws."""
        return self.classes is not None and self.log_tail is None

    def __repr__(self) -> str:
        count, shape = self.log_probs.shape[-1], tuple(self.shape)
        kind = f"{count} draws" if self.drawn else f"top {count}" if self.classes is not None else "all"
        return f"TeacherRows({kind} of {self.num_classes}, shape={shape})"

    def __getitem__(self, at: Any) -> "TeacherRows":
        """Return the rows of some examples; `at` indexes the example dimensions as it would a tensor's."""
        examples = at if isinstance(at, tuple) else (at,)
        taken = {
            name: tensor[examples if name == "log_tail" else (*examples, slice(None))]
            for name, tensor in self.tensors().items()
        }
        return replace(self, **taken)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by field name."""
        pairs = ((name, getattr(self, name)) for name in TENSORS)
        return {name: tensor for name, tensor in pairs if tensor is not None}

    def to(self, device: torch.device | str) -> "TeacherRows":
        """Return the rows with every tensor on `device`."""
        moved: dict[str, Any] = {name: tensor.to(device) for name, tensor in self.tensors().items()}
        return replace(self, **moved)

    def spread(self) -> Tensor:
        """Return log-probabilities of all classes, (..., K): the mass of the others is spread evenly over them.

        Raises:
            TypeError: if the classes are draws.
        """
        if self.drawn:
            remedy = "use divergence='forward_kl', or a cache of the k largest classes"
            raise fail_type("teacher_logits", "all classes, or the k largest", repr(self), remedy)
        log_probs = at_least_float32(self.log_probs)
        if self.classes is None or self.log_tail is None:
            return log_probs
        size, count = self.num_classes or 0, self.classes.shape[-1]
        each = at_least_float32(self.log_tail) - math.log(max(1, size - count))
        full = each[..., None].expand(*self.shape, size)
        return full.scatter(-1, self.classes.long(), log_probs)
