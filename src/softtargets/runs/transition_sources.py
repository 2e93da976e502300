"""Where an objective has its transition from, as a specification. Free of torch, for the command line."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import Fraction, Spec


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
