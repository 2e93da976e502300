"""The specification of a data set."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from softtargets._errors import fail
from softtargets._spec import Share, Spec
from softtargets.data.limits import MAX_CLASSES
from softtargets.data.settings import ColourJitter, Count, LongTail, Normalization, ResizedCrop, TokenizerSpec

# Pixels of a side of an image that a network sees.
Side = Annotated[int, Field(ge=1, le=4096)]
# Pixels by which an image is moved.
Distance = Annotated[int, Field(ge=0, le=4096)]
# Settings of data that are not read as tokens, and of data with labels.
_OF_NUMBERS = ("image", "features", "size", "test_size", "resize", "normalization", "stream")
_OF_LABELS = (
    *("text", "num_classes", "classes", "per_class", "long_tail"),
    *("unlabelled", "labelled_per_class", "unlabelled_file", "votes", "annotators", "votes_file"),
)
_OF_VOTES = ("votes", "annotators", "votes_file")
_WITHOUT_VOTES = ("unlabelled", "labelled_per_class", "unlabelled_file")


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
        within: None: the rows of the validation split are in folds too. "train": the training split that a run without
            a fold has is divided, and the rows of its validation split are left out.
    """

    index: int = Field(ge=0)
    count: int = Field(ge=2, le=10_000)
    within: Literal["train"] | None = None

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.index >= self.count:
            raise fail("index", f"below {self.count}, the number of folds", self.index, "count the folds from 0")
        return self


