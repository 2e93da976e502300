"""Folders given by the user."""

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
