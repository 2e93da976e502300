"""``python -m benchmarks.audit``: judges the estimates of `audit` where the truth is known.

Protocol, written before any result was computed:

1. Cases. Fifteen data sets of ten sources (:data:`benchmarks.audit_cases.SETS`), at most 3,000 rows each, chosen by a
   fixed seed. Each has its own labels, which are taken as clean, and 5, 15, 30 and 45 % symmetric, pair and
   class-dependent flips, drawn with seeds derived from the names by :func:`softtargets.noise.corrupt`. Class-dependent
   transitions are drawn by :func:`softtargets.noise.random_transition`, again until the right label of each class is
   more frequent than any other by 0.05; a rate for which 2,000 draws fail is left out, and so are pair flips of two
   classes, which are symmetric flips. CIFAR-10 also has three label columns of CIFAR-10N. Each of these is predicted
   by a weak, a medium and a strong model, in 5-fold cross-validation on the observed labels.
2. Halves. Sources are ordered by a hash of their name and assigned alternately to development and confirmation, so
   that no source is in both. All choices are made on the development half. The confirmation half is judged once.
3. Contender. cleanlab, on the same probabilities: `num_label_issues`, and `find_label_issues` with its defaults.
4. A model is called strong in the table by the name of its recipe, not by its accuracy.
5. Goals, for each case where they are defined:
   - range: contains the true rate (>= 90 % of cases); its width, where the model is strong (median <= 8 points).
   - point: |estimate - truth| below that of `num_label_issues` (>= 80 %). Ties within 0.0005 count as met.
   - probability: calibration error of the probability wrong over all rows, 10 bins of equal width (<= 0.05); of the
     100 labels that rank first, the expected minus the true number within 10 (>= 90 %).
   - suspects: F1 above that of `find_label_issues` (>= 80 %), and never below by more than 0.02. Only where labels are
     wrong.
   - ranking: AUROC of the default score within 0.005 of the best of all scores of the predictions (>= 90 %).
   - advice: no correction on clean data. Where a correction is recommended, the accuracy on the clean labels of a model
     that is trained with it exceeds that of a model trained without it (>= 90 %).
6. Remarks. The original labels of some sets contain errors. They count as clean, which is against us where they are
   found. Clean data sets are cases like all others.
7. Deviations. CLINC150 with all 150 classes was stopped for lack of computing time after the pair flips of 45 % with
   the medium model, in the order of the cases. The texts of "language" were first cut wrongly, which no model could
   read; this was repaired before any case of the confirmation half was judged. Banking77 was judged in the development
   half, but its probabilities came too late for any choice.
8. After the confirmation half had been judged, one rule was added: if the predictions contradict more than half of the
   labels, the lower end is 0 and the rate is not told, as in `find_label_issues`. The sections show the numbers without
   this rule. With it, the range contains the true rate in 96 % and 90 % of the cases of the two halves, and in 87 of 93
   and 71 of 84 cases in which the rate is told; no correction is recommended on clean data.
"""

import argparse
import json
import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import audit_cases, machine, pages
from benchmarks.audit_cases import Case
from softtargets import noise
from softtargets.audit import audit_labels
from softtargets.metrics import auroc

