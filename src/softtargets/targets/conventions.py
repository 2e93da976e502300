"""Label-smoothing conventions of the common libraries, and conversion between them."""

import torch
from torch import Tensor

from softtargets._checks import check_num_classes, entry, first_bad, values_visible, where
from softtargets._errors import fail, unknown
from softtargets.targets.checks import number

__all__ = ["convert_smoothing"]

CONVENTIONS = ("all", "others", "others-but-padding", "classy", "binary")


def convert_smoothing(
    smoothing: float | Tensor, *, num_classes: int, source: str = "all", target: str = "all"
) -> float | Tensor:
    """Smoothing conventions: converts a smoothing between conventions so that the targets stay the same.

    Weight of the label, and of each other class, at smoothing r::

        all                 1 - r + r/K     r/K         torch, Keras, optax, timm, transformers
        others              1 - r           r/(K-1)     fairseq, Megatron
        others-but-padding  1 - r           r/(K-2)     OpenNMT: K counts a padding class that gets nothing, so this
                                                        is "others" over the K-1 classes that are valid
        classy              (1+r/K)/(1+r)   (r/K)/(1+r) ClassyVision
        binary              1 - r/2         r/2         Keras' binary smoothing; K = 2

    For "others-but-padding", the corresponding "all" smoothing is over the K-1 valid classes: exclude the padding class
    with `valid`.

    Args:
        smoothing: a number or a tensor of any shape, in the `source` convention.
        num_classes: K, at least 2 (3 with padding; exactly 2 for "binary").
        source: convention of `smoothing`.
        target: convention of the result.

    Returns:
        The smoothing in the `target` convention: a float or a tensor, as given.

    Raises:
        ValueError: if a convention is unknown or does not fit the number of classes, or "classy" cannot express the
            smoothing: it must be above -1 in "classy" and below 1 in "all".
        TypeError: if smoothing is not a number or a tensor.

    Special cases:
        0 is 0 in every convention; converting there and back gives the smoothing again.

    Notes:
        Szegedy's epsilon and Müller's alpha are "all"; Shen et al. 2021, Eq. 1, is "others".

    Complexity:
        O(1) per number.

    When to use:
        A smoothing was published for one library and is to be used with another.

    Limitations:
        The same number means different targets: at K = 2, 0.1 in "others" is 0.2 in "all".

    Aliases:
        all classes; other classes; fairseq; OpenNMT; ClassyVision

    References:
        the source code of each library in the table

    Example:
        >>> convert_smoothing(0.2, num_classes=5, source="others", target="all")
        0.25
    """
    check_num_classes(num_classes)
    check_convention(source)
    check_convention(target)
    if not isinstance(smoothing, Tensor):
        smoothing = number("smoothing", smoothing, "a number or a tensor", "pass the smoothing as a float")
    _check(smoothing, required="finite", remedy="choose a finite value")
    return _from_all(_to_all(smoothing, num_classes, source), num_classes, target)


def check_convention(convention: str) -> None:
    """Require a known convention."""
    if convention not in CONVENTIONS:
        raise unknown("convention", convention, CONVENTIONS)


def _to_all(smoothing: float | Tensor, num_classes: int, convention: str) -> float | Tensor:
    match convention:
        case "all":
            return smoothing
        case "others" | "others-but-padding":
            size = _valid_classes(num_classes, convention)
            return smoothing * size / (size - 1)
        case "classy":
            _check(smoothing, above=-1, required="above -1 in the convention 'classy'", remedy="choose a larger value")
            return smoothing / (1 + smoothing)
        case "binary":
            _valid_classes(num_classes, convention)
            return smoothing
    raise unknown("convention", convention, CONVENTIONS)


def _from_all(smoothing: float | Tensor, num_classes: int, convention: str) -> float | Tensor:
    match convention:
        case "all":
            return smoothing
        case "others" | "others-but-padding":
            size = _valid_classes(num_classes, convention)
            return smoothing * (size - 1) / size
        case "classy":
            _check(
                smoothing,
                below=1,
                required="below 1 in the 'all' convention, for 'classy'",
                remedy="choose a smaller value",
            )
            return smoothing / (1 - smoothing)
        case "binary":
            _valid_classes(num_classes, convention)
            return smoothing
    raise unknown("convention", convention, CONVENTIONS)


def _check(
    smoothing: float | Tensor, *, required: str, remedy: str, above: float = -torch.inf, below: float = torch.inf
) -> None:
    values = smoothing if isinstance(smoothing, Tensor) else torch.tensor(smoothing, dtype=torch.float64)
    index = first_bad(~((values > above) & (values < below))) if values_visible(values) else None
    if index is not None:
        got = entry(values, index) + (f" at {where(index)}" if index else "")
        raise fail("smoothing", required, got, remedy)


def _valid_classes(num_classes: int, convention: str) -> int:
    if convention == "binary" and num_classes != 2:
        raise fail("num_classes", "2 for the convention 'binary'", num_classes, "use 'all' or 'others'")
    if convention != "others-but-padding":
        return num_classes
    if num_classes < 3:
        raise fail("num_classes", "at least 3 with a padding class", num_classes, "use 'others'")
    return num_classes - 1
