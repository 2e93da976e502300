"""Labels and held-out predictions given as arrays, checked row by row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softtargets._checks import check_labels, first_bad, sum_tolerance
from softtargets._errors import fail, fail_type
from softtargets.data.predictions import Predictions


def predictions_of(
    labels: Any = None, *, probs: Any = None, logits: Any = None, class_names: Sequence[str] | None = None
) -> Predictions:
    """Return arrays as predictions that were read from a file are returned.

    Args:
        labels: (N,) integers in [0, K), or None.
        probs: (N, K) probabilities, or None.
        logits: (N, K) logits, or None.
        class_names: K names, or None.

    Raises:
        InputError: neither or both of `probs` and `logits`; a wrong shape; a value that is not finite; a row of
            probabilities that does not sum to 1; a label out of range.
        InputTypeError: labels that are not integers, or values that are not numbers.
    """
    if (probs is None) == (logits is None):
        got = "neither" if probs is None else "both"
        raise fail("probs", "either probs or logits", got, "pass the held-out predictions as one of them")
    kind = "probs" if logits is None else "logits"
    values = _tensor(kind, probs if logits is None else logits)
    values = values if values.is_floating_point() else values.double()
    _check_values(kind, values)
    num_classes = values.shape[1]
    if class_names is not None and len(class_names) != num_classes:
        required = f"{num_classes} names, one for each class"
        raise fail("class_names", required, len(class_names), f"name every column of {kind}")
    names = None if class_names is None else tuple(map(str, class_names))
    return Predictions(values, kind, None if labels is None else _labels(labels, *values.shape), names)


def _labels(labels: Any, num_rows: int, num_classes: int) -> Tensor:
    found = _tensor("labels", labels)
    if found.shape != (num_rows,):
        required = f"shape ({num_rows},), one label for each row of predictions"
        raise fail("labels", required, f"shape {tuple(found.shape)}", "give one class index for each row")
    found = found.to(torch.uint8) if found.dtype == torch.bool else found
    check_labels("labels", found, num_classes)
    return found.long()


def _tensor(argument: str, array: Any) -> Tensor:
    if isinstance(array, Tensor):
        return array.detach().cpu()
    try:
        found = np.asarray(array)
        # torch knows the byte order of the machine alone, and warns of arrays that are read-only
        native = found.astype(found.dtype.newbyteorder("="), copy=not found.flags.writeable)
        return torch.as_tensor(native)
    except (TypeError, ValueError) as error:
        got = f"{type(array).__name__} ({error})"
        raise fail_type(argument, "an array of numbers", got, "pass a NumPy array or a tensor") from error


def _check_values(kind: str, values: Tensor) -> None:
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        required = "shape (N, K) with N of at least 1 and K of at least 2"
        raise fail(kind, required, f"shape {tuple(values.shape)}", "give one value for each class, also of two classes")
    index = first_bad(~values.isfinite())
    if index is not None:
        got = f"{values[index].item():g} in row {index[0]}, class {index[1]}"
        raise fail(kind, "finite values", got, "fix or drop that row")
    if kind == "logits":
        return
    sums = values.double().sum(1)
    bad = first_bad(((sums - 1).abs() > sum_tolerance(values)) | (values < 0).any(1))
    if bad is not None:
        lowest = float(values[bad].min())
        got = f"a sum of {float(sums[bad]):.6g}{f' and {lowest:g}' if lowest < 0 else ''} in row {bad[0]}"
        remedy = "divide each row by its sum, or pass logits= if these are logits"
        raise fail(kind, "values of at least 0 whose rows sum to 1", got, remedy)
