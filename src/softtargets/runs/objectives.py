"""Which objective a run is trained with, as a specification. Free of torch, for the command line.

Schedules are written as shares of the training that is done, so that they fit runs of any length.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Fraction, NonNegative, Positive, Spec
from softtargets.runs.distillation import DistillationSpec
from softtargets.runs.transition_sources import EstimatedTransition, KnownTransition, TransitionSource

Share = Annotated[float, Field(ge=0, lt=1)]
# What probabilities are raised by in a term that is taken away, which then cannot fall below its logarithm; 0 is none.
Floor = Annotated[float, Field(ge=0, le=0.01)]


class CrossEntropySpec(Spec):
    """Cross entropy, with label smoothing in the stated convention."""

    name: Literal["cross_entropy"] = "cross_entropy"
    smoothing: Fraction = 0.0
    convention: Literal["all", "others", "classy"] = "all"


class Correction(Spec):
    """What corrections share: under which transition, symmetric at `noise_rate`, or from elsewhere."""

    noise_rate: Fraction | None = None
    inclusive: bool = False
    transition: TransitionSource | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.noise_rate is None and self.transition is None:
            required = "required, unless transition is given"
            raise fail("noise_rate", required, "neither", "give one, such as transition = { name = 'known' }")
        if self.noise_rate is not None and self.transition is not None:
            raise fail("noise_rate", "either this or transition", "both", "drop one of the two")
        if self.inclusive and self.transition is not None:
            raise fail("inclusive", "false where transition is given", True, "write it into the transition")
        return self


class ForwardSpec(Correction):
    """Forward correction."""

    name: Literal["forward"] = "forward"


class BackwardSpec(Correction):
    """Backward correction."""

    name: Literal["backward"] = "backward"


class LossBoundSpec(Spec):
    """Cross entropy whose mean over a batch is kept from falling below a bound in nats, or below what noise costs."""

    name: Literal["loss_bound"] = "loss_bound"
    bound: NonNegative | None = None
    transition: TransitionSource | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.bound is None) == (self.transition is None):
            got = "neither" if self.bound is None else "both"
            raise fail("bound", "either this or transition, whose entropy it is then", got, "give one of the two")
        return self


class LearnedTransitionSpec(Spec):
    """VolMinNet: forward correction by a transition that is learned; its scores are `objective.scores` to groups."""

    name: Literal["learned_transition"] = "learned_transition"
    weight: NonNegative = 1e-4
    initial: float = -2.0


class GeneralizedCrossEntropySpec(Spec):
    """GCE: from cross entropy at q = 0 to mean absolute error at q = 1."""

    name: Literal["generalized_cross_entropy"] = "generalized_cross_entropy"
    q: Fraction = 0.7


class SymmetricCrossEntropySpec(Spec):
    """SCE: cross entropy and its reverse; 0.1 and 1 on CIFAR-10, 6 and 0.1 on CIFAR-100."""

    name: Literal["symmetric_cross_entropy"] = "symmetric_cross_entropy"
    cross_entropy_weight: NonNegative = 0.1
    reverse_weight: NonNegative = 1.0


class ActivePassiveSpec(Spec):
    """APL: normalised and reverse cross entropy; 1 and 1 on CIFAR-10, 10 and 0.1 on CIFAR-100."""

    name: Literal["active_passive"] = "active_passive"
    active_weight: NonNegative = 1.0
    passive_weight: NonNegative = 1.0


class MeanAbsoluteErrorSpec(Spec):
    """Mean absolute error, 1 - p_label."""

    name: Literal["mean_absolute_error"] = "mean_absolute_error"


class FocalSpec(Spec):
    """Focal loss."""

    name: Literal["focal"] = "focal"
    gamma: NonNegative = 3.0


class ConfidencePenaltySpec(Spec):
    """Cross entropy, and a penalty on low entropy."""

    name: Literal["confidence_penalty"] = "confidence_penalty"
    weight: NonNegative = 0.1


class MarginPenaltySpec(Spec):
    """Cross entropy, and a penalty on logits further than a margin below the largest (MbLS)."""

    name: Literal["margin_penalty"] = "margin_penalty"
    weight: NonNegative = 0.1
    margin: NonNegative = 10.0


class BootstrappingSpec(Spec):
    """Bootstrapping; the label's weight is 0.95 for "soft" and 0.8 for "hard" unless given."""

    name: Literal["bootstrapping"] = "bootstrapping"
    kind: Literal["soft", "hard"] = "soft"
    weight: Fraction | None = None