class DataSpec(Spec):
    """One data set, its columns and its splits.

    Attributes:
        name: "digits" (embedded), a path to a folder, to a .parquet or .csv file or to a list of images (.txt), or a
            name "user/set" on the Hugging Face Hub.
        label: The column of the labels. If it does not exist, the only column of class labels is taken.
        votes: The votes of several annotators, or a distribution over the classes, in place of `label`: the common part
            of columns such as "votes_cat" and "votes_dog", one for each class; their names, separated by commas; or one
            column of lists. Each row has whole numbers of votes, or probabilities that sum to 1. The label of a row is
            then its most frequent class; of several, the first.
        annotators: In place of `votes`: the columns of the labels of several annotators, as in `label`. An empty cell
            or -1 is no label.
        votes_file: A file with these columns, and with one row for each row of the data set's own training part, in its
            order. With neither `votes` nor `annotators`, its columns are named after the classes. Rows of other splits
            keep their label. None: the votes are columns of the data set.
        image: The column of the images. None, or a column that does not exist: the only image column. In a CSV file,
            the column of the images' paths.
        text: The column of texts. None: in a table without images, the column named "text" or the only one besides the
            label, if most of its values are not numbers.
        features: The numeric columns of a table. None: every column except the label.
        num_classes: At least 2. None: taken from the data.
        validation: Fraction in [0, 1) of the training part to hold out, if the data set has no validation split.
        test: Fraction in [0, 1) of all rows to hold out, if the data set has no test split.
        validation_as_test: Whether the data set's own validation split is the test split, as is usual for ImageNet.
        split_seed: Seed of the splits, limits and subsets; it is not one of a run's seeds.
        limit: Stratified subsamples of the splits.
        fold: One fold of a cross-validation instead of a validation split.
        classes: A number of classes, drawn with `split_seed`, or the names or indices of the classes. All splits keep
            these classes only, numbered again from 0 in the data set's order. A smaller number keeps a subset of the
            classes that a larger one keeps.
        per_class: The number of training examples of each class; a class that has fewer keeps all of them.
        long_tail: Class sizes of the training split that fall from class to class.
        unlabelled: None: every row has a label. A number: training rows without a label are allowed, and this fraction
            in [0, 1) of the labelled training rows loses its label (stratified, drawn with `split_seed`).
        labelled_per_class: The number of training examples of each class that keep their label (drawn with
            `split_seed`); the labels of the others are hidden. A smaller number keeps a subset of the labels that a
            larger one keeps.
        unlabelled_file: A second file (.csv or .parquet) with the same columns, or a folder or list of images, whose
            rows are added to the training split without labels. A label column in it is not read.
        size: Side of the square images that a network is trained on, in pixels. None: images of one size keep it.
        test_size: Side of the images in evaluation and prediction. None: `size`.
        resize: The shorter side of an image before a square of `test_size` is cut out of its centre. None: 8/7 of
            `test_size`, or `test_size` itself for images that all have exactly this size.
        normalization: "imagenet", or the mean and standard deviation of each channel of images. None: those of the
            training images (of a stream, of at most 5,000 of them).
        stream: True: images are decoded when they are needed, by worker processes. False: all are held in memory, and
            if `size` or `resize` asks for another size than theirs, they are resized once. None: images are streamed if
            they have several sizes or take more than 2 GiB decoded, or if `size`, `test_size` or `resize` asks for
            another size than theirs.
        workers: Number of worker processes that decode streamed images; 0 is the training process. It does not change
            results and is not part of a run's identity. None: one per core that training leaves, at least one.
        tokenizer: How texts become rows of tokens. None: texts become counts of their words.
        source: The column of the sentences that are translated; given with `target`. Where there is no such column, it
            is a key of the only column of translations, such as "de".
        target: The column of their translations. Without `source`: the column of texts of a language model, which
            predicts every token from those before it. Such data have no labels.
    """

    name: str = Field(min_length=1)
    label: str = Field(default="label", min_length=1)
    votes: Annotated[str, Field(min_length=1)] | None = None
    annotators: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)] | None = None
    votes_file: Annotated[str, Field(min_length=1)] | None = None
    image: str | None = None
    text: str | None = None
    features: tuple[str, ...] | None = None
    num_classes: int | None = Field(default=None, ge=2, le=MAX_CLASSES)
    validation: Share = 0.2
    test: Share = 0.2
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    validation_as_test: bool | None = None
    limit: Limit | None = None
    fold: Fold | None = None
    classes: Annotated[int, Field(ge=2, le=MAX_CLASSES)] | tuple[int | str, ...] | None = None
    per_class: Count | None = None
    long_tail: LongTail | None = None
    unlabelled: Share | None = None
    labelled_per_class: Count | None = None
    unlabelled_file: Annotated[str, Field(min_length=1)] | None = None
    size: Side | None = None
    test_size: Side | None = None
    resize: Side | None = None
    normalization: str | Normalization | None = None
    stream: bool | None = None
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    tokenizer: TokenizerSpec | None = None
    source: Annotated[str, Field(min_length=1)] | None = None
    target: Annotated[str, Field(min_length=1)] | None = None

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

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, classes: int | tuple[int | str, ...] | None) -> int | tuple[int | str, ...] | None:
        if isinstance(classes, tuple) and (len(classes) < 2 or len(set(classes)) < len(classes)):
            raise ValueError("a number, or at least two different names or indices")
        return classes

    @field_validator("normalization")
    @classmethod
    def _check_normalization(cls, given: str | Normalization | None) -> str | Normalization | None:
        if isinstance(given, str) and given != "imagenet":
            raise ValueError("'imagenet', or a table of mean and std")
        return given

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        for name in ("test_size", "resize"):
            if getattr(self, name) is not None and self.size is None:
                raise fail(name, "given with size", getattr(self, name), "give size, the side of training images")
        tested = self.test_size or self.size
        if self.resize is not None and tested is not None and self.resize < tested:
            raise fail("resize", f"at least {tested}, the size of the images", self.resize, "give a larger number")
        return self

    @model_validator(mode="after")
    def _tokens_are_of_texts(self) -> Self:
        if self.tokenizer is None:
            for name in ("source", "target"):
                if getattr(self, name) is not None:
                    got = f"'{getattr(self, name)}' alone"
                    raise fail(name, "given with tokenizer", got, 'add tokenizer = { name = "bpe" }')
            return self
        if self.source is not None and self.target in (None, self.source):
            raise fail("target", f"another column than source, '{self.source}'", self.target, "name the translations")
        if self.tokenizer.separate and self.source is None:
            raise fail("tokenizer.separate", "left out without sentence pairs", True, "remove it, or give source")
        others = () if self.target is None else _OF_LABELS
        for name in (*_OF_NUMBERS, *others):
            if getattr(self, name) is not None:
                kind = "texts that become tokens" if name in _OF_NUMBERS else "texts without labels, as target is given"
                raise fail(name, f"left out for {kind}", getattr(self, name), "remove it")
        return self

    @model_validator(mode="after")
    def _labels_are_hidden_in_one_way(self) -> Self:
        if self.labelled_per_class is not None and self.unlabelled:
            remedy = "keep one of the two; unlabelled = 0.0 allows missing labels"
            raise fail("unlabelled", "0, or left out, with labelled_per_class", self.unlabelled, remedy)
        return self

    @property
    def has_votes(self) -> bool:
        """Whether labels are votes of several annotators, or distributions over the classes."""
        return any(getattr(self, name) is not None for name in _OF_VOTES)

    @model_validator(mode="after")
    def _votes_are_the_labels(self) -> Self:
        if self.votes is not None and self.annotators is not None:
            raise fail("votes", "either this or annotators", "both", "drop one of the two")
        if self.annotators is not None and len(set(self.annotators)) < len(self.annotators):
            raise fail("annotators", "each column once", list(self.annotators), "remove the repeated ones")
        for name in _WITHOUT_VOTES if self.has_votes else ():
            if getattr(self, name) is not None:
                remedy = "remove it, or leave rows without votes out"
                raise fail(name, "left out with votes, which every row needs", getattr(self, name), remedy)
        return self

    @model_validator(mode="after")
    def _folds_are_whole(self) -> Self:
        whole = self.fold is not None and self.fold.within is None
        if whole and self.limit is not None and self.limit.validation is not None:
            required = "no limit.validation with a fold, which is used completely"
            raise fail("limit", required, self.limit.validation, "leave limit.validation out, or lower limit.train")
        return self


class AugmentationSpec(Spec):
    """Random augmentation of training images, drawn again in every epoch.

    Attributes:
        crop_padding: Images are padded with this many black pixels, and a part of their own size is cut out at random.
        flip: Whether images are mirrored left to right with probability 1/2.
        shift: As `crop_padding`, after it.
        random_crop: Whether the square of `data.size` is cut out at random and not from the centre.
        resized_crop: A random part of the image, resized to `data.size`.
        jitter: Random changes of colours.
    """

    crop_padding: Distance = 0
    flip: bool = False
    shift: Distance = 0
    random_crop: bool | None = None
    resized_crop: ResizedCrop | None = None
    jitter: ColourJitter | None = None

    @model_validator(mode="after")
    def _one_crop(self) -> Self:
        if self.resized_crop is not None and self.random_crop:
            raise fail("random_crop", "left out with resized_crop", True, "keep one of the two")
        return self

    @property
    def active(self) -> bool:
        """Whether any augmentation is enabled."""
        return bool(self.crop_padding or self.flip or self.shift or self.one_by_one)

    @property
    def one_by_one(self) -> bool:
        """Whether any augmentation is computed for one image after the other, by Pillow."""
        return bool(self.random_crop or self.resized_crop or self.jitter)
