"""Sources of the transition of an objective."""

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator

from softtargets import noise
from softtargets._errors import InputError, fail
from softtargets._spec import Fraction, NamedSpec, register, union_of
from softtargets.matrices import Transition
from softtargets.noise.estimators.registry import observed_label_estimators
from softtargets.objectives.context import ObjectiveContext, Predictions

# The field with the path of a transition in a file.
FILE = "objective.transition.file"
ESTIMATORS = observed_label_estimators()
if TYPE_CHECKING:
    EstimatorName = str
else:
    EstimatorName = Literal[tuple(ESTIMATORS)]


class TransitionSource(NamedSpec):
    """Source of a transition: constructed here, or passed in the context by the caller."""

    @abstractmethod
    def needed(self) -> "Literal['known'] | EstimatedTransition | None":
        """Return which transition the context must have."""

    def resolve(self, context: ObjectiveContext) -> Transition:
        """Return the transition on the context's device.

        Raises:
            InputError: if the context must have one and has none, or one of another number of classes.
        """
        given = context.transition
        if given is None:
            required = "a transition in the context, if it is known or estimated"
            raise fail("objective.transition", required, "none", "pass ObjectiveContext(transition=...)")
        if given.num_classes != context.num_classes:
            required = f"{context.num_classes} classes, as the data set"
            raise fail("objective.transition", required, given.num_classes, "pass the transition of this data set")
        parts = {"matrix": given.matrix, "others": given.others, "shares": given.shares}
        return replace(given, **{name: part.to(context.device) for name, part in parts.items() if part is not None})


SOURCES: dict[str, type[TransitionSource]] = {}


@register(SOURCES, "symmetric")
class SymmetricTransition(TransitionSource):
    """Symmetric noise of this rate; with inclusive = true labels are redrawn over all classes."""

    rate: Fraction
    inclusive: bool = False

    def needed(self) -> None:
        return None

    def resolve(self, context: ObjectiveContext) -> Transition:
        return noise.symmetric(self.rate, context.num_classes, inclusive=self.inclusive)


@register(SOURCES, "known")
class KnownTransition(TransitionSource):
    """The transition that the noise of the run was drawn from."""

    def needed(self) -> Literal["known"]:
        return "known"


@register(SOURCES, "file")
class FileTransition(TransitionSource):
    """A transition in a CSV file, such as the transition.csv of an audit; see ``noise.load_transition``."""

    file: Annotated[str, Field(min_length=1)]

    def needed(self) -> None:
        return None

    def resolve(self, context: ObjectiveContext) -> Transition:
        try:
            found = noise.load_transition(self.file, class_names=context.require_data("file").class_names)
        except ValueError as error:
            argument = f"{FILE}:" if str(error).startswith("path:") else ""
            raise InputError(f"{argument}{str(error).removeprefix('path:')}") from None
        assert found.matrix is not None
        return replace(found, matrix=found.matrix.to(context.device))


@register(SOURCES, "estimated")
class EstimatedTransition(TransitionSource):
    """Estimated from the predictions of a first model, trained with cross entropy on the noisy labels.

    As in Patrini et al. 2017, Sec. 4. `percentile` selects the anchor example of a class by its probability; the
    default is the most probable one.
    """

    estimator: EstimatorName = "anchor"
    percentile: Annotated[float, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _percentile_belongs_to_anchors(self) -> Self:
        if self.percentile is not None and "percentile" not in ESTIMATORS[self.estimator].settings:
            raise fail("percentile", f"none for '{self.estimator}'", f"{self.percentile:g}", "drop it")
        return self

    def needed(self) -> Self:
        return self

    def estimate(self, predictions: Predictions) -> Transition:
        """Estimate from the predictions of the first model on the validation split, which it was not fitted to.

        If an epoch was selected by the observed labels of that split, its predictions are used. Without a validation
        split the predictions on the training split are used, which memorised labels bias towards no noise.

        Args:
            predictions: logits and observed labels by split, as a run records them.
        """
        split = "validation" if len(predictions["validation.labels"]) else "train"
        logits = predictions.get(f"selected.{split}.logits", predictions[f"{split}.logits"])
        probs = torch.softmax(logits.double(), dim=-1)
        settings: dict[str, Any] = {"percentile": self.percentile} if self.percentile is not None else {}
        return noise.estimate_transition(probs, predictions[f"{split}.observed"], method=self.estimator, **settings)


if TYPE_CHECKING:
    AnyTransition = TransitionSource
else:
    AnyTransition = union_of(SOURCES)