class NegativeSmoothingSpec(Spec):
    """NLS: cross entropy for the share `warmup` of training, then smoothing below 0; without a floor unbounded."""

    name: Literal["negative_smoothing"] = "negative_smoothing"
    smoothing: Annotated[float, Field(lt=0)] = -0.4
    warmup: Share = 0.5
    floor: Floor = 1e-8


class MaxSuppressionSpec(Spec):
    """MaxSup: its smoothing goes linearly to `final_smoothing` over training."""

    name: Literal["max_suppression"] = "max_suppression"
    smoothing: Fraction = 0.1
    final_smoothing: Fraction = 0.2


class Ramped(Spec):
    """Cross entropy until `ramp_from`, then a weight that grows until `ramp_to`; without a floor it is unbounded."""

    ramp_from: Fraction = 0.1
    ramp_to: Fraction = 0.4
    floor: Floor = 1e-8

    @model_validator(mode="after")
    def _ramp_goes_forward(self) -> Self:
        if self.ramp_to < self.ramp_from:
            got = f"{self.ramp_to:g}"
            raise fail("ramp_to", f"at least ramp_from, {self.ramp_from:g}", got, "raise it, or lower ramp_from")
        return self


class CoresSpec(Ramped):
    """CORES: confidence rewarded with a growing weight; from `sieve_from` on (1 for never) its sieve picks examples."""

    name: Literal["cores"] = "cores"
    weight: NonNegative = 2.0
    sieve_from: Fraction = 0.3


class PeerSpec(Ramped):
    """Peer loss, its pairs drawn from the batch; full weight after a tenth of the training, as in CIFAR-10N's code."""

    name: Literal["peer"] = "peer"
    weight: NonNegative = 1.0
    ramp_to: Fraction = 0.1


class EarlyLearningSpec(Spec):
    """Early-learning regularisation (ELR): state for every example."""

    name: Literal["early_learning"] = "early_learning"
    weight: NonNegative = 3.0
    momentum: Share = 0.7


class OnlineSmoothingSpec(Spec):
    """Online label smoothing (OLS): state for every class, renewed every epoch."""

    name: Literal["online_smoothing"] = "online_smoothing"
    weight: Fraction = 0.5


class MixupSpec(Spec):
    """Mixup: inputs and targets mixed with weights from Beta(concentration, concentration)."""

    name: Literal["mixup"] = "mixup"
    concentration: Positive = 0.2
    smoothing: Fraction = 0.0


ObjectiveSpec = Annotated[
    CrossEntropySpec
    | ForwardSpec
    | BackwardSpec
    | LossBoundSpec
    | LearnedTransitionSpec
    | GeneralizedCrossEntropySpec
    | SymmetricCrossEntropySpec
    | ActivePassiveSpec
    | MeanAbsoluteErrorSpec
    | FocalSpec
    | ConfidencePenaltySpec
    | MarginPenaltySpec
    | BootstrappingSpec
    | NegativeSmoothingSpec
    | MaxSuppressionSpec
    | CoresSpec
    | PeerSpec
    | EarlyLearningSpec
    | OnlineSmoothingSpec
    | MixupSpec
    | DistillationSpec,
    Field(discriminator="name"),
]


def needs_transition(spec: Spec) -> Literal["known"] | EstimatedTransition | None:
    """Say which transition has to be handed to an objective: the known one, one estimated like this, or none."""
    source = spec.transition if isinstance(spec, Correction | LossBoundSpec | DistillationSpec) else None
    if isinstance(source, KnownTransition):
        return "known"
    return source if isinstance(source, EstimatedTransition) else None
