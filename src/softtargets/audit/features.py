"""What a scikit-learn model is given: texts, columns, pixels, or vectors from a file or an encoder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import InputError, fail
from softtargets.audit.encoders import encode_texts
from softtargets.audit.request import AuditOptions, OnStage
from softtargets.data.arrays.file import ARGUMENT, ArrayFile, Wanted, joined
from softtargets.data.arrays.opening import open_arrays
from softtargets.data.dataset import Dataset
from softtargets.data.stream import StreamedImages

_BLOCK_ROWS = 4096


def examples_for(dataset: Dataset, options: AuditOptions, on_stage: OnStage) -> Any:
    """Return the training split as scikit-learn takes it.

    Returns:
        (N,) object array of texts; or (N, D) float: the columns of a table, pixels in [0, 1], or embeddings.

    Raises:
        InputError: embeddings that do not fit the data set; an encoder without texts; images that are streamed.
    """
    rows = dataset.splits["train"]
    if options.embeddings is not None:
        return read_embeddings(options.embeddings, len(rows)).numpy()
    if options.encoder is not None:
        if dataset.texts is None:
            remedy = "compute the vectors with a model of your own, and give them as embeddings"
            raise fail("encoder", "a data set of texts", f"'{dataset.name}'", remedy)
        return encode_texts(options.encoder, [dataset.texts[row] for row in rows.tolist()], on_stage)
    if dataset.texts is not None:
        return np.array([dataset.texts[row] for row in rows.tolist()], dtype=object)
    if isinstance(dataset.inputs, StreamedImages):
        remedy = "give embeddings of the images, or a network"
        raise fail("model", "a network for images that are streamed", f"'{options.model}'", remedy)
    if dataset.is_image:
        return dataset.inputs[rows].flatten(1).numpy().astype(np.float32) / 255
    return dataset.inputs[rows].numpy()


def shown_source(options: AuditOptions) -> str:
    """Return where the vectors come from, in words; empty text without any."""
    if options.embeddings is not None:
        return f" on embeddings from {Path(options.embeddings).name}"
    return "" if options.encoder is None else f" on embeddings by {options.encoder}"


def read_embeddings(text: str, num_rows: int) -> Tensor:
    """Read one vector for each row.

    Args:
        text: FILE or FILE:NAME: .npy, .npz, .safetensors, .parquet or .csv. The name of an array or of a column of
            lists can be left out if there is only one; columns of numbers are NAME_0, NAME_1, ... or, without a name,
            all columns.
        num_rows: N.

    Returns:
        (N, D) float32.

    Raises:
        InputError: no such file or array, another number of rows, or a value that is not finite (first bad row named).
    """
    whole = Path(text).expanduser()
    path, _, name = (str(whole), "", "") if whole.exists() else text.rpartition(":")
    try:
        file = open_arrays(Path(path or text))
        columns = _columns(file, name)
        vectors = joined([block for (block,) in file.blocks((Wanted(columns),), _BLOCK_ROWS)]).float()
    except InputError as error:
        first, colon, rest = str(error).partition(": ")
        raise InputError(f"{'embeddings' if first == ARGUMENT else first}{colon}{rest}") from None
    if vectors.ndim != 2 or len(vectors) != num_rows:
        required = f"shape ({num_rows}, D), one vector for each training row"
        raise fail(
            "embeddings", required, f"{tuple(vectors.shape)} in {file.path}", "write them in the order of the data"
        )
    place = first_bad(~torch.isfinite(vectors))
    if place is not None:
        got = f"{float(vectors[place])} in {file.path}, row {place[0]}"
        raise fail("embeddings", "finite numbers", got, "compute that vector again")
    return vectors


def _columns(file: ArrayFile, name: str) -> tuple[str, ...]:
    if not name and len(file.names) == 1:
        return tuple(file.names)
    if not name and file.is_table:
        return tuple(file.names)
    found = file.columns(name) if name else ()
    if not found:
        got = f"{', '.join(file.names) or 'none'} in {file.path}"
        required = f"an array named '{name}'" if name else "one array, or the name of one"
        raise fail("embeddings", required, got, "give it as FILE:NAME")
    return found
