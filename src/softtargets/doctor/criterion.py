"""What a configured loss computes, in the terms of this package. Every reader returns one."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["softmax", "sigmoid", "log_probs", "divergence"]
Inputs = Literal["logits", "probabilities", "log-probabilities"]
# What the losses of an accumulated step are divided by.
Division = Literal["micro-batches", "micro-batches, not by their number", "step", "sentences", "nothing"]


@dataclass(frozen=True)
class PairMixing:
    """Mixup and CutMix of pairs of examples.

    Args:
        mixup: concentration of the beta distribution of mixup; 0: no mixup.
        cutmix: that of CutMix; 0: no CutMix.
        probability: of mixing a batch, or an example.
        switch: probability of CutMix if both are active.
        per_example: whether each example has its own weight.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    switch: float = 0.5
    per_example: bool = False


@dataclass(frozen=True)
class Criterion:
    """The loss that a configuration selects.

    Args:
        library: name of the reader.
        version: of the library.
        name: of the loss in its library.
        num_classes: K; 1: one sigmoid, whose labels are 0 and 1.
        assumed_classes: whether K is a default, because nothing says what it is.
        kind: "softmax", "sigmoid" (K independent labels), "log_probs" (the logarithms are given) or "divergence"
            (targets are given).
        inputs: what the loss takes from the network.
        log_targets: whether a divergence takes the logarithms of its targets.
        smoothing: as the library applies it, in its own convention; negative only if the library computes with it.
        given_smoothing: as it was written.
        convention: of the smoothing; see :func:`softtargets.targets.convert_smoothing`.
        padding: class that no example has as its label; None: there is none.
        spares_padding: whether smoothing leaves the padding out.
        weight: K factors of the classes within every target, as in torch.
        positive_weight: K factors of the positive term of a sigmoid loss.
        gamma: exponent of a focal loss; None: it is not focal.
        threshold: targets above it become 1, the others 0; None: they stay as they are.
        reduction: "mean", "sum" or "none".
        over: what a mean is over: examples, their weights, or elements (examples times classes).
        ignored: label that is left out; None: no label is.
        wrote_ignored: whether the configuration names that label.
        all_ignored: the loss of a batch in which every label is left out.
        prefix: number of first labels of a sequence that have loss 0 but count in what the loss is divided by.
        division: what the losses of an accumulated step are divided by.
        accumulate: number of micro-batches of a step; None: the configuration does not say.
        gathers: whether the number of labels of a step is summed over devices; None: nothing is known of devices.
        mixing: mixup and CutMix.
        smooth_evaluation: name of the quantity that is computed with smoothing on validation data; None: none is.
        notes: sentences about settings that the numbers do not show.
        not_read: options that were not read.
    """

    library: str
    version: str
    name: str
    num_classes: int
    assumed_classes: bool = False
    kind: Kind = "softmax"
    inputs: Inputs = "logits"
    log_targets: bool = False
    smoothing: float = 0.0
    given_smoothing: float = 0.0
    convention: str = "all"
    padding: int | None = None
    spares_padding: bool = False
    weight: tuple[float, ...] | None = None
    positive_weight: tuple[float, ...] | None = None
    gamma: float | None = None
    threshold: float | None = None
    reduction: Literal["mean", "sum", "none"] = "mean"
    over: Literal["examples", "weights", "elements"] = "examples"
    ignored: int | None = None
    wrote_ignored: bool = False
    all_ignored: str | None = None
    prefix: int = 0
    division: Division = "micro-batches"
    accumulate: int | None = None
    gathers: bool | None = None
    mixing: PairMixing | None = None
    smooth_evaluation: str | None = None
    notes: tuple[str, ...] = ()
    not_read: tuple[str, ...] = ()

    @property
    def ignored_class(self) -> int | None:
        """The label that is left out, if it is one of the classes of the softmax."""
        return self.ignored if self.ignored is not None and 0 <= self.ignored < self.num_classes else None

    @property
    def share(self) -> str:
        """1 / K as text."""
        return "1/K" if self.assumed_classes else f"1/{self.num_classes:,}"

    @property
    def over_classes(self) -> Literal["sum", "mean", "none"]:
        """What is done with the terms of the classes of an example; "none": they stay apart."""
        if self.num_classes == 1:
            return "sum"
        if self.library == "torch" and self.kind in ("sigmoid", "divergence") and self.reduction != "mean":
            return self.reduction  # the other libraries reduce classes and examples one after the other
        return "mean" if self.over == "elements" else "sum"

    @property
    def weights_differ(self) -> bool:
        """Whether classes have different weights."""
        return self.weight is not None and len(set(self.weight)) > 1
