"""``python -m benchmarks.noise``: drawing and estimating label noise and finding wrong labels; writes to RESULTS.md.

`--audit` takes the folder of an audit with reference labels (``softtargets audit --labels FILE:COLUMN``).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import confident, corrupt, estimators, pages

PARTS = ("corrupt", "confident", "estimators")
DISTANCE_GOAL = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected benchmarks and write their sections."""
    options = _parser().parse_args(arguments)
    for part in options.parts:
        if part == "corrupt":
            corrupt.main(["--out", str(options.out)])
        elif part == "estimators":
            pages.put(options.out, part, estimators.table(list(estimators.measured())))
        else:
            chosen = ["--cleanlab", options.cleanlab] if options.cleanlab else []
            confident.main([*chosen, "--out", str(options.out)])
    if options.audit is not None:
        found = json.loads((options.audit / "audit.json").read_text(encoding="utf-8"))
        pages.put(options.out, "audit", audit_page(found))
    return 0


def audit_page(found: dict[str, Any]) -> str:
    """Return the estimates and rankings of an audit compared with reference labels, as Markdown."""
    reference = found["reference"]
    lines = [f"# An audit compared with reference labels: {found['labels']}", "", f"- command: `{found['command']}`"]
    lines += [f"- {name}: {value}" for name, value in found["versions"].items()]
    lines += [
        f"- {found['rows']:,} labels; held-out predictions ({found['predictions']}) agree with "
        f"{found['held_out_agreement']:.1%} of them; by the reference labels, {reference['noise_rate']:.1%} are wrong",
        "",
        "Total variation distance between rows of the estimated and of the reference transition matrix:",
        "",
        "| estimator | mean | maximum | noise rate |",
        "|---|---:|---:|---:|",
    ]
    means = {}
    for estimate in found["estimates"]:
        distance = estimate["distance_to_reference"]
        means[estimate["name"]] = sum(distance) / len(distance)
        lines.append(
            f"| {estimate['name']} | {means[estimate['name']]:.3f} | {max(distance):.3f} "
            f"| {estimate['noise_rate']:.3f} |"
        )
    best = min(means, key=lambda name: means[name])
    chosen = next(e for e in found["estimates"] if e["name"] == found["chosen_estimator"])
    by_row = ", ".join(
        f"{name} {value:.3f}" for name, value in zip(found["class_names"], chosen["distance_to_reference"], strict=True)
    )
    rate = found["noise_rate"]
    lines += ["", f"By row, {chosen['name']}: {by_row}."]
    lines += [f"Interval of its noise rate: {rate['low']:.3f} to {rate['high']:.3f} (sampling error only).", ""]
    lines += ["| score | AUROC for wrong labels | wrong among the first 200 |", "|---|---:|---:|"]
    lines += [f"| {s['name']} | {s['auroc']:.4f} | {s['precision']:.1%} |" for s in found["scores"]]
    aurocs = {score["name"]: score["auroc"] for score in found["scores"]}
    top = max(aurocs, key=lambda name: aurocs[name])
    goals = [
        (means[best] <= DISTANCE_GOAL, f"mean distance of the best estimator, {best}, at most {DISTANCE_GOAL:g}"),
        (aurocs[top] > aurocs["self_confidence"], f"AUROC of the best score, {top}, above that of self-confidence"),
    ]
    lines += ["", "Goals: " + "; ".join(f"{what}: {'met' if met else '**missed**'}" for met, what in goals) + "."]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noise", description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="sections to run (default: all)")
    parser.add_argument("--cleanlab", metavar="PYTHON", help="Python of an environment with cleanlab")
    parser.add_argument("--audit", type=Path, help="folder of an audit with reference labels")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder (default: benchmarks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
