"""The specification of a data set."""

from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from softtargets._errors import fail
from softtargets._spec import Share, Spec
from softtargets.data.limits import MAX_CLASSES

Count = Annotated[int, Field(ge=1, le=2**40)]
# Pixels by which an image is moved.
Distance = Annotated[int, Field(ge=0, le=4096)]


class Limit(Spec):
    """The number of examples to keep of each split, applied after splitting; None keeps all.

    The subsample is stratified. A smaller limit keeps a subset of the examples that a larger one keeps.
    """

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class Fold(Spec):
    """One fold of a cross-validation: the training part is divided into `count` folds, and fold `index` is held out.

    The held-out fold becomes the validation split, whatever the validation share, and the other folds become the
    training split. `limit.train` is applied first. Every remaining row of the training part is in exactly one fold. A
    validation split that the data set already has is not used.

    Folds are random and not stratified: if labels may be wrong, a stratified division would leak the clean labels. A
    rare class may therefore be missing from one of the training splits.

    Attributes:
        index: In [0, count).
        count: At least 2, at most the number of rows and at most 10,000.
    """

    index: int = Field(ge=0)
    count: int = Field(ge=2, le=10_000)

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.index >= self.count:
            raise fail("index", f"below {self.count}, the number of folds", self.index, "count the folds from 0")
        return self


class DataSpec(Spec):
    """One data set, its columns and its splits.

    Attributes:
        name: "digits" (embedded), a path to a folder or to a .parquet or .csv file, or a name "user/set" on the Hugging
            Face Hub.
        label: The column of the labels.
        image: The column of the images. None: the only image column.
        text: The column of texts. None: in a table without images, the column named "text" or the only one besides the
            label, if most of its values are not numbers.
        features: The numeric columns of a table. None: every column except the label.
        num_classes: At least 2. None: taken from the data.
        validation: Fraction in [0, 1) of the training part to hold out, if the data set has no validation split.
        test: Fraction in [0, 1) of all rows to hold out, if the data set has no test split.
        split_seed: Seed of the splits and limits; it is not one of a run's seeds.
        limit: Stratified subsamples of the splits.
        fold: One fold of a cross-validation instead of a validation split.
    """

    name: str = Field(min_length=1)
    label: str = Field(default="label", min_length=1)
    image: str | None = None
    text: str | None = None
    features: tuple[str, ...] | None = None
    num_classes: int | None = Field(default=None, ge=2, le=MAX_CLASSES)
    validation: Share = 0.2
    test: Share = 0.2
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    limit: Limit | None = None
    fold: Fold | None = None

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None and text == info.data.get("label"):
            raise ValueError(f"a column other than the label column '{text}'")
        if text is not None and info.data.get("image") is not None:
            raise ValueError("given without image; leave one of the two out")
        return text

    @field_validator("features")
    @classmethod
    def _check_features(cls, features: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if features is None:
            return None
        if not features:
            raise ValueError("at least one column; leave the key out for every column except the label")
        if len(set(features)) < len(features):
            raise ValueError("each column once")
        if info.data.get("label") in features:
            raise ValueError(f"columns other than the label column '{info.data['label']}'")
        for other in ("image", "text"):
            if info.data.get(other) is not None:
                raise ValueError(f"given without {other}; leave one of the two out")
        return features

    @model_validator(mode="after")
    def _folds_are_whole(self) -> Self:
        if self.fold is not None and self.limit is not None and self.limit.validation is not None:
            required = "no limit.validation with a fold, which is used completely"
            raise fail("limit", required, self.limit.validation, "leave limit.validation out, or lower limit.train")
        return self


class AugmentationSpec(Spec):
    """Random augmentation of training images, drawn again in every epoch."""

    crop_padding: Distance = 0
    flip: bool = False
    shift: Distance = 0

    @property
    def active(self) -> bool:
        """Whether any augmentation is enabled."""
        return bool(self.crop_padding or self.flip or self.shift)
