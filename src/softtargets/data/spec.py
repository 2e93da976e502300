"""What a data set is, as a specification."""

from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from softtargets._errors import fail
from softtargets._spec import Share, Spec

Count = Annotated[int, Field(ge=1)]


class Limit(Spec):
    """How many examples of each split to keep, chosen after splitting; None keeps all.

    The choice is stratified, and a smaller limit keeps a subset of what a larger one keeps.
    """

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class Fold(Spec):
    """One fold of a cross-validation: the training part falls into `count` folds, of which `index` is held out.

    The held-out fold takes the place of validation, whatever the share says, and train is the other folds. Every row
    of the training part is in exactly one fold; `limit.train` is applied before, so that the folds divide what it
    keeps. A validation split of the set's own is left out: it is in no fold, and no model sees it.

    The rows are dealt at random and not stratified: where labels are in doubt, the clean ones are not to be had, and
    a division that knew them would leak them. A rare class may therefore be absent from the rows of one training.

    Attributes:
        index: In [0, count).
        count: At least 2, and at most the number of rows.
    """

    index: int = Field(ge=0)
    count: int = Field(ge=2)

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.index >= self.count:
            raise fail("index", f"below {self.count}, the number of folds", self.index, "count the folds from 0")
        return self


class DataSpec(Spec):
    """One data set, its columns and its splits.

    Attributes:
        name: "digits" (embedded), a path to a folder or to a .parquet or .csv file, or a hub name "user/set".
        label: The column of the labels.
        image: The column of the images; None takes the only image column there is.
        text: The column of texts; None takes, of a table without images, the column named "text" or the only one beside
            the label, where most of its values are no numbers.
        features: The numeric columns of a table; None takes every column but the label.
        num_classes: At least 2; None takes what the data say.
        validation: Share in [0, 1) of the training part that is held out, where the set has no validation split.
        test: Share in [0, 1) of all rows that is held out, where the set has no test split.
        split_seed: Fixes the splits and the limits; it is not one of a run's seeds.
        limit: Stratified subsamples of the splits.
        fold: One fold of a cross-validation instead of a validation split.
    """

    name: str = Field(min_length=1)
    label: str = Field(default="label", min_length=1)
    image: str | None = None
    text: str | None = None
    features: tuple[str, ...] | None = None
    num_classes: int | None = Field(default=None, ge=2)
    validation: Share = 0.2
    test: Share = 0.2
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    limit: Limit | None = None
    fold: Fold | None = None

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None and text == info.data.get("label"):
            raise ValueError(f"another column than the label column '{text}'")
        if text is not None and info.data.get("image") is not None:
            raise ValueError("a column of texts, so leave out either this or image")
        return text

    @field_validator("features")
    @classmethod
    def _check_features(cls, features: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if features is None:
            return None
        if not features:
            raise ValueError("at least one column, or nothing at all for every column but the label")
        if len(set(features)) < len(features):
            raise ValueError("each column once")
        if info.data.get("label") in features:
            raise ValueError(f"columns other than the label column '{info.data['label']}'")
        for other in ("image", "text"):
            if info.data.get(other) is not None:
                raise ValueError(f"columns of a table, so leave out either this or {other}")
        return features

    @model_validator(mode="after")
    def _folds_are_whole(self) -> Self:
        if self.fold is not None and self.limit is not None and self.limit.validation is not None:
            required = "nothing for validation beside a fold, which is kept whole"
            raise fail("limit", required, self.limit.validation, "leave limit.validation out, or lower limit.train")
        return self


class AugmentationSpec(Spec):
    """Random changes to training images, fresh in every epoch."""

    crop_padding: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    shift: Annotated[int, Field(ge=0)] = 0

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.crop_padding or self.flip or self.shift)
