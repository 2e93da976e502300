"""Finding the library: what cannot be used gives a warning and torch operations, never a crash."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from kernels import use_kernels

from softtargets import nn
from softtargets._errors import InputError
from softtargets._native import build, library, loading


def of_another_processor(content: bytes) -> bytes:
    machine = 62 if content[18] != 62 else 183  # the numbers of x86-64 and of 64-bit Arm
    return content[:18] + machine.to_bytes(2, "little") + content[20:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"garbage",
        lambda content: content[:40],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content.replace(b"sources_base", b"sources_bose"),
        of_another_processor,
    ],
    ids=["empty", "garbage", "header", "half", "one byte less", "without a function", "of another processor"],
)
def test_a_library_that_cannot_be_loaded_gives_torch_operations(
    damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_kernels(monkeypatch, "1")
    z, labels = torch.randn(20, 10), torch.arange(20) % 10
    expected = nn.CrossEntropyLoss()(z, labels)
    damaged = tmp_path / "_kernels.so"
    damaged.write_bytes(damage(build.LIBRARY.read_bytes()))
    monkeypatch.setattr(build, "LIBRARY", damaged)
    library.forget()
    with pytest.warns(UserWarning, match=r"^_kernels.so cannot be loaded \(.*\): torch operations are used"):
        found = nn.CrossEntropyLoss()(z, labels)
    torch.testing.assert_close(found, expected)
    assert library.status() == "torch operations (_kernels.so cannot be loaded)"


def test_an_outdated_library_gives_torch_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    monkeypatch.setattr(build, "fingerprint", lambda: "0" * 16)
    library.forget()
    with pytest.warns(UserWarning, match="older than its sources; run `make native`"):
        assert library.library() is None
    assert library.status() == "torch operations (_kernels.so is older than its sources; run `make native`)"


def test_without_a_library_torch_operations_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(loading.VARIABLE, "1")
    monkeypatch.setattr(build, "LIBRARY", tmp_path / "_kernels.so")
    library.forget()
    assert library.library() is None
    assert (
        library.status()
        == "torch operations (there is no _kernels.so; run `make native`, or install again with a working C compiler)"
    )


def test_an_instruction_set_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    if "v3" not in build.levels():
        pytest.skip("one instruction set")
    found = library.library()
    assert found is not None
    monkeypatch.setattr(loading, "_load", lambda path: (found.handle, 0, True))
    with pytest.raises(
        InputError, match=r"SOFTTARGETS_NATIVE: an instruction set of this processor \(base\); got 'v3'"
    ):
        use_kernels(monkeypatch, "v3")


def _run(script: str) -> str:
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_status_is_the_same_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels(monkeypatch, "1")
    script = "import sys\nfrom softtargets._native import loading\nprint(loading.find()[1], 'torch' in sys.modules)"
    assert _run(script) == f"{library.status()} False"


def test_importing_the_losses_does_not_load_the_library() -> None:
    script = (
        "import softtargets.losses\nfrom softtargets._native import loading\nprint(loading.find.cache_info().misses)"
    )
    assert _run(script) == "0"