WORKER = Path(__file__).with_name("audit_worker.py")
TOP, CLOSE, NEAR, ALIKE = 100, 10, 0.005, 0.0005
CORRECTIONS = ("compare corrections",)
# name -> required, what is measured, share of the cases that must reach it
GOALS = {
    "range": (0.9, "range contains the true rate"),
    "point": (0.8, "error of the point estimate smaller than that of `num_label_issues`"),
    "calibration": (0.9, "calibration error of the probability wrong at most .05"),
    "first": (0.9, "of the first 100, expected minus true within 10"),
    "f1": (0.8, "F1 of the suspects above that of `find_label_issues`"),
    "f1_below": (1.0, "F1 not below that of `find_label_issues` by more than .02"),
    "ranking": (0.9, "AUROC of the default score within .005 of the best"),
    "clean": (1.0, "no correction is recommended on clean data"),
}
COLUMNS = ("true", "estimate", "low", "high", "cleanlab", "calibration_error", "first_difference")
COLUMNS = (*COLUMNS, "f1_ours", "f1_cleanlab", "auroc", "auroc_best", "action")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the cache, judge one half, and write its section."""
    options = _parser().parse_args(arguments)
    warnings.filterwarnings("ignore")
    for name in audit_cases.fill(options.cache, options.data) if options.data else ():
        print(name, flush=True)
    cases = [case for case in audit_cases.all_cases(options.cache) if case.half == options.half]
    _ask_cleanlab(options.cleanlab, options.cache, cases)
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        judged = list(pool.map(judge, cases, chunksize=4))
    described = machine.describe(torch.device("cpu"))
    pages.put(options.out, f"audit-{options.half}", page(judged, options.half, described))
    lines = [json.dumps(one) for one in judged]
    (options.out / "parts" / f"audit-{options.half}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def judge(case: Case) -> dict[str, Any]:
    """Audit one case, and compare the results with the truth."""
    arrays = case.arrays
    probs = arrays["probs"].astype(np.float64)
    probs /= probs.sum(1, keepdims=True)
    given, wrong = arrays["given"], arrays["given"] != arrays["clean"]
    results = audit_labels(given, probs)
    with np.load(case.folder / f"{case.name}.cleanlab.npz") as found:
        count, issues = float(found["count"]), found["issues"]
    rate = results.noise.rate
    assert results.noise.mixture is not None
    likely, order = _probabilities(results.noise.mixture, probs, given, rate.estimate)
    rows, suspected = results.ranking.suspects.rows.numpy(), np.zeros(len(given), dtype=bool)
    suspected[rows] = True
    aurocs = _aurocs(probs, given, likely, wrong)
    first = order[:TOP]
    return {
        "case": case.name,
        "true": float(wrong.mean()),
        "estimate": rate.estimate,
        "low": rate.low,
        "high": rate.high,
        "told": results.noise.told,
        "cleanlab": count / len(given),
        "calibration_error": calibration_error(likely, wrong),
        "first_difference": float(likely[first].sum() - wrong[first].sum()),
        "f1_ours": f1(suspected, wrong),
        "f1_cleanlab": f1(issues, wrong),
        "auroc": aurocs and aurocs["label_posterior"],
        "auroc_best": aurocs and max(aurocs.values()),
        "action": results.recommendation.action,
        "suspects": len(rows),
    }


def _probabilities(
    mixture: noise.NoiseMixture, probs: np.ndarray, given: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability that each label is wrong, as the audit calibrates it, and the order of the ranking."""
    wrong = mixture.wrong(torch.from_numpy(probs), torch.from_numpy(given))
    wrong = wrong.clamp(0.5 / len(given), 1 - 0.5 / len(given))
    order = noise.suspect_order(1 - wrong)
    expected = noise.expected_wrong(wrong, order, noise_rate=rate).expected
    likely = torch.empty_like(wrong)
    likely[order] = expected.diff(prepend=expected.new_zeros(1)).clamp(0, 1)
    return likely.numpy(), order.numpy()


def _aurocs(probs: np.ndarray, given: np.ndarray, likely: np.ndarray, wrong: np.ndarray) -> dict[str, float] | None:
    """Return the AUROC of each score; None if no label is wrong, or all are."""
    if wrong.all() or not wrong.any():
        return None
    values, labels = torch.from_numpy(probs), torch.from_numpy(given)
    joint = noise.confident_joint(values, labels)
    own = noise.self_confidence(values, labels)
    scores = {
        "label_posterior": torch.from_numpy(-likely),
        "self_confidence": own,
        "normalized_margin": noise.normalized_margin(values, labels),
        "confident_joint": own - noise.confident_suspects(values, labels, joint).to(own),
    }
    return {name: float(auroc(-score, torch.from_numpy(wrong))) for name, score in scores.items()}


def calibration_error(likely: np.ndarray, wrong: np.ndarray) -> float:
    """Return the calibration error of probabilities, 10 bins of equal width."""
    bins = np.minimum((10 * likely).astype(int), 9)
    return float(np.abs(np.bincount(bins, likely - wrong, minlength=10)).sum() / len(wrong))


def f1(chosen: np.ndarray, wrong: np.ndarray) -> float | None:
    """Return F1 of a set of labels; None if no label is wrong."""
    return float(2 * (chosen & wrong).sum() / (chosen.sum() + wrong.sum())) if wrong.any() else None


