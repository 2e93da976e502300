"""The benchmark problems: inputs and contenders of each, the reference first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks import contenders
from benchmarks.contenders import Contender, Loss

ROWS_TO_CHECK = 512


@dataclass(frozen=True)
class Problem:
    """The inputs of one loss, and the contenders that compute it.

    Args:
        case: key in CASES.
        shape: as printed in the table.
        inputs: leaf tensors that require gradients.
        logits: shape (N, C) of the logits; their buffer is the unit of memory.
        contenders: the first is the reference: ratios are relative to its time, and its float64 loss is the true value.
        small: the same problem with fewer rows, if the check of errors would take minutes on all rows.
        timed: whether time is measured in addition to memory.
    """

    case: str
    shape: str
    inputs: tuple[Tensor, ...]
    logits: tuple[int, int]
    contenders: tuple[Contender, ...]
    small: "Problem | None" = None
    timed: bool = True

    @property
    def dtype(self) -> torch.dtype:
        return self.inputs[0].dtype

    @property
    def device(self) -> torch.device:
        return self.inputs[0].device

    @property
    def buffer(self) -> int:
        """Size of the logits in bytes."""
        return self.logits[0] * self.logits[1] * self.dtype.itemsize


@dataclass(frozen=True)
class Setting:
    """The device, whether to use tiny shapes, and whether to time slow calls."""

    device: torch.device
    quick: bool = False
    long: bool = False


@dataclass(frozen=True)
class Case:
    """One table: its title, a description, and its problems, created one at a time."""

    title: str
    about: str
    problems: Callable[[Setting], Iterator[Problem]]


LARGE = ((65536, 10), (65536, 100), (8192, 1000), (2048, 32000), (512, 128000))
TINY = ((64, 10), (8, 100))


def smoothing(setting: Setting, shapes: Sequence[tuple[int, int]] = LARGE) -> Iterator[Problem]:
    for dtype in (torch.float32, torch.bfloat16):
        for rows, size in TINY if setting.quick else shapes:
            z, labels = _logits(rows, size, dtype, setting), _labels(rows, size, setting)
            goals = {"time": 0.4, "most": None if setting.quick else 0.25}
            ours, module = partial(contenders.smoothed_ours, labels), partial(contenders.smoothed_ours_module, labels)
            inplace = partial(ours, inplace=True)
            every = [
                Contender("torch cross_entropy", partial(contenders.smoothed, labels)),
                Contender("torch.compile of it", partial(contenders.smoothed_compiled, labels)),
                Contender("timm's formula", partial(contenders.smoothed_timm, labels)),
                Contender("dense soft targets", partial(contenders.smoothed_dense, labels)),
                Contender("Liger", partial(contenders.smoothed_liger, labels), overwrites=True),
                Contender("ours", ours, memory=1.05, **goals),
                Contender("ours as nn.CrossEntropyLoss", module, memory=1.05, **goals),
                Contender("ours in place", inplace, overwrites=True, memory=0.05, **goals),
                Contender("floor: copy_", partial(contenders.floor, z), learns=False),
                Contender("floor: copy_ into new memory", contenders.floor_anew, learns=False),
            ]
            if setting.quick:
                every = [contender for contender in every if "compile" not in contender.name]
            yield Problem("smoothing", f"{rows}×{size}", (z,), (rows, size), tuple(every))


def correction(setting: Setting, kind: str, usual: Callable[..., Loss], ours: Callable[..., Loss]) -> Iterator[Problem]:
    for rows, size in [(16, 10)] if setting.quick else [(8192, 100), (8192, 1000)]:
        z, labels = _logits(rows, size, torch.float32, setting), _labels(rows, size, setting)
        stays = torch.eye(size, dtype=torch.float64, device=setting.device)
        moves = torch.rand(size, size, dtype=torch.float64, device=setting.device, generator=_generator(setting))
        matrix = (0.7 * stays + 0.3 * moves / moves.sum(-1, keepdim=True)).float()
        both = (
            Contender("common implementation", partial(usual, labels, matrix)),
            Contender("ours", partial(ours, labels, matrix), time=0.25 if size >= 1000 else None),
        )
        yield Problem(f"{kind}-correction", f"{rows}×{size}", (z,), (rows, size), both)


def mixup(setting: Setting) -> Iterator[Problem]:
    for rows, size in [(16, 10)] if setting.quick else [(8192, 1000), (65536, 10)]:
        z, a = _logits(rows, size, torch.float32, setting), _labels(rows, size, setting)
        pair = (a, a.flip(0), 0.3)
        every = (
            Contender("dense mixing of one-hots", partial(contenders.mixed_dense, *pair)),
            Contender("two losses", partial(contenders.mixed_twice, *pair)),
            Contender("ours", partial(contenders.mixed_ours, *pair)),
        )
        yield Problem("mixup", f"{rows}×{size}", (z,), (rows, size), every)


def linear(setting: Setting) -> Iterator[Problem]:
    rows, width = (32, 8) if setting.quick else (4096, 512)
    for size in (40,) if setting.quick else (32000, 128000):
        for dtype in (torch.float32, torch.bfloat16):
            yield _linear(rows, width, size, dtype, setting)


def _linear(rows: int, width: int, size: int, dtype: torch.dtype, setting: Setting, *, whole: bool = True) -> Problem:
    generator = _generator(setting)
    hidden = torch.randn(rows, width, device=setting.device, generator=generator)
    weight = torch.randn(size, width, device=setting.device, generator=generator) * (2 / width**0.5)
    labels = _labels(rows, size, setting)
    # torch's chunked call takes most of a minute on a CPU
    heavy = size > 100_000 and setting.device.type == "cpu" and dtype == torch.bfloat16
    every = [
        Contender("linear, then cross_entropy", partial(contenders.linear_usual, labels)),
        Contender(
            "torch linear_cross_entropy, chunked, no smoothing",
            partial(contenders.linear_torch, labels),
            truth=contenders.linear_usual(labels, smoothing=0.0),
        ),
        Contender(
            "torch linear_cross_entropy, smoothed (unchunked)", partial(contenders.linear_torch_smoothed, labels)
        ),
        Contender("Liger fused", partial(contenders.linear_liger, labels)),
        Contender("ours", partial(contenders.linear_ours, labels), memory=0.2),
    ]
    return Problem(
        "linear",
        f"{rows}×{width}×{size}",
        (hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_()),
        (rows, size),
        tuple(every),
        small=_linear(ROWS_TO_CHECK, width, size, dtype, setting, whole=False) if whole and not setting.quick else None,
        timed=setting.long or not heavy,
    )


def _generator(setting: Setting) -> torch.Generator:
    return torch.Generator(setting.device).manual_seed(0)


def _logits(rows: int, size: int, dtype: torch.dtype, setting: Setting) -> Tensor:
    z = 3 * torch.randn(rows, size, device=setting.device, generator=_generator(setting))
    return z.to(dtype).requires_grad_()


def _labels(rows: int, size: int, setting: Setting) -> Tensor:
    return torch.randint(size, (rows,), device=setting.device, generator=_generator(setting))


CASES = {
    "smoothing": Case(
        "Label smoothing of 0.1",
        "Computes the mean loss of N×C logits and the gradient of the logits. Targets are built in every call.",
        smoothing,
    ),
    "forward-correction": Case(
        "Forward correction with a dense transition",
        "Common implementation: -log((softmax(z) @ T)[y]). T is created once and not timed.",
        partial(correction, kind="forward", usual=contenders.forward_usual, ours=contenders.forward_ours),
    ),
    "backward-correction": Case(
        "Backward correction with a dense transition",
        "Common implementation: (-log_softmax(z) @ inv(T).T)[y]. T and this inverse are computed once and not timed.",
        partial(correction, kind="backward", usual=contenders.backward_usual, ours=contenders.backward_ours),
    ),
    "mixup": Case(
        "Mixup of two labels",
        "Cross entropy with two labels mixed with weights 0.3 and 0.7. Targets are built in every call.",
        mixup,
    ),
    "linear": Case(
        "Linear layer and cross entropy with label smoothing of 0.1",
        "Computes the mean loss of N×H hidden states and C×H weights (shape N×H×C below) and both gradients. The "
        "gradients alone take H/N + H/C of the N×C logits' memory. torch's linear_cross_entropy does not use chunks if "
        "labels are smoothed, so it is also measured without smoothing. Errors are computed on the first 512 rows.",
        linear,
    ),
}
