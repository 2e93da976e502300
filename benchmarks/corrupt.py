"""Corrupting the labels of 1.3 million examples of 1000 classes, compared with the loops of public code.

`python -m benchmarks.corrupt` prints the table.
"""

from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.meter import Call
from benchmarks.race import Place, race
from softtargets import noise
from softtargets.matrices import Transition

EXAMPLES, CLASSES, RATE = 1_300_000, 1000, 0.4
LEAST = 20.0  # goal: speed-up over a loop over classes
MOST_SECONDS = 0.05
LOOP_OVER_LABELS = "loop over labels"
PART = 100  # the loop over labels processes one label in PART, and its time is multiplied by PART


@dataclass(frozen=True)
class CorruptRow:
    """One contender under one kind of noise; `place.times_first` is its time relative to ours."""

    noise: str
    contender: str
    place: Place


def transitions(num_classes: int) -> dict[str, Transition]:
    """Return the transitions that are measured: closed form, sparse and dense."""
    dense = noise.random_transition(RATE, num_classes, generator=torch.Generator().manual_seed(1))
    return {
        "symmetric": noise.symmetric(RATE, num_classes),
        "pair flip": noise.pair_flip(RATE, num_classes),
        "dense": dense,
    }


def by_class(labels: np.ndarray, matrix: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Draw the noisy labels of each class in one call: the fastest loop over classes."""
    noisy = labels.copy()
    for label, row in enumerate(matrix):
        rows = np.where(labels == label)[0]
        noisy[rows] = draws.choice(len(row), size=len(rows), p=row)
    return noisy


def by_class_and_label(labels: np.ndarray, matrix: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Shuffle the rows of each class and process them one by one, as in ELR's code (from memory)."""
    noisy = labels.copy()
    for label, row in enumerate(matrix):
        rows = draws.permutation(np.where(labels == label)[0])
        flips = round((1 - row[label]) * len(rows))
        others = np.delete(np.arange(len(row)), label)
        shares = np.delete(row, label) / (1 - row[label])
        targets = draws.choice(others, size=flips, p=shares) if flips else ()
        for place, index in enumerate(rows):
            if place < flips:
                noisy[index] = targets[place]
    return noisy


def by_label(labels: np.ndarray, matrix: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Draw every label from its own multinomial, as in co-teaching's code (from memory)."""
    noisy = labels.copy()
    for index, label in enumerate(labels):
        noisy[index] = np.where(draws.multinomial(1, matrix[label], 1)[0] == 1)[0][0]
    return noisy


def measure(
    *, examples: int = EXAMPLES, num_classes: int = CLASSES, rounds: int = 5, warmup: int = 1
) -> list[CorruptRow]:
    """Measure every contender under every kind of noise, one call each per round, in random order."""
    labels = torch.randint(num_classes, (examples,), generator=torch.Generator().manual_seed(0))
    rows = []
    for name, transition in transitions(num_classes).items():
        places = race(_contenders(labels, transition), rounds=rounds, warmup=warmup, parts={LOOP_OVER_LABELS: PART})
        rows += [CorruptRow(name, contender, place) for contender, place in places.items()]
    return rows


def _contenders(labels: torch.Tensor, transition: Transition) -> dict[str, Call]:
    """Return the calls, ours first."""
    plain, matrix = labels.numpy(), transition.to_dense().numpy()
    ours, theirs = torch.Generator().manual_seed(2), np.random.default_rng(2)
    return {
        "softtargets": lambda: noise.corrupt(labels, transition, generator=ours),
        "softtargets, exact=False": lambda: noise.corrupt(labels, transition, exact=False, generator=ours),
        "loop over classes": lambda: by_class(plain, matrix, theirs),
        "loop over classes and labels": lambda: by_class_and_label(plain, matrix, theirs),
        LOOP_OVER_LABELS: lambda: by_label(plain[::PART], matrix, theirs),
    }


def table(rows: list[CorruptRow]) -> str:
    """Return the rows as a Markdown table, followed by the goals."""
    lines = ["| noise | contender | seconds | time ÷ ours |", "|---|---|---|---|"]
    for row in rows:
        place = row.place
        spread = f"{place.seconds:.3f} ({place.seconds_q1:.3f}–{place.seconds_q3:.3f})"
        lines.append(f"| {row.noise} | {row.contender} | {spread} | {place.times_first:.1f} |")
    goals = f"Goals: softtargets at most {MOST_SECONDS:g} s; a loop over classes at least {LEAST:g} times as long."
    scaled = f"The loop over labels processes one label in {PART}; its time is multiplied by {PART}."
    return "\n".join([*lines, "", f"n = {rows[0].place.rounds} rounds, median (quartiles). {goals} {scaled}"])


if __name__ == "__main__":
    print(table(measure()))