def reached(one: dict[str, Any]) -> dict[str, bool]:
    """Return whether a case reaches each goal for which it is defined."""
    ours, theirs = (abs(one[name] - one["true"]) for name in ("estimate", "cleanlab"))
    found = {
        "range": one["low"] <= one["true"] <= one["high"],
        "point": ours < theirs or ours <= ALIKE,
        "calibration": one["calibration_error"] <= 0.05,
        "first": abs(one["first_difference"]) <= CLOSE,
    }
    if one["f1_ours"] is not None:
        found["f1"] = one["f1_ours"] > one["f1_cleanlab"]
        found["f1_below"] = one["f1_ours"] >= one["f1_cleanlab"] - 0.02
    if one["auroc"] is not None:
        found["ranking"] = one["auroc"] >= one["auroc_best"] - NEAR
    if one["true"] == 0:
        found["clean"] = one["action"] not in CORRECTIONS
    return found


def page(judged: list[dict[str, Any]], half: str, described: dict[str, str]) -> str:
    """Return the goals and all cases as Markdown."""
    lines = [f"# Estimates of an audit where the truth is known, {half} half", ""]
    lines += [f"- {key}: {value}" for key, value in described.items()]
    lines += [
        f"- {len(judged)} cases; the protocol stands at the head of `benchmarks/audit.py`",
        "",
        "| quantity | required | all | weak | medium | strong | verdict |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, (required, what) in GOALS.items():
        shares = [_share(judged, name, strength) for strength in ("", *audit_cases.STRENGTHS)]
        verdict = "not measured" if shares[0] is None else "met" if shares[0] >= required else "**missed**"
        cells = ["–" if share is None else f"{share:.0%}" for share in shares]
        lines.append(f"| {what} | {required:.0%} | {' | '.join(cells)} | {verdict} |")
    widths = [_median(judged, lambda one: 100 * (one["high"] - one["low"]), s) for s in ("", *audit_cases.STRENGTHS)]
    verdict = "met" if widths[-1] <= 8 else "**missed**"
    lines.append(f"| median width of the range, points | 8 (strong) | {_numbers(widths)} | {verdict} |")
    for label, key in (("ours", "estimate"), ("cleanlab", "cleanlab")):
        errors = [_mean(judged, lambda one, k=key: 100 * abs(one[k] - one["true"]), s) for s in ("", "weak", "medium")]
        errors.append(_mean(judged, lambda one, k=key: 100 * abs(one[k] - one["true"]), "strong"))
        lines.append(f"| mean error of the point estimate, {label}, points | – | {_numbers(errors)} | – |")
    told = [one for one in judged if one["told"]]
    inside = sum(reached(one)["range"] for one in told)
    lines += ["", f"The rate is told in {len(told)} cases; the range contains the truth in {inside} of them.", ""]
    lines += [f"| case | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    lines += [f"| {one['case']} | {' | '.join(_cell(one[name]) for name in COLUMNS)} |" for one in judged]
    return "\n".join(lines)


def _share(judged: list[dict[str, Any]], name: str, strength: str) -> float | None:
    found = [reached(one)[name] for one in judged if one["case"].endswith(strength) and name in reached(one)]
    return sum(found) / len(found) if found else None


def _median(judged: list[dict[str, Any]], value: Callable[[dict[str, Any]], float], strength: str) -> float:
    return float(np.median([value(one) for one in judged if one["case"].endswith(strength)] or [math.nan]))


def _mean(judged: list[dict[str, Any]], value: Callable[[dict[str, Any]], float], strength: str) -> float:
    return float(np.mean([value(one) for one in judged if one["case"].endswith(strength)] or [math.nan]))


def _numbers(values: list[float]) -> str:
    return " | ".join(f"{value:.1f}" for value in values)


def _cell(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else f"{value:.3f}"


def _ask_cleanlab(python: str, cache: Path, cases: list[Case]) -> None:
    missing = [case.name for case in cases if not (cache / f"{case.name}.cleanlab.npz").exists()]
    if missing:
        subprocess.run([python, str(WORKER), str(cache), *missing], check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of the probabilities")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: only what is in the cache)")
    parser.add_argument("--cleanlab", metavar="PYTHON", required=True, help="Python of an environment with cleanlab")
    halves = ("development", "confirmation")
    parser.add_argument("--half", choices=halves, default="development", help="half of the cases (default: first)")
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
