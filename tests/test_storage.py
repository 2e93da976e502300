"""Files that are there whole or not at all."""

import hashlib
import os

import pytest

from softtargets._storage import checksum_file, sync, write_atomically


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
