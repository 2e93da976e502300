"""The command line of timm's train.py."""

from typing import Any

from softtargets._errors import fail, shortened
from softtargets.doctor.criterion import Criterion, PairMixing
from softtargets.doctor.parsing import choice, class_count, not_covered, number, read_options, whole
from softtargets.doctor.readers.registry import TextReader, reader

OPTIONS = {
    "loss": "text",
    "loss-pos-weight": "text",
    "loss-class-weight": "text",
    "task": "text",
    "smoothing": "number",
    "mixup": "number",
    "cutmix": "number",
    "cutmix-minmax": "numbers",
    "mixup-prob": "number",
    "mixup-switch-prob": "number",
    "mixup-mode": "text",
    "mixup-off-epoch": "number",
    "bce-loss": "flag",
    "bce-sum": "flag",
    "bce-target-thresh": "number",
    "bce-pos-weight": "number",
    "jsd-loss": "flag",
    "num-classes": "number",
    "grad-accum-steps": "number",
}
# Options of train.py that resemble those.
OTHERS = ("loss-weight-power", "loss-weight-beta", "loss-weight-max")
# Values of --loss; only the first two are diagnosed.
LOSSES = ("ce", "bce", "asl", "poly", "jsd", "twoway", "zlpr", "db")
# The number of classes of most models of timm.
DEFAULT_CLASSES = 1000
# The first version with --loss, which computes binary cross entropy without smoothing too.
_WITH_TABLE = ">=1.0.31"


@reader("timm", package="timm", checked="1.0.31")
class TimmReader(TextReader):
    """Reads options such as ``--smoothing 0.1 --mixup 0.8``; smoothing is 0.1 by default."""

    example = '"--smoothing 0.1 --mixup 0.8 --cutmix 1.0"'

    def read_text(self, text: str, num_classes: int | None) -> Criterion:
        given, not_read = read_options(self.option, text, OPTIONS, OTHERS)
        wants_binary = self._wants_binary(given)
        smoothing = number("--smoothing", given.get("smoothing", 0.1))
        if smoothing >= 1:
            raise fail("--smoothing", "below 1, as timm requires", smoothing, "choose a smaller value")
        mixing = _mixing(given)
        binary = wants_binary and bool(mixing or smoothing or self.is_in(_WITH_TABLE))
        if binary and smoothing < 0:
            raise fail("--smoothing", "at least 0 with binary cross entropy", smoothing, "choose a larger value")
        steps = given.get("grad-accum-steps")
        size = given.get("num-classes", num_classes)
        if num_classes is not None and size != num_classes:
            got = f"{size:g} and {num_classes}"
            raise fail("--num-classes", "the number of --classes", got, "give one of them")
        count, assumed = class_count(None if size is None else whole("--num-classes", size, low=2), {}, DEFAULT_CLASSES)
        return Criterion(
            library=self.library,
            version=self.version,
            name=_loss_name(binary, mixing is not None, smoothing),
            kind="sigmoid" if binary else "softmax",
            num_classes=count,
            assumed_classes=assumed,
            smoothing=smoothing,
            given_smoothing=smoothing,
            weight=_weights(given, "loss-class-weight", count),
            positive_weight=_positive_weight(given, count) if binary else None,
            threshold=_threshold(given) if binary else None,
            over="elements" if binary and "bce-sum" not in given else "examples",
            ignored=None,
            accumulate=None if steps is None else whole("--grad-accum-steps", steps, low=1),
            mixing=mixing,
            notes=tuple(_notes(given, binary)),
            not_read=not_read,
        )

    def _wants_binary(self, given: dict[str, Any]) -> bool:
        """Return whether binary cross entropy is asked for; raise for losses that are not covered."""
        new = [name for name in ("loss", "loss-pos-weight", "loss-class-weight", "task") if name in given]
        if new and not self.is_in(_WITH_TABLE):
            raise fail(f"--{new[0]}", "timm 1.0.31 or newer", self.version, "give another --library-version")
        if "jsd-loss" in given:
            raise not_covered("--jsd-loss", "the Jensen-Shannon loss", "cross entropy or binary cross entropy")
        if choice("--task", given.get("task", "classification"), ("classification", "multilabel")) == "multilabel":
            raise not_covered("--task", "'multilabel'", "one label for each example")
        loss = choice("--loss", given.get("loss", "bce" if "bce-loss" in given else "ce"), LOSSES)
        if loss not in ("ce", "bce"):
            raise not_covered("--loss", f"'{loss}'", "'ce' or 'bce'")
        if "bce-loss" in given and loss == "ce":
            raise fail("--loss", "'bce' with --bce-loss", "'ce'", "remove one of the two options")
        for name in ("loss-pos-weight", "loss-class-weight"):
            if name in given and loss == "ce":
                raise fail(f"--{name}", "--loss bce, which it belongs to", "softmax cross entropy", "add --loss bce")
        return loss == "bce"


