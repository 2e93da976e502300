"""Losses of keras.losses."""

from typing import Any

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.parsing import (
    Call,
    choice,
    class_count,
    for_each_class,
    number,
    numbers,
    read_call,
    smoothing_of,
    switch,
    whole,
)
from softtargets.doctor.readers.registry import TextReader, reader

_LAST = ("reduction", "name", "dtype")
SIGNATURES = {
    "CategoricalCrossentropy": ("from_logits", "label_smoothing", "axis", *_LAST),
    "SparseCategoricalCrossentropy": ("from_logits", "ignore_class", "reduction", "axis", "name", "dtype"),
    "CategoricalFocalCrossentropy": ("alpha", "gamma", "from_logits", "label_smoothing", "axis", *_LAST),
    "BinaryCrossentropy": ("from_logits", "label_smoothing", "axis", *_LAST),
}
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")
NOTE = "Class weights of Model.fit multiply the losses of examples, after this loss."
DEFAULT_CLASSES = 4


@reader("keras", package="keras", checked="3.15.1")
class KerasReader(TextReader):
    """Reads a call such as ``CategoricalCrossentropy(label_smoothing=0.1, from_logits=True)``."""

    example = '"CategoricalCrossentropy(label_smoothing=0.1, from_logits=True)"'

    def read_text(self, text: str, num_classes: int | None) -> Criterion:
        call = read_call(self.option, text, SIGNATURES)
        given = call.arguments
        smoothing = smoothing_of("label_smoothing", given.get("label_smoothing", 0.0))
        reduction = given.get("reduction", "sum_over_batch_size")
        mean = choice("reduction", "none" if reduction is None else reduction, REDUCTIONS)
        binary = call.name == "BinaryCrossentropy"
        logits = switch("from_logits", given.get("from_logits", False))
        weight, gamma = _focal(call)
        several = {} if weight is None or len(weight) == 1 else {"alpha": weight}
        count, assumed = class_count(num_classes, several, DEFAULT_CLASSES, least=1 if binary else 2)
        ignored = given.get("ignore_class")
        return Criterion(
            library=self.library,
            version=self.version,
            name=f"keras.losses.{call.name}",
            kind="sigmoid" if binary else "softmax",
            inputs="logits" if logits else "probabilities",
            num_classes=count,
            assumed_classes=assumed,
            smoothing=smoothing,
            given_smoothing=smoothing,
            convention="binary" if binary else "all",
            weight=for_each_class(weight, count),
            gamma=gamma,
            reduction="sum" if mean == "sum" else "none" if mean == "none" else "mean",
            over="elements" if binary else "examples",
            ignored=None if ignored is None else whole("ignore_class", ignored),
            wrote_ignored=ignored is not None,
            all_ignored=None if ignored is None else "0",
            division="nothing" if mean in ("sum", "none") else "micro-batches",
            smooth_evaluation="val_loss" if smoothing else None,
            notes=(NOTE,),
        )


def _focal(call: Call) -> tuple[tuple[float, ...] | None, float | None]:
    """Return the factors of the classes and the exponent."""
    if call.name != "CategoricalFocalCrossentropy":
        return None, None
    alpha: Any = call.arguments.get("alpha", 0.25)
    gamma = number("gamma", call.arguments.get("gamma", 2.0), low=0.0)
    if isinstance(alpha, list | tuple):
        return numbers("alpha", alpha, low=0.0, least=1), gamma
    return (number("alpha", alpha, low=0.0),), gamma
