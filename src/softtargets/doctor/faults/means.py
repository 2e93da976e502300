"""Faults of means and sums: over elements, over micro-batches, and in what is logged."""

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.faults.registry import Effect, Fault, fault
from softtargets.doctor.treatment import LABELS, step_weights


@fault(
    "mean-over-elements",
    affects="gradient",
    libraries={"torch": "", "timm": "", "keras": ""},
    reads=("over", "reduction", "num_classes", "kind"),
    issues={"torch": "pytorch/pytorch#2259"},
)
class MeanOverElements(Fault):
    """The mean is over examples and classes, so that the loss is divided by the number of classes."""

    def find(self, c: Criterion) -> Effect | None:
        if c.over_classes != "mean":
            return None
        effect = f"Loss and gradient are {c.share} of those of losses that are summed over classes."
        # a binary loss may have one output
        one = c.assumed_classes and c.kind == "sigmoid" and c.library != "timm"
        condition = "if there are several outputs" if one else None
        remedy = "use reduction='batchmean'" if c.kind == "divergence" else "multiply by K, or sum over classes"
        return Effect(effect, remedy, condition)


@fault(
    "inflated-accumulation",
    affects="gradient",
    libraries={"transformers": ">=4.46,<5.15"},
    reads=("division", "accumulate", "gathers", "smoothing"),
    issues={"transformers": "huggingface/transformers#46731"},
)
class InflatedAccumulation(Fault):
    """With smoothing, gradients grow with the number of accumulated micro-batches, and with that of devices."""

    def find(self, c: Criterion) -> Effect | None:
        if c.division != "micro-batches, not by their number":
            return None
        remedy = "update transformers to 5.15, or pass integrations.transformers.loss"
        if (c.accumulate or 1) < 2:
            several = "The gradient is multiplied by the number of devices."
            return Effect(several, remedy, "if several devices train") if c.gathers else None
        effect = f"The gradient of a step is about {c.accumulate} times that of the mean over its labels."
        if c.gathers:
            effect += " With several devices it is multiplied by their number too."
        return Effect(effect, remedy)


@fault(
    "mean-of-means",
    affects="gradient",
    libraries={"torch": "", "transformers": ""},
    reads=("division", "accumulate", "ignored", "weight"),
    issues={"transformers": "huggingface/transformers#24725"},
)
class MeanOfMeans(Fault):
    """Labels of small micro-batches weigh more than others."""

    def find(self, c: Criterion) -> Effect | None:
        found = _of_trainer(c) if c.library == "transformers" else _of_loop(c)
        if found is None:
            return None
        condition, remedy = found
        return Effect(_uneven("micro-batches"), remedy, condition)


def _of_trainer(c: Criterion) -> tuple[str, str] | None:
    """Return when the Trainer averages means, and what to do."""
    if (c.accumulate or 1) < 2:
        return None
    if c.division == "micro-batches":
        return "if micro-batches have different numbers of labels", (
            f"update transformers to {'5.15' if c.smoothing else '4.46'}, which divides by the labels of the step"
        )
    if c.division != "step":
        return None
    condition = "if the model's forward takes no **kwargs, so that the Trainer averages the means"
    return condition, "pass compute_loss_func=softtargets.integrations.transformers.loss(...)"


def _of_loop(c: Criterion) -> tuple[str, str] | None:
    """Return when a training loop averages means, and what to do."""
    if c.division != "micro-batches" or c.kind not in ("softmax", "log_probs"):
        return None
    condition = "if you accumulate micro-batches with different numbers of labels or sums of weights"
    return condition, "give the number of labels of the step: nn.CrossEntropyLoss()(..., normalizer=number)"


def _uneven(parts: str) -> str:
    large, small = step_weights("micro-batches")
    effect = f"Of {parts} of {LABELS[0]} and {LABELS[1]} labels, a label of the second weighs "
    return f"{effect}{small / large:.3g} times as much as one of the first."


@fault(
    "mean-over-devices",
    affects="gradient",
    libraries={"transformers": ">=4.46"},
    reads=("gathers", "division"),
    issues={"transformers": "huggingface/transformers#34242"},
)
class MeanOverDevices(Fault):
    """Labels of devices with few labels weigh more than others."""

    def find(self, c: Criterion) -> Effect | None:
        if c.gathers is not False:
            return None
        remedy = "set average_tokens_across_devices=True"
        return Effect(_uneven("devices"), remedy, "if several devices train with different numbers of labels")


@fault(
    "counted-prefix",
    affects="gradient",
    libraries={"fairseq": ""},
    reads=("prefix", "division"),
)
class CountedPrefix(Fault):
    """Labels of the ignored prefix are counted in the number that the loss is divided by."""

    def find(self, c: Criterion) -> Effect | None:
        if not c.prefix or c.division == "sentences":
            return None
        effect = f"The gradient is 1 - {c.prefix}/n of that of the mean over the labels that have a loss, where n is "
        effect += f"the number of labels of a sequence: {1 - min(c.prefix / 10, 1):.4g} at n = 10."
        return Effect(effect, "raise the learning rate, or compare runs of the same --ignore-prefix-size only")


@fault(
    "smoothed-validation",
    affects="report",
    libraries={"transformers": "", "opennmt": "", "keras": "", "fairseq": ""},
    reads=("smooth_evaluation",),
    issues={"opennmt": "OpenNMT/OpenNMT-py#464"},
)
class SmoothedValidation(Fault):
    """The validation loss contains the smoothing."""

    def find(self, c: Criterion) -> Effect | None:
        if c.smooth_evaluation is None:
            return None
        effect = f"The {c.smooth_evaluation} depends on the smoothing: "
        effect += "runs with different smoothing cannot be compared by it."
        return Effect(effect, "evaluate metrics.nll of the predictions (softtargets evaluate)")


@fault(
    "half-precision-vocabulary",
    affects="gradient",
    libraries={"torch": "", "transformers": ""},
    reads=("num_classes", "kind", "smoothing"),
)
class HalfPrecisionVocabulary(Fault):
    """In half precision, the loss of a large vocabulary is rounded to 2 or 3 digits."""

    def find(self, c: Criterion) -> Effect | None:
        # the losses of transformers' models convert the logits to float32, its LabelSmoother does not
        converted = c.library == "transformers" and not c.smoothing
        if c.num_classes < LARGE or c.kind not in ("softmax", "log_probs") or converted:
            return None
        effect = f"The log-softmax over {c.num_classes:,} classes is rounded to bfloat16 or float16."
        remedy = "use softtargets.losses.cross_entropy, which accumulates in float32"
        return Effect(effect, remedy, "if the logits are bfloat16 or float16, without autocast")


# From this number of classes on, errors of bfloat16 above 1e-3 nats were measured.
LARGE = 2**15
