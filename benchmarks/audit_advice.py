"""``python -m benchmarks.audit_advice``: whether the paired check of `audit` is right; writes to RESULTS.md.

Protocol, written before any result but that of Banking77 with 4,000 rows, on which the probability from which labels
are left out was chosen (0.5 or 0.75):

1. Data: Banking77, 30 classes of CLINC150 and Fashion-MNIST (4,000 rows, 40 principal components) with their own test
   splits; digits, Breast Cancer and Wine of scikit-learn as tables, of which a third are test rows. Their own labels
   are taken as clean.
2. Labels of the training rows: clean; 15, 30 and 45 % symmetric flips; 30 % class-dependent flips. Three draws of
   flips and test rows for tables, two draws of flips for the others.
3. The check is run as the audit does by default. It recommends to leave labels out if the interval of its gain is
   above 0. The model is then fitted to all training rows, and to those that the audit would keep; the difference of
   the accuracies on the clean test rows is the true gain.
4. Goals: on clean labels, nothing is recommended. Where leaving out is recommended, the true gain is above 0 in at
   least 90 % of the cases.
"""

import argparse
import json
import math
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from benchmarks import machine, pages
from benchmarks.audit_cases import make_transition
from benchmarks.audit_pictures import decode
from softtargets import noise
from softtargets.audit import AuditOptions
from softtargets.audit.advice import SURE
from softtargets.audit.classical import Candidate, candidates_for, cross_validate_classical
from softtargets.audit.paired_check import check_dropping
from softtargets.audit.ranking import probability_wrong

CONDITIONS = (("clean", 0.0), *(("symmetric", rate) for rate in (0.15, 0.30, 0.45)), ("class-dependent", 0.30))
ROWS, COMPONENTS, CLASSES = 4000, 40, 30
COLUMNS = ("check", "low", "high", "left_out", "true_gain", "true_low", "true_high", "recommended", "seconds")


@dataclass(frozen=True, eq=False)
class Problem:
    """Training and test rows with clean labels, and the kind of data by which the audit chooses its models."""

    kind: str
    train: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def main() -> int:
    """Judge all cases and write the section."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit_advice", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument(
        "--cache", type=Path, required=True, help="file of the cases that were judged, one line for each"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    options = parser.parse_args()
    done = {}
    if options.cache.exists():
        lines = options.cache.read_text(encoding="utf-8").splitlines()
        done = {one["case"]: one for one in map(json.loads, lines)}
    for name, judge in _cases(options.data):
        if name not in done:
            done[name] = judge()
            with options.cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[name]) + "\n")
        print(_line(done[name]), flush=True)
    pages.put(options.out, "audit-advice", page(list(done.values()), machine.describe(torch.device("cpu"))))
    return 0


def _cases(folder: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    readers: dict[str, tuple[int, Callable[[int], Problem]]] = {
        "wine": (3, lambda seed: _table("wine", seed)),
        "breast-cancer": (3, lambda seed: _table("breast_cancer", seed)),
        "digits": (3, lambda seed: _table("digits", seed)),
        "fashion": (2, lambda seed: _pictures(folder)),
        "clinc30": (2, lambda seed: _texts(folder / "clinc150", CLASSES)),
        "banking77": (2, lambda seed: _texts(folder / "banking77", None)),
    }
    for data, (seeds, read) in readers.items():
        for seed in range(seeds):
            problem = lru_cache(1)(lambda read=read, seed=seed: read(seed))
            for kind, rate in CONDITIONS:
                name = f"{data}_{kind}_{round(100 * rate):02d}_{seed}"
                yield name, lambda name=name, problem=problem, kind=kind, rate=rate: _judge(name, problem(), kind, rate)


def _judge(name: str, problem: Problem, kind: str, rate: float) -> dict[str, Any]:
    start, seed = time.process_time(), zlib.crc32(name.encode())
    clean = torch.from_numpy(problem.labels)
    size = int(clean.max()) + 1
    given, generator = clean, torch.Generator().manual_seed(seed)
    if rate:
        transition = make_transition(kind, rate, size, generator)
        assert transition is not None
        given = noise.corrupt(clean, transition, exact=False, generator=generator).noisy_labels
    candidates = candidates_for(problem.kind, problem.train)
    held = cross_validate_classical(
        problem.train, given, size, candidates, AuditOptions(workers=1, seed=seed), lambda stage, done: None
    )
    assert held.refit is not None
    check = check_dropping(held.refit, held.probs, dropped_from=SURE)
    kept = probability_wrong(held.probs, given, seed) < SURE
    chosen = [one for one in candidates if one.describes in held.model.describes.partition(" (")[0]]
    right = [_right(chosen, problem, given.numpy(), rows) for rows in (np.ones(len(given), dtype=bool), kept.numpy())]
    difference = right[1] - right[0]
    half = 1.96 * difference.std() / len(difference) ** 0.5
    return {
        "case": name,
        "true_rate": float((given != clean).double().mean()),
        "check": check.gain.estimate,
        "low": check.gain.low,
        "high": check.gain.high,
        "recommended": check.helps,
        "left_out": float(1 - kept.double().mean()),
        "true_gain": float(difference.mean()),
        "true_low": float(difference.mean() - half),
        "true_high": float(difference.mean() + half),
        "seconds": time.process_time() - start,
    }


def _right(chosen: Sequence[Candidate], problem: Problem, given: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return whether each clean test label is predicted by the mean of models that are fitted to some rows."""
    probs = np.zeros((len(problem.test_labels), int(problem.labels.max()) + 1))
    for one in chosen:
        model: Any = clone(one.estimator)
        model.fit(problem.train[rows], given[rows])
        probs[:, model.classes_] += model.predict_proba(problem.test)
    return (probs.argmax(1) == problem.test_labels).astype(np.float64)


