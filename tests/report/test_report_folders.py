"""Folders given by the user."""

from pathlib import Path

import pytest

from softtargets._errors import InputError, InputTypeError
from softtargets.report.folders import read_folder


def test_a_leading_tilde_is_the_home_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_folder("output", "~/page") == tmp_path / "page"
    assert read_folder("output", Path("~/page")) == tmp_path / "page"


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("", InputError, "output: a path"),
        (3, InputTypeError, "output: a path"),
        (b"page", InputTypeError, "output: a path"),
        ("~nobody-of-this-name/page", InputError, "home folder exists"),
    ],
)
def test_what_is_no_path_is_refused(value, error, words) -> None:
    with pytest.raises(error, match=words):
        read_folder("output", value)


def test_a_file_on_the_way_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"output: the path of a folder; got the file '{tmp_path / 'file'}'"):
        read_folder("output", tmp_path / "file" / "page")
