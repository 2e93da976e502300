"""Plausible misuse of an argument, by its kind, for the tables of the rooms."""

from typing import Any

import numpy as np
import torch

N, K = 4, 3

# What a user may pass by mistake for an argument of each kind. Each has to be refused by an error of the package.
MISUSE: dict[str, dict[str, Any]] = {
    "scores": {
        "a list": [[0.2, 0.3, 0.5]] * N,
        "an array": np.full((N, K), 1 / K),
        "None": None,
        "text": "logits",
        "labels": torch.tensor([0, 1, 2, 0]),
        "complex": torch.full((N, K), 1 / K, dtype=torch.complex64),
        "0-d": torch.tensor(0.5),
        "one class": torch.ones(N, 1),
    },
    "labels": {
        "a list": [0, 1, 2, 0],
        "an array": np.array([0, 1, 2, 0]),
        "None": None,
        "text": "labels",
        "floats": torch.tensor([0.0, 1.0, 2.0, 0.0]),
        "a column": torch.tensor([[0], [1], [2], [0]]),
        "too large": torch.tensor([0, 1, K, 0]),
        "negative": torch.tensor([0, 1, -1, 0]),
        "0-d": torch.tensor(1),
        "too few": torch.tensor([0, 1]),
        "complex": torch.zeros(N, dtype=torch.complex64),
    },
    "number": {
        "text": "0.5",
        "a list": [0.5],
        "nan": float("nan"),
        "a column": torch.full((N, 1), 0.5),
        "negative": -1.0,
        "an array": np.full(N, 0.5),
        "True": True,
    },
    "count": {"text": "2", "a half": 1.5, "0": 0, "negative": -3, "a tensor": torch.ones(N), "True": True},
    "class_dim": {"text": "1", "a float": 1.0, "None": None, "too large": 7, "too small": -9, "True": True},
    "mask": {
        "a list": [True] * N,
        "an array": np.ones(N, dtype=bool),
        "numbers": torch.ones(N),
        "a column": torch.ones(N, 1, dtype=torch.bool),
        "too few": torch.ones(2, dtype=torch.bool),
    },
    "generator": {"a seed": 0, "text": "cpu", "a random state": np.random.default_rng(0)},
    "choice": {"unknown": "avg", "None": None, "a number": 3},
}


def cases(table: dict[str, tuple[Any, dict[str, Any], dict[str, str]]]) -> list[tuple[str, Any, dict[str, Any]]]:
    """Return the calls with one argument misused each.

    Args:
        table: name -> the function, valid arguments, and the kind of each argument that is misused. A kind may exclude
            mistakes that the argument allows, as in "labels, but not: 0-d, too few".
    """
    found = []
    for name, (function, valid, kinds) in table.items():
        for argument, kind in kinds.items():
            kind, _, allowed = kind.partition(", but not: ")
            for mistake, value in MISUSE[kind].items():
                if mistake not in allowed.split(", "):
                    found.append((f"{name}, {argument}: {mistake}", function, {**valid, argument: value}))
    return found
