"""The columns of a data set that are read, by their role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from softtargets._errors import fail, nearest
from softtargets.data.arrays.file import named_columns
from softtargets.data.spec import DataSpec


@dataclass(frozen=True)
class Columns:
    """The columns that are read: the labels or votes, and either an image column, a text column or features.

    Or without labels ("") the columns of texts that a network learns to write.

    Attributes:
        label: Of the labels; "" if there are votes.
        image: Of images.
        features: Of numbers.
        text: Of texts with labels.
        written: Of the sources and the targets of sentence pairs, or of the texts of a language model.
        struct: The column whose keys `written` are; None: they are columns.
        votes: Of the votes, one for each class or one of lists, or of the labels of annotators.
    """

    label: str
    image: str | None
    features: tuple[str, ...]
    text: str | None = None
    written: tuple[str, ...] = ()
    struct: str | None = None
    votes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All columns that are read from a table, the labels or votes first."""
        others = (*self.votes, self.text, *self.features, *((self.struct,) if self.struct else self.written))
        return [name for name in (self.label, *others) if name]

    def flat(self, table: pa.Table) -> pa.Table:
        """Return a table of the columns `names` with the keys of `struct` as columns."""
        if self.struct is None:
            return table
        keys = table.select([self.struct]).flatten()
        return pa.table({name: keys[f"{self.struct}.{name}"] for name in self.written})


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


def keys_of(feature: Any) -> tuple[str, ...]:
    """Return the keys of a column of translations, or of texts by name; none for another column."""
    if type(feature).__name__ == "Translation":
        return tuple(feature.languages)
    return tuple(feature) if isinstance(feature, dict) and not is_image(feature) else ()


def choose(features: Mapping[str, Any], spec: DataSpec, file: str, columns: Columns | None = None) -> Columns:
    """Choose the columns to read; `columns` are those of the first file, which later files must have too.

    Copies of a data set name their columns differently. So where the named column does not exist, the only column of
    images is taken, and the only column of class labels.

    Raises:
        InputError: a column that does not exist, or several image columns and none named.
    """
    if spec.target is not None:
        return written_columns(features, spec, file)
    if columns is not None:
        require([columns.label] if columns.label else [], "label", features, file)
        require(columns.votes, "annotators" if spec.annotators else "votes", features, file)
        require([columns.image] if columns.image else [], "image", features, file)
        require([columns.text] if columns.text else [], "text", features, file)
        require(columns.features, "features", features, file)
        return columns
    votes = vote_columns(features, spec, file)
    if not votes:
        return _inputs(features, spec, file, _label(features, spec.label, file))
    # a column of labels beside the votes is neither read nor a feature
    others = {name: feature for name, feature in features.items() if name not in (*votes, spec.label)}
    return replace(_inputs(others, spec, file, ""), votes=votes)


def vote_columns(features: Mapping[str, Any], spec: DataSpec, file: str) -> tuple[str, ...]:
    """Return the columns of the votes or the annotators; empty if the labels are classes, or votes in another file.

    Raises:
        InputError: a column that does not exist, or that is a feature too.
    """
    if spec.votes_file is not None or (spec.votes is None and spec.annotators is None):
        return ()
    if spec.annotators is not None:
        argument, found = "annotators", spec.annotators
        require(found, argument, features, file)
    else:
        assert spec.votes is not None
        argument, found = "votes", named_columns(tuple(features), spec.votes, file, "votes")
        if not found:
            require([name.strip() for name in spec.votes.split(",")], argument, features, file)
    shared = next((name for name in found if name in (spec.features or (spec.text, spec.image))), None)
    if shared is not None:
        raise fail(argument, "other columns than those of the inputs", f"'{shared}' in both", "remove one of the two")
    return found


def _inputs(features: Mapping[str, Any], spec: DataSpec, file: str, label: str) -> Columns:
    """Choose the columns of the inputs."""
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


def written_columns(features: Mapping[str, Any], spec: DataSpec, file: str, references: bool | None = True) -> Columns:
    """Choose the columns of sentence pairs or of a language model; or the keys of the only column that has any.

    Args:
        features: the columns of a file.
        spec: names the columns.
        file: name of the file in errors.
        references: whether targets are read beside sources. None: if there are any.
    """
    named = {role: name for role in ("source", "target") if (name := getattr(spec, role)) is not None}
    structs = [name for name, feature in features.items() if keys_of(feature)]
    struct = structs[0] if len(structs) == 1 and not any(name in features for name in named.values()) else None
    known = features if struct is None else keys_of(features[struct])
    if references is False or (references is None and named["target"] not in known):
        del named["target"]
    for role, name in named.items():
        require([name], role, known, file if struct is None else f"'{struct}' in {file}")
    return Columns("", None, (), written=tuple(named.values()), struct=struct)


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
