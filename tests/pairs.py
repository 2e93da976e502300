"""Synthetic sentence pairs that a small network learns in seconds: each word has one translation."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

WORDS = {"rot": "red", "blau": "blue", "hund": "dog", "katze": "cat", "haus": "house", "baum": "tree", "und": "and"}
DATA: dict[str, Any] = {"source": "de", "target": "en", "tokenizer": {"name": "bpe", "vocabulary": 300}}
MODEL: dict[str, Any] = {"name": "marian", "layers": 1, "width": 32, "heads": 2, "feedforward": 64, "positions": 32}
TRAINING: dict[str, Any] = {"epochs": 2, "batch_tokens": 120, "precision": "float32", "threads": 1}


def write_pairs(folder: Path, *, train: int = 60, validation: int = 20, test: int = 20) -> Path:
    """Write sentences of one to four words and their translations, as the hub's translation data sets are."""
    draws = random.Random(0)
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        rows = [draws.sample(list(WORDS), draws.randint(1, 4)) for _ in range(count)]
        pairs = [{"de": " ".join(row), "en": " ".join(WORDS[word] for word in row)} for row in rows]
        pq.write_table(pa.table({"translation": pairs}), folder / f"{split}.parquet")
    return folder


def translation(folder: Path, **settings: Any) -> dict[str, Any]:
    """Return the specification of a small run on pairs in a folder; tables are merged with the defaults."""
    defaults = {
        "data": {"name": str(folder), **DATA},
        "model": MODEL,
        "optimizer": {"name": "adam", "learning_rate": 0.005},
        "training": TRAINING,
    }
    return {**defaults, **{key: {**defaults.get(key, {}), **table} for key, table in settings.items()}}
