"""What a data set is, as a specification. Free of torch, for the command line."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from softtargets._spec import Spec

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Limit(Spec):
    """How many examples of each split to keep, chosen after splitting; None keeps all.

    The choice is stratified, and a smaller limit keeps a subset of what a larger one keeps.
    """

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class DataSpec(Spec):
    """One data set, its columns and its splits.

    Attributes:
        name: "digits" (embedded), a path to a folder or to a .parquet or .csv file, or a hub name "user/set".
        label: The column of the labels.
        image: The column of the images; None takes the only image column there is.
        features: The numeric columns of a table; None takes every column but the label.
        num_classes: At least 2; None takes what the data say.
        validation: Share in [0, 1) of the training part that is held out, where the set has no validation split.
        test: Share in [0, 1) of all rows that is held out, where the set has no test split.
        split_seed: Fixes the splits and the limits; it is not one of a run's seeds.
        limit: Stratified subsamples of the splits.
    """

    name: str = Field(min_length=1)
    label: str = Field(default="label", min_length=1)
    image: str | None = None
    features: tuple[str, ...] | None = None
    num_classes: int | None = Field(default=None, ge=2)
    validation: Share = 0.2
    test: Share = 0.2
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    limit: Limit | None = None

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
        if info.data.get("image") is not None:
            raise ValueError("columns of a table, so leave out either this or image")
        return features
