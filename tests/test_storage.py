"""Atomic writes, and reads of regular files of a limited size only."""

import hashlib
import os

import pytest

from softtargets._errors import InputError
from softtargets._storage import (
    UnfitFileError,
    checksum_file,
    open_regular,
    parse_json,
    read_regular,
    sync,
    user_path,
    write_atomically,
)


@pytest.mark.parametrize("beside", [None, ".part"])
def test_a_failed_write_leaves_the_former_file_and_no_other(tmp_path, monkeypatch, beside) -> None:
    path, part = tmp_path / "file", None if beside is None else tmp_path / beside
    write_atomically(path, b"former", beside=part)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"later", beside=part)
    assert path.read_bytes() == b"former"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_writer_left_is_overwritten(tmp_path) -> None:
    (tmp_path / ".part").write_bytes(b"half of something longer")
    write_atomically(tmp_path / "file", [b"a", b"bc"], beside=tmp_path / ".part")
    sync(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert checksum_file(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "device", tmp_path):
        for read in (open_regular, read_regular, checksum_file):
            with pytest.raises(UnfitFileError, match="not a regular file"):
                read(path)


def test_a_file_above_the_limit_is_refused_with_its_size(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", max_bytes=5) == b"12345"
    with pytest.raises(UnfitFileError, match="a file of 5 bytes; the limit is 4 bytes"):
        read_regular(tmp_path / "file", max_bytes=4)


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100 + "]" * 100, "1" * 5000, "{", '{"a": '])
def test_json_that_is_nested_too_deep_or_has_too_many_digits_is_a_value_error(text) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def test_an_integer_with_too_many_digits_is_named_without_advice_about_python() -> None:
    with pytest.raises(ValueError, match=r"^it holds an integer of more than 4,300 digits$"):
        parse_json('{"a": [' + "1" * 5000 + "]}")


def test_a_path_that_cannot_exist_is_bad_input(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("runs", "~/runs") == tmp_path / "runs"
    with pytest.raises(InputError, match=r"runs: .* too long; fix the path"):
        user_path("runs", "a" * 5000)
    with pytest.raises(InputError, match="runs: a path without null characters"):
        user_path("runs", "a\0b")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="a loop of symbolic links"):
        user_path("runs", tmp_path / "loop")
