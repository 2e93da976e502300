"""``python -m benchmarks.sweep_lab FOLDER``: the sweep of FOLDER's plan.json with softtargets.

The run store is FOLDER/runs. Prints the mean test accuracy.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from softtargets.data import fingerprint
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import RunStore
from softtargets.train.execute import resolve
from softtargets.train.schedule import train_all


def specification(plan: dict[str, Any], seed: int) -> RunSpec:
    """Return one run of a plan."""
    models = {"mlp": {"name": "mlp", "hidden": [256, 256]}, "resnet": {"name": "resnet", "depth": 8}}
    return RunSpec.parse(
        {
            "data": plan["data"],
            "model": models[plan["model"]],
            "objective": {"name": "cross_entropy", "smoothing": plan["smoothing"]},
            "optimizer": {"learning_rate": plan["learning_rate"]},
            "training": {
                "epochs": plan["epochs"],
                "batch_size": plan["batch_size"],
                "precision": plan["precision"],
                "device": "cpu",
                "evaluate_every": 1,
            },
            "seeds": seed,
        }
    )


def main(folder: str) -> int:
    """Train all runs of the plan, several at a time."""
    plan = json.loads(Path(folder, "plan.json").read_text(encoding="utf-8"))
    store = RunStore(Path(folder, "runs"))
    runs = [specification(plan, seed) for seed in range(plan["runs"])]
    content = fingerprint(runs[0].data, cache=store.cache)
    resolved = [resolve(run, content) for run in runs]
    outcomes = train_all(resolved, store, workers=plan["workers"])
    if any(outcome.status != "trained" for outcome in outcomes):
        raise RuntimeError(f"runs: all trained; got {outcomes}")
    accuracies = []
    for run in resolved:
        found = read_predictions(store.path(run.identity))
        accuracies.append(float((found["test.logits"].argmax(1) == found["test.labels"]).float().mean()))
    print(statistics.mean(accuracies))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
