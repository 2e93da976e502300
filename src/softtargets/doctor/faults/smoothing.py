"""Faults of smoothing: its sign, its convention, and the classes that it reaches."""

import torch

from softtargets import targets
from softtargets.doctor.criterion import Criterion
from softtargets.doctor.faults.registry import Effect, Fault, fault
from softtargets.doctor.targets import mixed_targets, targets_of


@fault(
    "negative-smoothing",
    affects="target",
    libraries={"torch": "", "timm": "", "transformers": "", "fairseq": "", "opennmt": "", "keras": ""},
    reads=("given_smoothing", "smoothing"),
)
class NegativeSmoothingFault(Fault):
    """Negative smoothing is ignored, or makes the loss unbounded below."""

    def find(self, c: Criterion) -> Effect | None:
        if c.given_smoothing >= 0:
            return None
        ours = "use targets.smooth(..., allow_negative=True) after a warm-up, or the objective negative_smoothing"
        if c.smoothing == 0:
            return Effect(f"Smoothing {c.given_smoothing:g} is silently ignored: the targets are one-hot.", ours)
        return Effect("A target has negative entries, so the loss has no minimum: logits diverge.", ours)


@fault(
    "smoothing-convention",
    affects="target",
    libraries={"fairseq": "", "opennmt": "<3.0.3", "keras": "", "timm": ""},
    reads=("smoothing", "convention", "kind", "num_classes"),
    issues={"fairseq": "pytorch/pytorch#148884", "opennmt": "pytorch/pytorch#148884"},
)
class SmoothingConvention(Fault):
    """The same smoothing is another target in other libraries."""

    def find(self, c: Criterion) -> Effect | None:
        if c.smoothing <= 0 or c.threshold is not None:
            return None
        if c.kind == "sigmoid":
            share = c.smoothing / (2 if c.convention == "binary" else c.num_classes)
            towards = "1/2" if c.convention == "binary" else f"{c.share}, as in softmax cross entropy"
            other = "timm moves them towards 1/K" if c.convention == "binary" else "Keras moves them towards 1/2"
            effect = f"Smoothing moves every label towards {towards}: a 0 becomes {share:.4g}. {other}."
            return Effect(effect, "state the convention: losses.binary_cross_entropy(..., convention=...)")
        if c.convention == "all":
            return None
        same = targets.convert_smoothing(c.smoothing, num_classes=c.num_classes, source=c.convention)
        size = f"K - {2 if c.spares_padding else 1}"
        effect = f"Each of the {size} other classes gets {c.smoothing:g}/({size}), and the label 1 - {c.smoothing:g}."
        if c.spares_padding:
            return Effect(f"{effect} In torch the padding gets a share too.", "state the convention and the padding")
        effect += f" In torch this is label_smoothing={same:.6g} at K = {c.num_classes:,}."
        return Effect(effect, "state the convention: nn.CrossEntropyLoss(..., convention='others')")


@fault(
    "smoothed-padding",
    affects="target",
    libraries={"torch": "", "fairseq": "", "opennmt": ""},
    reads=("smoothing", "ignored", "padding", "spares_padding"),
    issues={"torch": "pytorch/pytorch#63004", "opennmt": "pytorch/pytorch#63004"},
)
class SmoothedPadding(Fault):
    """Smoothing gives probability to the class whose labels are ignored."""

    def find(self, c: Criterion) -> Effect | None:
        if c.ignored_class is None or c.spares_padding or c.smoothing <= 0:
            return None
        label = 0 if c.ignored_class else 1
        share = float(targets_of(c, torch.tensor([label]))[0, c.ignored_class])
        effect = f"Class {c.ignored_class} is never a label, yet every target gives it {share:.4g}."
        return Effect(effect, "spread the smoothing over the other classes: nn.CrossEntropyLoss(..., prior=prior)")


@fault(
    "masked-logit",
    affects="gradient",
    libraries={"torch": "", "timm": "", "transformers": "", "fairseq": "", "opennmt": "", "keras": ""},
    reads=("smoothing", "kind", "inputs", "mixing"),
)
class MaskedLogit(Fault):
    """A logit of -inf makes the loss of smoothed targets infinite, and that of soft targets nan."""

    def find(self, c: Criterion) -> Effect | None:
        if c.smoothing < 0 or c.kind != "softmax" or c.inputs != "logits" or c.gamma is not None:
            return None
        if c.smoothing > 0:
            remedy = "use softtargets.nn.CrossEntropyLoss: a class whose logit is -inf gets no smoothing"
            return Effect("The masked class has a positive target, so the loss is inf.", remedy, "if a class is masked")
        if not takes_soft_targets(c):
            return None
        effect = "0 * -inf is nan, and so is the loss, even if the target of the masked class is 0: logged means become"
        effect += " nan, and checks of the loss stop training. The gradient of torch is finite."
        condition = "if a class is masked" + (" and targets are probabilities" if c.library == "torch" else "")
        return Effect(effect, "use softtargets.nn.CrossEntropyLoss, which leaves out a target of 0", condition)


def takes_soft_targets(c: Criterion) -> bool:
    """Return whether a softmax loss can get probabilities as targets; labels alone are taken by the others."""
    dense = {"torch": True, "keras": "Sparse" not in c.name, "timm": c.mixing is not None}
    return dense.get(c.library, False)


@fault(
    "mass-of-soft-targets",
    affects="target",
    libraries={"torch": "", "keras": ""},
    reads=("kind", "smoothing"),
)
class MassOfSoftTargets(Fault):
    """Soft targets are accepted whatever their sum."""

    def find(self, c: Criterion) -> Effect | None:
        if c.kind != "softmax" or not takes_soft_targets(c):
            return None
        effect = "A target of sum m has m times the gradient of a distribution."
        if c.smoothing > 0:
            effect += (
                f" Smoothing adds {c.smoothing:g} whatever m is, so the sum becomes {_smoothed_sum(c):.4g} at m = 2."
            )
        return Effect(effect, "check them: targets.dense(values, strict=True)", "if targets are probabilities")


def _smoothed_sum(c: Criterion) -> float:
    return 2 * (1 - c.smoothing) + c.smoothing


@fault(
    "threshold-of-smoothed-targets",
    affects="target",
    libraries={"timm": ""},
    reads=("threshold", "smoothing", "num_classes", "mixing"),
)
class ThresholdOfSmoothedTargets(Fault):
    """A threshold turns smoothed or mixed targets into 0 and 1."""

    def find(self, c: Criterion) -> Effect | None:
        if c.threshold is None:
            return None
        positive = int(targets_of(c, torch.tensor([0]))[0].sum())
        if positive != 1:
            effect = f"With threshold {c.threshold:g} a target has {positive:,} positive labels of {c.num_classes:,}."
            return Effect(effect, "choose a threshold between the smoothed 0 and the smoothed 1")
        if c.mixing is not None:
            both = int(mixed_targets(c, 0, 1).sum())
            effect = f"Smoothing has no effect. A pair mixed with weight 0.7 has {both} positive labels of weight 1."
            return Effect(effect, "leave out --bce-target-thresh to keep the weights")
        if c.smoothing > 0:
            return Effect("Smoothing has no effect: targets become one-hot again.", "leave out one of the two options")
        return None
