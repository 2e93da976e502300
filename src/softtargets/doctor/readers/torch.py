"""Losses of torch.nn."""

from typing import Any

from softtargets._errors import fail
from softtargets.doctor.criterion import Criterion
from softtargets.doctor.parsing import (
    choice,
    class_count,
    for_each_class,
    numbers,
    read_call,
    smoothing_of,
    switch,
    whole,
)
from softtargets.doctor.readers.registry import TextReader, reader

_OLD = ("size_average", "reduce")
SIGNATURES = {
    "CrossEntropyLoss": ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"),
    "NLLLoss": ("weight", "size_average", "ignore_index", "reduce", "reduction"),
    "KLDivLoss": ("size_average", "reduce", "reduction", "log_target"),
    "BCEWithLogitsLoss": ("weight", "size_average", "reduce", "reduction", "pos_weight"),
}
# Losses that torch.nn does not have.
ADVICE = {
    "FocalLoss": "torch has none: use softtargets.losses.focal_loss, or --keras for CategoricalFocalCrossentropy",
}
DEFAULT_CLASSES = 4


@reader("torch", package="torch", checked="2.13.0")
class TorchReader(TextReader):
    """Reads a call such as ``CrossEntropyLoss(weight=[1, 5], label_smoothing=0.1)``."""

    example = '"CrossEntropyLoss(label_smoothing=0.1)"'

    def read_text(self, text: str, num_classes: int | None) -> Criterion:
        call = read_call(self.option, text, SIGNATURES, ADVICE)
        given = dict(call.arguments)
        for name in _OLD:
            if given.pop(name, None) is not None:
                raise fail(name, "None, because it is deprecated in torch", "a value", "use reduction=")
        read = getattr(self, f"_read_{call.name}")
        return read(given, num_classes)

    def _read_CrossEntropyLoss(self, given: dict[str, Any], num_classes: int | None) -> Criterion:
        weight = _class_weight(given)
        smoothing = smoothing_of("label_smoothing", given.get("label_smoothing", 0.0))
        return self._of_labels(
            "CrossEntropyLoss",
            given,
            num_classes,
            weight,
            smoothing=max(smoothing, 0.0),  # torch computes without a negative smoothing
            given_smoothing=smoothing,
        )

    def _read_NLLLoss(self, given: dict[str, Any], num_classes: int | None) -> Criterion:
        weight = _class_weight(given)
        settings: dict[str, Any] = {"kind": "log_probs", "inputs": "log-probabilities"}
        return self._of_labels("NLLLoss", given, num_classes, weight, **settings)

    def _of_labels(
        self, name: str, given: dict[str, Any], num_classes: int | None, weight: Any, **settings: Any
    ) -> Criterion:
        reduction = _reduction(given, ("mean", "sum", "none"))
        count, assumed = class_count(num_classes, {"weight": weight}, DEFAULT_CLASSES)
        return Criterion(
            library=self.library,
            version=self.version,
            name=f"torch.nn.{name}",
            num_classes=count,
            assumed_classes=assumed,
            weight=weight,
            reduction=reduction,
            over="examples" if weight is None else "weights",
            ignored=whole("ignore_index", given.get("ignore_index", -100)),
            wrote_ignored="ignore_index" in given,
            all_ignored="nan" if reduction == "mean" else "0",
            division="micro-batches" if reduction == "mean" else "nothing",
            **settings,
        )

    def _read_KLDivLoss(self, given: dict[str, Any], num_classes: int | None) -> Criterion:
        reduction = _reduction(given, ("mean", "batchmean", "sum", "none"))
        logarithms = switch("log_target", given.get("log_target", False))
        count, assumed = class_count(num_classes, {}, DEFAULT_CLASSES)
        return Criterion(
            library=self.library,
            version=self.version,
            name="torch.nn.KLDivLoss",
            kind="divergence",
            inputs="log-probabilities",
            num_classes=count,
            assumed_classes=assumed,
            reduction="mean" if reduction == "batchmean" else reduction,
            over="elements" if reduction == "mean" else "examples",
            division="micro-batches" if "mean" in reduction else "nothing",
            log_targets=logarithms,
            notes=(f"The targets are {'log-' if logarithms else ''}probabilities.",),
        )

    def _read_BCEWithLogitsLoss(self, given: dict[str, Any], num_classes: int | None) -> Criterion:
        weight = _class_weight(given, least=1)
        positive = given.get("pos_weight")
        number_for_all = isinstance(positive, int | float) and not isinstance(positive, bool)
        positive = numbers("pos_weight", [positive] if number_for_all else positive, low=0.0, least=1)
        lists = {"weight": weight, "pos_weight": None if number_for_all else positive}
        count, assumed = class_count(num_classes, lists, DEFAULT_CLASSES, least=1)
        reduction = _reduction(given, ("mean", "sum", "none"))
        return Criterion(
            library=self.library,
            version=self.version,
            name="torch.nn.BCEWithLogitsLoss",
            kind="sigmoid",
            num_classes=count,
            assumed_classes=assumed,
            weight=for_each_class(weight, count),
            positive_weight=for_each_class(positive, count),
            reduction=reduction,
            over="elements",
            division="micro-batches" if reduction == "mean" else "nothing",
        )


def _class_weight(given: dict[str, Any], *, least: int = 2) -> tuple[float, ...] | None:
    weight = numbers("weight", given.get("weight"), low=0.0, least=least)
    if weight is not None and not any(weight):
        raise fail("weight", "a number above 0 for at least one class", "0 for all", "give one")
    return weight


def _reduction(given: dict[str, Any], known: tuple[str, ...]) -> Any:
    return choice("reduction", given.get("reduction", "mean"), known)