def _mixing(given: dict[str, Any]) -> PairMixing | None:
    mixup, cutmix = (number(f"--{name}", given.get(name, 0.0), low=0.0) for name in ("mixup", "cutmix"))
    if (bounds := given.get("cutmix-minmax")) is not None:
        if len(bounds) != 2 or not 0 <= bounds[0] < bounds[1] <= 1:
            raise fail("--cutmix-minmax", "two numbers in [0, 1], the smaller one first", bounds, "write 0.2 0.8")
        cutmix = 1.0
    mode = choice("--mixup-mode", given.get("mixup-mode", "batch"), ("batch", "pair", "elem", "half"))
    if not mixup and not cutmix:
        return None
    return PairMixing(
        mixup=mixup,
        cutmix=cutmix,
        probability=number("--mixup-prob", given.get("mixup-prob", 1.0), low=0.0, high=1.0),
        switch=number("--mixup-switch-prob", given.get("mixup-switch-prob", 0.5), low=0.0, high=1.0),
        per_example=mode != "batch",
    )


def _positive_weight(given: dict[str, Any], count: int) -> tuple[float, ...] | None:
    factor = given.get("bce-pos-weight")
    if factor is None:
        return _weights(given, "loss-pos-weight", count)
    return (number("--bce-pos-weight", factor, low=0.0),) * count


def _weights(given: dict[str, Any], name: str, count: int) -> tuple[float, ...] | None:
    """Return the factors of an option that takes a number for all classes, or one for each, with commas."""
    text = given.get(name)
    if text is None:
        return None
    try:
        values = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) not in (1, count):
        required = f"one number, or {count:,} with commas between them"
        raise fail(f"--{name}", required, f"'{shortened(text)}'", "write the weights themselves and --num-classes")
    factors = tuple(number(f"--{name}", value, low=0.0) for value in values)
    return factors * count if len(factors) == 1 else factors


def _threshold(given: dict[str, Any]) -> float | None:
    threshold = given.get("bce-target-thresh")
    return None if threshold is None else number("--bce-target-thresh", threshold)


def _loss_name(binary: bool, mixed: bool, smoothing: float) -> str:
    if binary:
        return "timm.loss.BinaryCrossEntropy"
    if mixed:
        return "timm.loss.SoftTargetCrossEntropy"
    return "timm.loss.LabelSmoothingCrossEntropy" if smoothing else "torch.nn.CrossEntropyLoss"


def _notes(given: dict[str, Any], binary: bool) -> list[str]:
    notes = [] if "smoothing" in given else ["Smoothing is 0.1 because that is timm's default."]
    if "bce-loss" in given and not binary:
        notes.append("--bce-loss has no effect: without smoothing and mixing the loss is softmax cross entropy.")
    if given.get("mixup-off-epoch"):
        notes.append(f"From epoch {given['mixup-off-epoch']:g} on, inputs are not mixed; smoothing stays.")
    if "cutmix-minmax" in given:
        notes.append("With --cutmix-minmax the sides of the pasted rectangle are uniform between the two shares.")
    return notes
