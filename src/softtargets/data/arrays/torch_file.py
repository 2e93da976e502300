"""Tensors in .pt files. Only tensors are loaded; other objects are refused and never executed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, Wanted, spans


class TorchFile(ArrayFile):
    """A file of `torch.save`: a dictionary of tensors by name, or one tensor, whose name is that of the file."""

    def __init__(self, path: Path) -> None:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if isinstance(content, Tensor):
            content = {path.stem: content}
        if not isinstance(content, dict) or not content:
            got = f"a {type(content).__name__} in {path}"
            raise fail(
                ARGUMENT, "a dictionary of tensors, or one tensor", got, "save {'probs': probs, 'labels': labels}"
            )
        self._tensors = {name: value for name, value in content.items() if isinstance(name, str)}
        super().__init__(path, self._tensors)

    def shape(self, wanted: Wanted) -> tuple[int | None, ...]:
        return tuple(self._tensor(wanted).shape)

    def blocks(self, wanted: Sequence[Wanted], rows: int) -> Iterator[tuple[Tensor, ...]]:
        axes = wanted[0].axes
        tensors = [self._tensor(array) for array in wanted]
        for span in spans(tuple(tensors[0].shape[:axes]), rows):
            yield tuple(tensor[span].reshape(-1, *tensor.shape[axes:]) for tensor in tensors)

    def mapped(self, wanted: Wanted) -> Tensor | None:
        return self._tensor(wanted)

    def _tensor(self, wanted: Wanted) -> Tensor:
        found = self._tensors[wanted.columns[0]]
        if not isinstance(found, Tensor) or found.is_complex() or found.layout != torch.strided:
            got = f"{found.dtype if isinstance(found, Tensor) else type(found).__name__} as '{wanted.columns[0]}'"
            raise fail(ARGUMENT, "a dense tensor of numbers", f"{got} in {self.path}", "save class indices and numbers")
        return found.detach()
