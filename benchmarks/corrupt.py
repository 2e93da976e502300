"""``python -m benchmarks.corrupt``: corrupting 1.3 million labels of 1000 classes; writes to RESULTS.md.

It is compared with the loops of public code.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks import goals, machine, pages
from benchmarks.goals import Measured
from benchmarks.meter import Call
from benchmarks.race import Place, race
from softtargets import noise
from softtargets.matrices import Transition

EXAMPLES, CLASSES, RATE = 1_300_000, 1000, 0.4
LEAST = 20.0  # goal: speed-up over a loop over classes
OURS = "softtargets"
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
        OURS: lambda: noise.corrupt(labels, transition, generator=ours),
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
    loop = f"A loop over classes should take at least {LEAST:g} times as long."
    scaled = f"The loop over labels processes one label in {PART}; its time is multiplied by {PART}."
    return "\n".join([*lines, "", f"n = {rows[0].place.rounds} rounds, median (quartiles). {loop} {scaled}"])


def against(rows: list[CorruptRow]) -> list[Measured]:
    """Return our time under every kind of noise."""
    return [
        Measured("corrupt", row.noise, row.place.seconds, row.place.rounds) for row in rows if row.contender == OURS
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all contenders and write the section."""
    options = _parser().parse_args(arguments)
    described = machine.describe(torch.device("cpu"))
    rows = measure(examples=options.examples, num_classes=options.classes, rounds=options.rounds)
    measured = against(rows)
    lines = [
        f"# Corrupting {options.examples:,} labels of {options.classes:,} classes",
        "",
        *(f"- {name}: {value}" for name, value in described.items()),
        "",
        table(rows),
        "",
        goals.line(measured),
    ]
    pages.put(options.out, "corrupt", "\n".join(lines), measured, described)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corrupt", description=__doc__)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help=f"number of labels (default: {EXAMPLES:,})")
    parser.add_argument("--classes", type=int, default=CLASSES, help=f"number of classes (default: {CLASSES:,})")
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds (default: 9)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
