"""Compiling the kernels: which compiler is used, what happens if it fails, and a library without OpenMP."""

import platform
import shutil
from pathlib import Path

import pytest
import torch
from kernels import use_kernels

from softtargets._native import build, library
from softtargets._native.cross_entropy import label_losses

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler")


def test_cc_names_the_compiler_and_may_have_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    there = shutil.which("sh")
    monkeypatch.setenv("CC", f"{there} -pthread")
    assert build.compiler() == [there, "-pthread"]


def test_without_a_compiler_nothing_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert build.build(tmp_path / "_kernels.so") is None
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.compiler() is None
    assert build.build(tmp_path / "_kernels.so") is None
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_fails_is_quoted_and_the_old_library_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken, output = tmp_path / "cc", tmp_path / "_kernels.so"
    broken.write_text("#!/bin/sh\necho 'math.h: No such file' >&2\nexit 1\n")
    broken.chmod(0o755)
    output.write_text("old")
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(RuntimeError, match=r"failed:\nmath.h: No such file"):
        build.build(output)
    assert output.read_text() == "old"


def test_other_processors_have_one_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    build.levels.cache_clear()
    try:
        assert build.levels() == {"base": ()}
    finally:
        build.levels.cache_clear()


def test_the_fingerprint_follows_every_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "kernels"
    shutil.copytree(build.SOURCES, copy)
    before = build.fingerprint()
    monkeypatch.setattr(build, "SOURCES", copy)
    assert build.fingerprint() == before
    for path in sorted(copy.iterdir()):
        path.write_text(path.read_text() + "\n")
        assert build.fingerprint() != before
        before = build.fingerprint()


@needs_compiler
def test_a_library_without_openmp_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_kernels(monkeypatch, "1")
    z = torch.randn(3000, 50, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(3000) % 50
    expected = label_losses(z, labels, 0.1, None, None)
    assert expected is not None
    monkeypatch.setattr(build, "LIBRARY", tmp_path / "_kernels.so")
    assert build.build(tmp_path / "_kernels.so", "-fno-openmp") is not None
    library.forget()
    assert library.status().endswith(", one thread)")
    found = label_losses(z, labels, 0.1, None, None)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)  # sanitizers compile with fewer optimisations
