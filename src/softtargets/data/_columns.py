"""The columns of a data set that are read, by their role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from softtargets._errors import fail, nearest
from softtargets.data.spec import DataSpec


@dataclass(frozen=True)
class Columns:
    """The columns that are read: the labels, and either an image column, a text column or features."""

    label: str
    image: str | None
    features: tuple[str, ...]
    text: str | None = None

    @property
    def names(self) -> list[str]:
        """All columns that a table holds, the labels first."""
        return [self.label, *([self.text] if self.text else []), *self.features]


def names_of(feature: Any) -> tuple[str, ...] | None:
    """Return the class names of a label column of the Hub's ClassLabel type."""
    names = getattr(feature, "names", None)
    return None if names is None else tuple(names)


def is_image(feature: Any) -> bool:
    """Return whether a column has the Hub's schema of images."""
    return type(feature).__name__ == "Image" or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def is_label(feature: Any) -> bool:
    """Return whether a column has the Hub's schema of class labels."""
    return names_of(feature) is not None


def choose(features: Mapping[str, Any], spec: DataSpec, file: str, columns: Columns | None = None) -> Columns:
    """Choose the columns to read; `columns` are those of the first file, which later files must have too.

    Copies of a data set name their columns differently. So where the named column does not exist, the only column of
    images is taken, and the only column of class labels.

    Raises:
        InputError: a column that does not exist, or several image columns and none named.
    """
    if columns is not None:
        require([columns.label], "label", features, file)
        require([columns.image] if columns.image else [], "image", features, file)
        require([columns.text] if columns.text else [], "text", features, file)
        require(columns.features, "features", features, file)
        return columns
    label = _label(features, spec.label, file)
    if spec.features is not None:
        require(spec.features, "features", features, file)
        return Columns(label, None, spec.features)
    if spec.text is not None:
        require([spec.text], "text", features, file)
        return Columns(label, None, (), spec.text)
    images = [name for name, feature in features.items() if is_image(feature) and name != label]
    if spec.image is not None and not (len(images) == 1 and spec.image not in features):
        require([spec.image], "image", features, file)
        if spec.image not in images:
            raise fail(
                "image",
                "a column of images, each {bytes, path}",
                f"'{spec.image}' of {file}",
                f"use one of {', '.join(images)}" if images else "leave it out to read a table of numbers",
            )
        return Columns(label, spec.image, ())
    if len(images) > 1:
        raise fail("image", f"one of {', '.join(images)}", "nothing", "name the column to read")
    if images:
        return Columns(label, images[0], ())
    others = tuple(name for name in features if name != label)
    if not others:
        raise fail(
            "features", "at least one column beside the label", f"none in {file}", "add a column of numbers or texts"
        )
    return Columns(label, None, others)


def _label(features: Mapping[str, Any], name: str, file: str) -> str:
    classes = [column for column, feature in features.items() if is_label(feature)]
    if name not in features and len(classes) == 1:
        return classes[0]
    require([name], "label", features, file)
    return name


def require(names: Iterable[str], argument: str, known: Iterable[str], file: str) -> None:
    """Require columns of a file."""
    there = list(known)
    for name in names:
        if name not in there:
            close = nearest(name, there)
            raise fail(
                argument,
                f"one of the columns of {file}: {', '.join(there)}",
                f"'{name}'",
                f"did you mean '{close}'?" if close else f"set {argument} to one of these names",
            )
