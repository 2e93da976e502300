"""Faults of labels that are ignored or out of range."""

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.faults.registry import Effect, Fault, fault


@fault(
    "all-labels-ignored",
    affects="report",
    libraries={"torch": "", "transformers": ""},
    reads=("all_ignored",),
    issues={"torch": "pytorch/pytorch#70348", "transformers": "pytorch/pytorch#70348"},
)
class AllLabelsIgnored(Fault):
    """The mean over a batch without a label is nan."""

    def find(self, c: Criterion) -> Effect | None:
        if c.all_ignored != "nan":
            return None
        effect = "The loss is nan and its gradient is 0: logged means become nan, and checks of the loss stop training."
        remedy = "use softtargets.nn.CrossEntropyLoss, which gives 0 with gradient 0"
        where = "micro-batch" if c.division == "micro-batches, not by their number" else "batch"
        if c.division == "step":
            where = "step"
        return Effect(effect, remedy, f"if every label of a {where} is {c.ignored}")


@fault(
    "ignore-index-of-soft-targets",
    affects="target",
    libraries={"torch": ""},
    reads=("ignored", "wrote_ignored", "kind"),
)
class IgnoreIndexOfSoftTargets(Fault):
    """ignore_index does not leave out rows of probabilities."""

    def find(self, c: Criterion) -> Effect | None:
        if not c.wrote_ignored or c.kind != "softmax":
            return None
        negative = c.ignored is not None and c.ignored < 0
        effect = "It has no effect: every row counts." if negative else "torch raises an error."
        remedy = "mark rows in Targets.ignored, or pass mask= to softtargets.nn.CrossEntropyLoss"
        return Effect(effect, remedy, "if targets are probabilities")


@fault(
    "negative-labels",
    affects="target",
    libraries={"transformers": ""},
    reads=("smoothing",),
)
class NegativeLabels(Fault):
    """A negative label other than -100 is trained as class 0."""

    def find(self, c: Criterion) -> Effect | None:
        if not c.smoothing:
            return None
        effect = "LabelSmoother sets negative labels to 0, and leaves out -100 alone."
        remedy = "use softtargets.integrations.transformers.loss, which names the first label out of range"
        return Effect(effect, remedy, "if a label is negative and not -100, such as a padding of -1")
