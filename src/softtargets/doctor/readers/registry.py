"""Readers of configurations, by the name of their library."""

import importlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from softtargets._errors import fail, fail_type, shortened, unknown
from softtargets._storage import MAX_DEPTH, UnfitFileError, check_depth, parse_json, read_regular, user_path
from softtargets.doctor.criterion import Criterion

# A configuration has kilobytes.
LONGEST_FILE = 2**20
READERS: dict[str, type["Reader"]] = {}
AnyReader = TypeVar("AnyReader", bound="type[Reader]")


class Reader(ABC):
    """Reads the loss that a configuration of one library selects.

    Args:
        version: of the library.
    """

    library: ClassVar[str]
    # name of the distribution, and the version that the tests compare with
    package: ClassVar[str]
    checked: ClassVar[str]
    # of a snippet, for messages
    example: ClassVar[str]

    def __init__(self, version: str) -> None:
        self.version = version

    @property
    def option(self) -> str:
        """The option of the command line that takes the snippet."""
        return f"--{self.library}"

    def is_in(self, versions: str) -> bool:
        """Return whether the library's version is among the given ones, such as ">=5.0,<5.15"."""
        return is_in(self.version, versions)

    @abstractmethod
    def read(self, snippet: str | Path | Mapping[str, Any], num_classes: int | None) -> Criterion:
        """Return what the configured loss computes.

        Raises:
            InputError: if the snippet cannot be read, or names an unknown option or a value out of range.
        """


class TextReader(Reader):
    """A reader of text alone."""

    def read(self, snippet: str | Path | Mapping[str, Any], num_classes: int | None) -> Criterion:
        if not isinstance(snippet, str):
            raise fail_type("snippet", "text", type(snippet).__name__, f"write it as {self.example}")
        return self.read_text(snippet, num_classes)

    @abstractmethod
    def read_text(self, text: str, num_classes: int | None) -> Criterion:
        """Return what the configured loss computes."""


def reader(library: str, *, package: str, checked: str) -> Callable[[AnyReader], AnyReader]:
    """Return a class decorator that registers a reader.

    Args:
        library: its name, which is also the option of the command line.
        package: name of the distribution.
        checked: version that the tests compare with.
    """

    def add(cls: AnyReader) -> AnyReader:
        cls.library, cls.package, cls.checked = library, package, checked
        READERS[library] = cls
        return cls

    return add


def reader_of(library: str, version: str | None) -> Reader:
    """Return the reader of a library, for the given version, or else the installed one, or else the checked one."""
    if library not in READERS:
        raise unknown("library", str(library), READERS)
    cls = READERS[library]
    return cls(_version(cls, version))


def _version(cls: type[Reader], given: str | None) -> str:
    if given is None:
        try:
            return Version(importlib.metadata.version(cls.package)).public
        except importlib.metadata.PackageNotFoundError:
            return cls.checked
    try:
        return Version(given).public
    except (InvalidVersion, TypeError):
        got = f"'{shortened(str(given))}'"
        raise fail(
            "version (--library-version)", f"a version of {cls.package}", got, f"write it as {cls.checked}"
        ) from None


def is_in(version: str, versions: str) -> bool:
    """Return whether a version is among others, such as ">=5.0,<5.15"; every version is in ""."""
    return SpecifierSet(versions).contains(version, prereleases=True)


def read_mapping(argument: str, given: str | Path | Mapping[str, Any], parse: Callable[[bytes], Any]) -> dict[str, Any]:
    """Return a mapping from option to value, given as such or as a file.

    Raises:
        InputError: if the file cannot be read or does not hold one mapping.
    """
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    if not isinstance(given, str | Path):
        raise fail_type("snippet", "a path or a mapping", type(given).__name__, "give the path of the file")
    if isinstance(given, str) and given.lstrip().startswith("{"):
        return _mapping(argument, shortened(" ".join(given.split())), lambda: parse(given.encode("utf-8", "replace")))
    path = user_path(argument, given)
    return _mapping(argument, path, lambda: parse(read_regular(path, max_bytes=LONGEST_FILE)))


def _mapping(argument: str, path: object, load: Callable[[], Any]) -> dict[str, Any]:
    try:
        content = load()
        check_depth(content)
    except FileNotFoundError:
        raise fail(argument, "an existing file", f"'{path}'", "give the path of an existing file") from None
    except (UnfitFileError, ValueError, RecursionError) as error:
        text = f"'{path}': {shortened(' '.join(str(error).split()), 200)}"
        raise fail(argument, "a file with options and their values", text, "fix the file") from None
    if not isinstance(content, dict):
        got = f"'{path}' with {type(content).__name__}"
        raise fail(argument, "a file with options and their values", got, "write one option in each line")
    return {str(key): value for key, value in content.items()}


def read_json(content: bytes) -> Any:
    """Parse JSON."""
    return parse_json(content)


def read_yaml(content: bytes) -> Any:
    """Parse YAML without creating objects.

    Raises:
        ValueError: if it is not valid YAML.
    """
    yaml = importlib.import_module("yaml")
    try:
        _check_tokens(type(token).__name__ for token in yaml.scan(content))
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _check_tokens(names: Iterable[str]) -> None:
    """Require YAML without aliases, a few lines of which can stand for gigabytes, and of a few levels."""
    depth = 0
    for name in names:
        if name == "AliasToken":
            raise ValueError("it has an alias (*name); write the value itself")
        if name.endswith("StartToken") and name.startswith(("Flow", "Block")):
            depth += 1
        elif name.endswith("EndToken") and name.startswith(("Flow", "Block")):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
