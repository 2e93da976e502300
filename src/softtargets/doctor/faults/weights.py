"""Faults of class weights."""

from dataclasses import replace

import torch

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.faults.registry import Effect, Fault, fault
from softtargets.doctor.targets import minimiser, targets_of


@fault(
    "weighted-smoothing",
    affects="target",
    libraries={"torch": ">=1.10", "keras": ""},
    reads=("weight", "smoothing", "kind"),
    issues={"torch": "pytorch/pytorch#104776"},
)
class WeightedSmoothing(Fault):
    """Class weights multiply the entries of a smoothed target, and so change what is learned."""

    def find(self, c: Criterion) -> Effect | None:
        if not c.weights_differ or c.smoothing <= 0 or c.kind != "softmax":
            return None
        plain = targets_of(replace(c, weight=None), torch.tensor([0]))[0]
        weight = torch.tensor(c.weight, dtype=torch.float64)
        wrong = plain[0] * weight < plain[1] * weight.max()
        if c.ignored_class is not None:
            wrong[c.ignored_class] = False
        label = int((wrong.long() if wrong.any() else -weight).argmax())
        best = minimiser(c, targets_of(c, torch.tensor([label]))[0])
        if best is None:
            return None
        top = int(best.argmax())
        effect = f"For label {label} the model learns to predict {best[label]:.4g} for class {label}"
        if wrong.any():
            effect += f" and {best[top]:.4g} for class {top}: {int(wrong.sum())} of {c.num_classes} labels"
            effect += " teach another class than their own."
        else:
            effect += f", where the smoothed target is {plain[0]:.4g}."
        return Effect(effect, "weight examples: softtargets.nn.CrossEntropyLoss(weight=..., label_smoothing=...)")


@fault(
    "weighted-mean-of-soft-targets",
    affects="gradient",
    libraries={"torch": ">=1.10"},
    reads=("weight", "reduction", "kind"),
    issues={"torch": "pytorch/pytorch#107680"},
)
class WeightedMeanOfSoftTargets(Fault):
    """The weighted mean of probabilities divides by the number of examples, that of labels by the sum of weights."""

    def find(self, c: Criterion) -> Effect | None:
        if c.weight is None or c.reduction != "mean" or c.kind != "softmax" or all(w == 1 for w in c.weight):
            return None
        mean = sum(c.weight) / c.num_classes
        effect = f"With one example of each class, one-hot targets give {mean:.4g} times the loss of their labels."
        remedy = "use softtargets.nn.CrossEntropyLoss, whose mean divides by the weights in both cases"
        return Effect(effect, remedy, "if targets are probabilities")


@fault(
    "zero-weight-batch",
    affects="gradient",
    libraries={"torch": ""},
    reads=("weight", "reduction", "kind"),
)
class ZeroWeightBatch(Fault):
    """The weighted mean over a batch whose labels all have weight 0 is nan, and so is its gradient."""

    def find(self, c: Criterion) -> Effect | None:
        if c.weight is None or c.reduction != "mean" or c.kind not in ("softmax", "log_probs"):
            return None
        without = [k for k, weight in enumerate(c.weight) if weight == 0]
        if not without:
            return None
        named = f"class {without[0]}" if len(without) == 1 else f"one of {len(without):,} classes such as {without[0]}"
        effect = "0 / 0 is nan: one step makes every parameter nan."
        remedy = "use softtargets.nn.CrossEntropyLoss, which gives 0 with gradient 0"
        return Effect(effect, remedy, f"if every label of a batch is {named}, whose weight is 0")


@fault(
    "focal-factor",
    affects="gradient",
    libraries={"keras": ""},
    reads=("gamma", "weight"),
    issues={"keras": "tensorflow/addons#1863"},
)
class FocalFactor(Fault):
    """Alpha multiplies the focal loss, so that gamma = 0 is not cross entropy."""

    def find(self, c: Criterion) -> Effect | None:
        if c.gamma is None or c.weight is None or all(factor == 1 for factor in c.weight):
            return None
        if c.weights_differ:
            shown = f"factors between {min(c.weight):g} and {max(c.weight):g}"
            effect = f"The losses have {shown}, and the mean is not divided by them."
        else:
            effect = f"Every loss is multiplied by {c.weight[0]:g}, as is its gradient."
        return Effect(effect, "write alpha=1, and give weights of classes as weights of examples")
