"""Settings inside the specifications of a data set and of augmentation."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from softtargets._errors import fail
from softtargets._spec import NonNegative, Positive, Spec, Switch
from softtargets.data.limits import MAX_CLASSES

Count = Annotated[int, Field(ge=1, le=2**40)]
# A value of a channel: black is 0, white is 1.
Level = Annotated[float, Field(ge=0, le=1)]


class Normalization(Spec):
    """The mean and the standard deviation of each channel of the images, where black is 0 and white is 1.

    Attributes:
        mean: One number in [0, 1] for grey images, three for colour images (red, green, blue).
        std: As many positive numbers.
    """

    mean: tuple[Level, ...] = Field(min_length=1, max_length=3)
    std: tuple[Positive, ...] = Field(min_length=1, max_length=3)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if len(self.mean) != len(self.std) or len(self.mean) == 2:
            got = f"{len(self.mean)} means and {len(self.std)} standard deviations"
            raise fail("normalization", "one mean and one std for each channel, 1 or 3", got, "give as many of each")
        return self


class LongTail(Spec):
    """Class sizes of the training split that fall from class to class.

    Of K classes, class k (counted from 0) keeps the nearest whole number of

    largest * q(k) / q(0),  q(k) = ((K + 1) / (k + 1))^(1 / power) - 1    # "pareto": quantiles of a Pareto distribution
    largest * ratio^(-k / (K - 1))                                        # "exponential", Cao et al. 2019

    examples. The Pareto distribution starts at 0 (Lomax). With power 6, a largest class of 1280, a smallest of 5 and
    1000 classes this gives 117,620 examples; ImageNet-LT (Liu et al. 2019), which was drawn at random from such a
    distribution, has 115,846.

    Attributes:
        name: "pareto" or "exponential".
        power: Of "pareto" only; default 6, as Shen et al. 2021, App. A.2.
        ratio: Of "exponential" only: the size of the largest class divided by the size of the smallest; default 100.
        largest: Size of the largest class. None: the number of training examples of the most frequent class.
        smallest: Smaller classes are enlarged to this size. None: a class that would be empty is an error.
        order: Which class is the largest: "index" in the order of the classes, or "random" (drawn with `split_seed`).
    """

    name: Literal["pareto", "exponential"]
    power: Positive | None = None
    ratio: Annotated[float, Field(ge=1)] | None = None
    largest: Count | None = None
    smallest: Count | None = None
    order: Literal["index", "random"] = "index"

    @model_validator(mode="after")
    def _own_settings(self) -> Self:
        other = "ratio" if self.name == "pareto" else "power"
        if getattr(self, other) is not None:
            raise fail(other, f"left out with '{self.name}'", getattr(self, other), "remove it")
        if self.largest is not None and self.smallest is not None and self.smallest > self.largest:
            raise fail("smallest", f"at most largest, {self.largest}", self.smallest, "give a smaller number")
        return self


class TokenizerSpec(Spec):
    """How texts become rows of token ids.

    With `name`, a tokenizer is trained on the training split; of sentence pairs, on both sides together. "bpe" is
    byte-level byte-pair encoding (Sennrich et al. 2016, on bytes as in GPT-2): every text can be written in it, so that
    no token is unknown. Its first ids are those of <pad>, <s>, </s>, <unk> and <mask>.

    Attributes:
        name: "bpe". Give this or `pretrained`.
        pretrained: A tokenizer of transformers: a folder, or a name on the Hugging Face Hub. It must have a "fast"
            version, which is stored as tokenizer.json.
        vocabulary: Of "bpe" only: the number of ids, at most. Fewer are made of few texts. Default 8,000.
        lowercase: Of "bpe" only: whether texts are converted to lower case.
        separate: Of "bpe" on sentence pairs only: whether each side has a vocabulary of its own.
        max_length: The largest number of tokens of a text, with those that begin and end it. None: no limit.
        truncate: Whether a longer text is cut at `max_length`. None: a longer text is an error.
    """

    name: Literal["bpe"] | None = None
    pretrained: Annotated[str, Field(min_length=1)] | None = None
    vocabulary: Annotated[int, Field(ge=300, le=MAX_CLASSES)] | None = None
    lowercase: Switch = None
    separate: Switch = None
    max_length: Annotated[int, Field(ge=4, le=2**20)] | None = None
    truncate: Switch = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.name is None) == (self.pretrained is None):
            got = "neither" if self.name is None else "both"
            raise fail("tokenizer", "either name or pretrained", got, 'give one of the two, such as name = "bpe"')
        for key in ("vocabulary", "lowercase", "separate"):
            if self.pretrained is not None and getattr(self, key) is not None:
                required = "left out with pretrained, whose vocabulary is given"
                raise fail(key, required, getattr(self, key), "remove it")
        if self.truncate and self.max_length is None:
            raise fail("truncate", "given with max_length", True, "give max_length, the number of tokens to keep")
        return self


class ResizedCrop(Spec):
    """A random part of an image, resized to the size of training images (Szegedy et al. 2015).

    Attributes:
        scale: Smallest and largest share of the image's area, in (0, 1].
        ratio: Smallest and largest width of the part divided by its height.
    """

    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (0.08, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if low > high:
                raise fail(name, "the smaller number first", (low, high), "exchange the two numbers")
        return self


class ColourJitter(Spec):
    """Random changes of colours, in random order; each is a factor drawn uniformly from [max(0, 1 - x), 1 + x].

    Attributes:
        brightness: Towards black.
        contrast: Towards the mean grey of the image.
        saturation: Towards the grey image.
        hue: At most 0.5: all hues are turned by a share of the circle drawn uniformly from [-hue, hue].
    """

    brightness: NonNegative = 0.0
    contrast: NonNegative = 0.0
    saturation: NonNegative = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
