"""Vectors of texts by a pretrained encoder of transformers or sentence-transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softtargets import _packages
from softtargets._errors import fail
from softtargets._storage import parse_json
from softtargets.audit.request import OnStage

_BATCH = 32
# Longer texts are cut; the position embeddings of most encoders end at 512.
_MOST_TOKENS = 256
_POOLING = "1_Pooling/config.json"
_REQUIRED = "an encoder of transformers or sentence-transformers: a folder, or a name on the Hugging Face Hub"


def encode_texts(name: str, texts: Sequence[str], on_stage: OnStage) -> np.ndarray:
    """Return one vector of length 1 for each text.

    The vectors are pooled as the folder's ``1_Pooling/config.json`` says, which models of sentence-transformers have:
    the vector of the first token, or the mean over the tokens. Without that file it is the mean.

    Args:
        name: a folder, or a name on the Hub. What is in the Hub's cache is used without a network connection.
        texts: N texts.
        on_stage: called with the progress.

    Returns:
        (N, D) float32.

    Raises:
        InputError: transformers is not installed, or there is no such encoder, or the Hub cannot be reached.
    """
    tokenizer, network, first_token = _load(name)
    # similar lengths share a batch, since short texts are padded to the longest
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    vectors: list[Tensor] = []
    network.eval()
    for start in range(0, len(order), _BATCH):
        on_stage(f"encoding {len(texts):,} texts with {name}", start / len(order))
        some = [texts[row] for row in order[start : start + _BATCH]]
        most = min(_MOST_TOKENS, tokenizer.model_max_length)
        tokens = tokenizer(some, padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            states = network(**tokens).last_hidden_state.float()
        mask = tokens["attention_mask"][:, :, None]
        pooled = states[:, 0] if first_token else (states * mask).sum(1) / mask.sum(1)
        vectors.append(torch.nn.functional.normalize(pooled, dim=1))
    found = torch.cat(vectors)
    return found[torch.tensor(order).argsort()].numpy()


def _load(name: str) -> tuple[Any, Any, bool]:
    try:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.hub import cached_file
    except ModuleNotFoundError as error:
        raise _packages.missing("transformers", "encoder", "softtargets[transformers]") from error
    path = Path(name).expanduser()
    place = str(path) if path.is_dir() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
        # weights without pickle
        network = AutoModel.from_pretrained(place, use_safetensors=True, dtype=torch.float32)
        pooling = cached_file(place, _POOLING, _raise_exceptions_for_missing_entries=False)
    except Exception as error:  # the readers raise errors of many types
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        remedy = "give the path of a folder with config.json, a tokenizer and .safetensors; names need a network once"
        raise fail("encoder", _REQUIRED, f"'{name}' ({reason})", remedy) from error
    settings = {} if pooling is None else parse_json(Path(pooling).read_text(encoding="utf-8"))
    return tokenizer, network, bool(isinstance(settings, dict) and settings.get("pooling_mode_cls_token"))
