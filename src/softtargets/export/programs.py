"""Classifiers as programs that run without this package: torch.export and ONNX."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets import _packages
from softtargets._errors import fail
from softtargets._storage import user_path
from softtargets.data.tokens import TokenShape
from softtargets.train import Classifier

# Sizes of the batches on which a program is compared with the module that it was exported from.
BATCHES = (1, 2, 7)
OUTPUT = "probs"


def save_program(classifier: Classifier, path: Path | str) -> Callable[..., Tensor]:
    """Save a classifier as a program of :func:`torch.export.export`, which :func:`torch.export.load` reads.

    Its inputs are those of :meth:`Classifier.forward`, with any number of rows, and its output is their probabilities.
    The file also holds `class_names.json`, an extra file of :func:`torch.export.load`.

    Args:
        classifier: with its calibrator.
        path: of the file; an existing file is replaced.

    Returns:
        The program.

    Raises:
        InputError: if the network cannot be exported.
        OSError: if the file cannot be written.
    """
    place, program = user_path("path", path), _exported(classifier)
    part = place.with_name(f".{place.name}.part.pt2")
    torch.export.save(program, part, extra_files={"class_names.json": json.dumps(classifier.class_names)})
    part.replace(place)
    return program.module()


def save_onnx(classifier: Classifier, path: Path | str) -> Callable[..., Tensor]:
    """Save a classifier as an ONNX program.

    Its inputs are those of :meth:`Classifier.forward`, with any number of rows, by the names `inputs`, or `ids` and
    `mask` for tokens; the sizes that vary are called `rows` and `length`. Its output `probs` are their probabilities.
    The names of the classes are in the metadata, as JSON under `class_names`.

    Args:
        classifier: with its calibrator.
        path: of the file; an existing file is replaced.

    Returns:
        A function that runs the file with onnxruntime.

    Raises:
        InputError: if the network cannot be exported.
        ModuleNotFoundError: if onnx, onnxscript or onnxruntime is not installed.
        OSError: if the file cannot be written.
    """
    runtime = _imported("onnxruntime")
    for needed in ("onnx", "onnxscript"):
        _imported(needed)
    place, names = user_path("path", path), input_names(classifier)
    program = _exported(classifier)
    with _quiet(), torch.no_grad():
        try:
            made: Any = torch.onnx.export(program, dynamo=True, verbose=False, input_names=names, output_names=[OUTPUT])
        except torch.onnx.errors.OnnxExporterError as error:
            raise _refused(error) from error
    # the exporter numbers the sizes that vary
    sizes = (dict(zip(value.shape, ("rows", "length"), strict=False)) for value in made.model.graph.inputs)
    made.rename_axes({size: name for one in sizes for size, name in one.items() if not isinstance(size, int)})
    made.model.metadata_props["class_names"] = json.dumps(classifier.class_names)
    part = place.with_name(f".{place.name}.part")
    made.save(str(part))
    part.replace(place)
    session = runtime.InferenceSession(str(place), providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> Tensor:
        given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run([OUTPUT], given)[0])

    return run


def input_names(classifier: Classifier) -> list[str]:
    """Return the names of the inputs of an exported classifier."""
    return ["ids", "mask"] if isinstance(classifier.input_shape, TokenShape) else ["inputs"]


def difference(program: Callable[..., Tensor], classifier: Classifier) -> float:
    """Return the largest difference of a probability between a program and its classifier, on drawn inputs.

    The inputs are random bytes, or numbers with the mean and the standard deviation of the training data, or ids, in
    batches of the sizes `BATCHES`.
    """
    worst = 0.0
    with torch.no_grad():
        for rows in BATCHES:
            inputs = drawn_inputs(classifier, rows)
            worst = max(worst, float((program(*inputs) - classifier(*inputs)).abs().max()))
    return worst


def drawn_inputs(classifier: Classifier, rows: int) -> tuple[Tensor, ...]:
    """Return random inputs of :meth:`Classifier.forward`, the same in every call."""
    generator = torch.Generator().manual_seed(rows)
    example, like = classifier.example(rows), classifier.preprocessing
    if isinstance(classifier.input_shape, TokenShape):
        high = classifier.input_shape.vocabulary
        return torch.randint(0, high, example[0].shape, generator=generator), example[1]
    if like.kind == "table":
        return (torch.randn(example[0].shape, generator=generator, dtype=torch.float64) * like.std + like.mean,)
    most = 256 if like.kind == "images" else 3
    return (torch.randint(0, most, example[0].shape, generator=generator).to(torch.uint8),)


def _exported(classifier: Classifier) -> torch.export.ExportedProgram:
    # a copy in the usual order in memory: the file of a program has no other
    classifier = deepcopy(classifier).eval()
    for tensor in (*classifier.parameters(), *classifier.buffers()):
        tensor.data = tensor.data.contiguous()
    example = classifier.example()
    rows = torch.export.Dim("rows")
    sizes: list[dict[int, Any]] = [{0: rows} for _ in example]
    if len(example) == 2:
        # tokens: the length of the longest row of a batch varies too
        length = torch.export.Dim("length", max=classifier.input_shape[0])
        sizes = [{0: rows, 1: length} for _ in example]
    try:
        with torch.no_grad():
            return torch.export.export(classifier, example, dynamic_shapes=(tuple(sizes),))
    except Exception as error:  # of the exporter or of a network that others define: any class of error
        raise _refused(error) from error


def _refused(error: Exception) -> Exception:
    reason = " ".join(str(error).split())[:300]
    remedy = "export it packed, or use another network"
    return fail("run", "a network that torch can export", f"{type(error).__name__}: {reason}", remedy)


def _imported(name: str) -> Any:
    return _packages.load(name, "export to ONNX", "softtargets[export]")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter says of its own use of torch, and of torchvision, which is not needed."""
    logger = logging.getLogger("torch.onnx._internal.exporter")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
