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
        if c.over != "elements" or c.reduction != "mean":
            return None
        effect = f"Loss and gradient are 1/{c.num_classes:,} of the mean over examples."
        remedy = "use reduction='batchmean'" if c.kind == "divergence" else "multiply by K, or sum over classes"
        return Effect(effect, remedy)


@fault(
    "inflated-accumulation",
    affects="gradient",
    libraries={"transformers": "<5.15"},
    reads=("division", "accumulate", "smoothing"),
    issues={"transformers": "huggingface/transformers#46731"},
)
class InflatedAccumulation(Fault):
    """With smoothing, gradients grow with the number of accumulated micro-batches."""

    def find(self, c: Criterion) -> Effect | None:
        if c.division != "micro-batches, not by their number" or (c.accumulate or 1) < 2:
            return None
        effect = f"The gradient of a step is about {c.accumulate} times that of the mean over its labels."
        return Effect(effect, "update transformers to 5.15, or pass integrations.transformers.loss")


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
        remedy = "give the number of labels of the step: nn.CrossEntropyLoss()(..., normalizer=number)"
        if c.library == "transformers":
            if c.division != "step" or (c.accumulate or 1) < 2:
                return None
            condition = "if the model's forward takes no **kwargs, so that the Trainer averages the means"
            remedy = "pass compute_loss_func=softtargets.integrations.transformers.loss(...)"
        elif c.division != "micro-batches" or c.kind not in ("softmax", "log_probs"):
            return None
        else:
            condition = "if you accumulate micro-batches with different numbers of labels or sums of weights"
        large, small = step_weights("micro-batches")
        effect = f"Of micro-batches of {LABELS[0]} and {LABELS[1]} labels, a label of the second weighs "
        return Effect(f"{effect}{small / large:.3g} times as much as one of the first.", remedy, condition)


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
