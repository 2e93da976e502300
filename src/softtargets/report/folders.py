"""Files and folders given by the user."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softtargets._errors import fail, fail_type
from softtargets._storage import user_path


def read_folder(argument: str, value: Any) -> Path:
    """Return the path of a folder that exists or can be made, with a leading ``~`` expanded.

    Raises:
        InputError: the path leads through a file, or its user is unknown.
        InputTypeError: not text and not a path.
    """
    folder = read_path(argument, value)
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise fail(argument, "the path of a folder", f"the file '{place}'", "choose another path")
    return folder


def read_path(argument: str, value: Any) -> Path:
    """Return a path with a leading ``~`` expanded.

    Raises:
        InputError: empty text, an unknown user after ``~``, or a path that the file system refuses.
        InputTypeError: not text and not a path.
    """
    if not isinstance(value, str | Path):
        raise fail_type(argument, "a path, as text or pathlib.Path", type(value).__name__, "give the path")
    if not str(value):
        raise fail(argument, "a path", "empty text", "give the path")
    return user_path(argument, value)


def read_paths(argument: str, value: Any) -> tuple[str | Path, ...]:
    """Return one or several paths as they were given.

    Raises:
        InputError: an empty sequence.
        InputTypeError: not a path and not a sequence of paths.
    """
    if isinstance(value, str | Path):
        return (value,)
    if hasattr(value, "__array__"):
        remedy = "pass arrays of predictions as probs= or logits="
        raise fail_type(argument, "paths of files", type(value).__name__, remedy)
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise fail_type(argument, "a path or a list of paths", type(value).__name__, "give the paths of the files")
    wrong = next((one for one in value if not isinstance(one, str | Path)), None)
    if wrong is not None:
        raise fail_type(argument, "a list of paths", f"a {type(wrong).__name__} in it", "give the paths of the files")
    if not value:
        raise fail(argument, "at least one path", "none", "give the paths of the files")
    return tuple(value)
