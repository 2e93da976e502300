"""The Triton kernels compiled to PTX, which needs no GPU; `test_native_triton.py` runs this file in a process."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets._native import on_cuda
from softtargets._native.row_targets import RowTargets
from softtargets._numerics import accumulating

# pyright: reportMissingImports=false

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "0", reason="needs TRITON_INTERPRET=0")

NAMES = {torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16", torch.float16: "fp16"}
NAMES |= {torch.int64: "i64", torch.uint8: "u8"}
FORMS = ("hard", "smoothed", "prior", "several", "table", "dense")


class _Recorded:
    """Takes the place of a kernel, and keeps the arguments of the launch."""

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return self._keep

    def _keep(self, *given: Any, **constants: Any) -> None:
        self.given, self.constants = given, constants


def _compiled(name: str, call: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capability: int) -> str:
    """Return the PTX of the kernel that a call launches."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from softtargets._native import triton_kernels

    kernel, recorded = getattr(triton_kernels, name), _Recorded()
    monkeypatch.setattr(triton_kernels, name, recorded)
    call()
    monkeypatch.undo()
    warps, fusion = recorded.constants.pop("num_warps"), recorded.constants.pop("enable_fp_fusion")
    values = dict(zip(kernel.arg_names, recorded.given, strict=False)) | recorded.constants
    signature, constants, attributes = {}, {}, {}
    for i, argument in enumerate(kernel.arg_names):
        value = values[argument]
        if isinstance(value, Tensor):
            signature[argument] = f"*{NAMES[value.dtype]}"
        elif argument in recorded.constants or value is None or (type(value) is int and value == 1 and argument != "N"):
            signature[argument], constants[(i,)] = "constexpr", value
        else:
            signature[argument] = "fp32" if isinstance(value, float) else "i32" if abs(value) < 2**31 else "i64"
        if isinstance(value, Tensor) or (type(value) is int and value % 16 == 0 and argument != "N"):
            attributes[(i,)] = [["tt.divisibility", 16]]
    attributes = {i: found for i, found in attributes.items() if i not in constants}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    options = {"num_warps": warps, "enable_fp_fusion": fusion}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["ptx"]


def _rows(form: str, count: int, size: int, wide: torch.dtype) -> RowTargets:
    index, some = torch.zeros(count, 1, dtype=torch.int64), torch.zeros(count, dtype=wide)
    valid, left_out = torch.ones(count, size, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
    match form:
        case "hard":
            return RowTargets(index=index)
        case "smoothed":
            return RowTargets(index=index, value=some[:, None], rest=some, left_out=left_out)
        case "prior":
            return RowTargets(index=index, value=some[:, None], rest=some, prior=torch.ones(size, dtype=wide))
        case "several":
            return RowTargets(
                index=index.expand(count, 3), value=some[:, None].expand(count, 3), rest=some, valid=valid
            )
        case "table":
            return RowTargets(weights=torch.ones(5, size, dtype=wide), row=index[:, 0], left_out=left_out)
        case _:
            return RowTargets(weights=torch.ones(count, size, dtype=wide), valid=valid[0])


@pytest.mark.parametrize(
    ("dtype", "size", "form"),
    [
        *((dtype, 32000, form) for dtype in on_cuda.DTYPES[:3] for form in FORMS),
        *(
            (dtype, size, form)
            for dtype in on_cuda.DTYPES[::2]
            for size in (10, 1000)
            for form in ("smoothed", "dense")
        ),
    ],
)
def test_the_kernel_compiles(dtype: torch.dtype, size: int, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    z, rows = torch.zeros(16, size, dtype=dtype), _rows(form, 16, size, accumulating(dtype))
    scale = torch.zeros(16, dtype=accumulating(dtype)) if form == "dense" else 0.5

    def call() -> None:
        on_cuda.cross_entropy_rows(z, rows, scale, z)

    ptx = _compiled("cross_entropy", call, monkeypatch, capability=90)
    if size % 8 == 0:  # logits are read, and gradients are written, in 16 bytes at a time
        vector = ".v2.b64" if dtype == torch.float64 else ".v4.b32"
        assert f"ld.global{vector}" in ptx
        assert f"st.global{vector}" in ptx
    if dtype == torch.bfloat16:  # rounded to the nearest, which the interpreter does not show
        assert "cvt.rn.bf16" in ptx


@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("gradient", [True, False])
def test_it_compiles_for_other_gpus_and_without_a_gradient(
    capability: int, gradient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = torch.zeros(2, 50, 16, dtype=torch.bfloat16).movedim(1, -1)
    several = torch.zeros(2, 16, 3, dtype=torch.int64)
    rows = RowTargets(index=several, value=several.float(), rest=torch.zeros(2, 16))

    def call() -> None:
        on_cuda.cross_entropy_rows(z, rows, 1.0, z if gradient else None)

    assert ".entry" in _compiled("cross_entropy", call, monkeypatch, capability)


@pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 10), (torch.bfloat16, 32000)])
@pytest.mark.parametrize("kind", ["labels", "left out", "none left out"])
def test_the_mean_compiles(dtype: torch.dtype, size: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    z, index = torch.zeros(16, size, dtype=dtype), torch.zeros(16, 1, dtype=torch.int64)
    given = on_cuda.LabelTargets(index, 0.9, 0.1, -100)
    rows = RowTargets(index=index, left_out=torch.zeros(16, dtype=torch.bool) if kind == "left out" else None)

    def call() -> None:
        on_cuda.cross_entropy_total(z, given if kind == "labels" else rows, True, 1.0, z)

    assert ".entry" in _compiled("cross_entropy", call, monkeypatch, capability=90)


@pytest.mark.parametrize("dtype", on_cuda.DTYPES, ids=str)
def test_the_scaling_of_rows_compiles(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    values, factor = torch.zeros(16, 32000, dtype=dtype), torch.ones(16, dtype=accumulating(dtype))
    for expected in (0.1, factor):
        ptx = _compiled(
            "scale_rows", lambda e=expected: on_cuda.scale_rows(values, factor, e), monkeypatch, capability=90
        )
        assert ".entry" in ptx