def _table(name: str, seed: int) -> Problem:
    from sklearn import datasets

    found: Any = getattr(datasets, f"load_{name}")()
    order = np.random.default_rng(seed).permutation(len(found.target))
    test, train = np.split(order, [len(order) // 3])
    values, labels = found.data.astype(np.float64), found.target.astype(np.int64)
    return Problem("tables", values[train], labels[train], values[test], labels[test])


def _texts(folder: Path, classes: int | None) -> Problem:
    from pyarrow.parquet import read_table

    parts = []
    for split in ("train", "test"):
        table = read_table(folder / f"{split}.parquet")
        texts, labels = np.array(table["text"].to_pylist(), dtype=object), table["label"].to_numpy().astype(np.int64)
        rows = labels < (classes or labels.max() + 1)
        parts += [texts[rows], labels[rows]]
    return Problem("texts", *parts)


def _pictures(folder: Path) -> Problem:
    from pyarrow.parquet import read_table
    from sklearn.decomposition import PCA

    parts = []
    for split in ("train", "test"):
        table = read_table(folder / "fashion-mnist" / f"{split}.parquet")
        rows = np.sort(np.random.default_rng(0).permutation(len(table))[:ROWS])
        pixels = decode(table["image"], rows).reshape(len(rows), -1)
        parts += [pixels, table["label"].to_numpy()[rows].astype(np.int64)]
    reduced = PCA(COMPONENTS, random_state=0).fit(parts[0])
    return Problem("embeddings", reduced.transform(parts[0]), parts[1], reduced.transform(parts[2]), parts[3])


def page(judged: list[dict[str, Any]], described: dict[str, str]) -> str:
    """Return the goals and all cases as Markdown."""
    clean = [one for one in judged if one["true_rate"] == 0]
    noisy = [one for one in judged if one["true_rate"] > 0]
    advised = [one for one in judged if one["recommended"]]
    rises = sum(one["true_gain"] > 0 for one in advised)
    helps = [one["recommended"] for one in noisy if one["true_low"] > 0]
    wrongly = sum(one["recommended"] for one in clean)
    share = rises / len(advised) if advised else math.nan
    rows = (
        ("leaving out is recommended on clean labels", "0", wrongly, clean, _verdict(wrongly == 0)),
        ("where it is recommended, the true gain is above 0", "90%", rises, advised, _verdict(share >= 0.9)),
        ("it is recommended where the interval of the true gain is above 0", "–", sum(helps), helps, "–"),
    )
    lines = ["# Advice of an audit: the paired check where the truth is known", ""]
    lines += [f"- {key}: {value}" for key, value in described.items()]
    lines += [
        f"- {len(judged)} cases; the protocol stands at the head of `benchmarks/audit_advice.py`",
        "",
        "| quantity | required | measured | verdict |",
        "|---|---:|---:|---|",
        *(f"| {what} | {goal} | {count} of {len(some)} | {verdict} |" for what, goal, count, some, verdict in rows),
        "",
        "`check`, `low` and `high`: the gain that the check finds on given labels, in points. `true_gain`: on clean "
        "test labels, without what the audit leaves out of all training rows. `seconds`: processor time.",
        "",
        f"| case | {' | '.join(COLUMNS)} |",
        f"|---|{'---:|' * len(COLUMNS)}",
        *map(_line, judged),
    ]
    return "\n".join(lines)


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _line(one: dict[str, Any]) -> str:
    return f"| {one['case']} | {' | '.join(_cell(name, one[name]) for name in COLUMNS)} |"


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.0f}" if name == "seconds" else f"{100 * value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
