"""Which objective a run is trained with, as a specification. Free of torch, for the command line.

Schedules are written as shares of the training that is done, so that they fit runs of any length.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Spec
from softtargets.runs.ranges import Fraction, NonNegative, Positive

Share = Annotated[float, Field(ge=0, lt=1)]
# What probabilities are raised by in a term that is taken away, which then cannot fall below its logarithm; 0 is none.
Floor = Annotated[float, Field(ge=0, le=0.01)]


class SymmetricTransition(Spec):
    """Symmetric noise of this rate; inclusive: redrawn over all classes."""

    name: Literal["symmetric"] = "symmetric"
    rate: Fraction
    inclusive: bool = False


class KnownTransition(Spec):
    """The transition that the run's own noise was drawn from."""

    name: Literal["known"] = "known"


class EstimatedTransition(Spec):
    """Estimated from the predictions of a first model, trained with cross entropy on the noisy labels.

    As in Patrini et al. 2017; `percentile` says which example stands for a class, and None the surest.
    """

    name: Literal["estimated"] = "estimated"
    estimator: Literal["anchor_points", "dual_t", "confident_joint"] = "anchor_points"
    percentile: Annotated[float, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _percentile_belongs_to_anchors(self) -> Self:
        if self.estimator == "confident_joint" and self.percentile is not None:
            raise fail("percentile", "none for 'confident_joint'", f"{self.percentile:g}", "drop it")
        return self


TransitionSource = Annotated[SymmetricTransition | KnownTransition | EstimatedTransition, Field(discriminator="name")]


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


class CacheSpec(Spec):
    """Teachers that are asked once, before any student, and read from the store by every student after that.

    Of each training example all classes are kept, or the `k` largest, whose `residual` goes to the others evenly or
    nowhere, or as many `draws` from the teacher's probabilities, raised to 1 / `proposal_temperature`.
    """

    kind: Literal["top_k", "sampled"] = "top_k"
    k: Annotated[int, Field(gt=0)] | None = None
    draws: Annotated[int, Field(gt=0)] | None = None
    residual: Literal["uniform", "drop"] = "uniform"
    proposal_temperature: Positive = 1.0
    dtype: Literal["float16", "float32"] = "float16"

    @model_validator(mode="after")
    def _settings_belong_to_the_kind(self) -> Self:
        if self.kind == "sampled" and self.draws is None:
            raise fail("draws", "given with kind = 'sampled'", None, "say how many, such as 50")
        unused = ("k", "residual") if self.kind == "sampled" else ("draws", "proposal_temperature")
        for name in unused:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise fail(name, f"left out with kind = '{self.kind}'", repr(getattr(self, name)), "drop it")
        return self

    def all_of(self, num_classes: int | None = None) -> bool:
        """Say whether all classes are kept, where there are so many of them."""
        return self.kind == "top_k" and self.k in (None, num_classes)


class DistillationSpec(Spec):
    """Distillation from the run's teachers: `weight` times their term, and `label_weight` times cross entropy.

    Without `label_weight` that is 1 - weight, and 1 beside "decoupled" and "relational". "kl" is the divergence between
    softened probabilities, times the product of both temperatures where `scale` is "squared"; "squared" is half the
    squared distance of logits. `standardized` logits are z-scored first, on both sides. `smoothing` mixes the teachers'
    probabilities with uniform ones, and a `transition` corrects the student's side: label smoothing and forward
    correction on the student of Lukasik et al. 2020, Table 6, as we read them. With a `cache` the teachers are asked
    once for all students; of classes that are left out, or drawn, the cross entropy is minimised, which differs from
    the divergence by a constant.
    """

    name: Literal["distillation"] = "distillation"
    loss: Literal["kl", "squared", "decoupled", "relational"] = "kl"
    weight: NonNegative = 1.0
    label_weight: NonNegative | None = None
    temperature: Positive = 1.0
    student_temperature: Positive | None = None
    scale: Literal["squared", "none"] = "squared"
    standardized: bool = False
    smoothing: Fraction = 0.0
    transition: TransitionSource | None = None
    source: Literal["runs", "average"] = "runs"
    cache: CacheSpec | None = None

    @property
    def share_of_labels(self) -> float:
        """What the cross entropy with the labels is multiplied by."""
        if self.label_weight is not None:
            return self.label_weight
        return 1 - self.weight if self.loss in ("kl", "squared") else 1.0

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        if self.label_weight is None and self.weight > 1 and self.loss in ("kl", "squared"):
            raise fail("weight", "at most 1 without label_weight", f"{self.weight:g}", "give label_weight too")
        return self

    @model_validator(mode="after")
    def _settings_belong_to_the_loss(self) -> Self:
        if self.loss == "kl":
            return self
        for name in ("student_temperature", "standardized", "smoothing", "transition"):
            if getattr(self, name):
                raise fail(name, f"nothing with loss = '{self.loss}'", getattr(self, name), "drop it or use 'kl'")
        if self.scale != "squared":
            raise fail("scale", f"left out with loss = '{self.loss}'", f"'{self.scale}'", "drop it or use 'kl'")
        if self.loss == "squared" and self.temperature != 1:
            raise fail("temperature", "1 with loss = 'squared'", f"{self.temperature:g}", "drop it or use 'kl'")
        return self

    @model_validator(mode="after")
    def _cache_holds_what_is_needed(self) -> Self:
        if self.cache is None:
            return self
        if self.source == "average":
            remedy = "drop the cache: a running average answers otherwise after every step"
            raise fail("cache", "none with source = 'average'", "one", remedy)
        if self.loss == "squared":
            remedy = "drop the cache, which keeps probabilities and no logits, or use another loss"
            raise fail("cache", "none with loss = 'squared'", "one", remedy)
        if not self.cache.all_of():
            got = "draws" if self.cache.kind == "sampled" else "fewer"
            if self.loss != "kl":
                remedy = "use 'top_k' without k, or the loss 'kl'"
                raise fail("cache", f"one of all classes with loss = '{self.loss}'", got, remedy)
            for name in ("standardized", "smoothing", "transition"):
                if getattr(self, name):
                    remedy = "use 'top_k' without k, or drop that"
                    raise fail("cache", f"one of all classes with {name}", got, remedy)
        return self


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
