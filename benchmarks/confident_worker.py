"""One run of the confident joint, a ranking and the suspects, with our implementation or cleanlab's.

``python confident_worker.py ours|cleanlab FOLDER CLASSES`` prints times and memory as one JSON object. Only the
library that is measured is imported.
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Calls = dict[str, Callable[[np.ndarray, np.ndarray], Any]]


def ours() -> Calls:
    from torch import Tensor, from_numpy

    from softtargets import noise

    def suspects(probs: Tensor, labels: Tensor) -> Tensor:
        return noise.confident_suspects(probs, labels, noise.confident_joint(probs, labels))

    return {
        "joint": lambda probs, labels: noise.confident_joint(from_numpy(probs), from_numpy(labels)).counts,
        "ranking": lambda probs, labels: noise.suspect_order(
            noise.self_confidence(from_numpy(probs), from_numpy(labels))
        ),
        "suspects": lambda probs, labels: suspects(from_numpy(probs), from_numpy(labels)),
    }


def cleanlab() -> Calls:
    from cleanlab.count import compute_confident_joint  # pyright: ignore[reportMissingImports]
    from cleanlab.filter import find_label_issues  # pyright: ignore[reportMissingImports]
    from cleanlab.rank import get_label_quality_scores  # pyright: ignore[reportMissingImports]

    return {
        "joint": lambda probs, labels: compute_confident_joint(labels, probs, calibrate=False).T,
        "ranking": lambda probs, labels: np.argsort(get_label_quality_scores(labels, probs, method="self_confidence")),
        "suspects": lambda probs, labels: find_label_issues(labels, probs, filter_by="confident_learning"),
    }


def main(which: str, folder: str, classes: str) -> None:
    # the folder of this script, whose modules would be found in place of packages of the same name
    del sys.path[0]
    calls = {"ours": ours, "cleanlab": cleanlab}[which]()
    before = _resident()
    probs = np.fromfile(Path(folder) / "probs", dtype=np.float32).reshape(-1, int(classes))
    labels = np.fromfile(Path(folder) / "labels", dtype=np.int64)
    for call in calls.values():
        call(probs[: 10 * len(probs[0])], labels[: 10 * len(probs[0])])
    seconds, digests, held = {}, {}, {}
    for name, call in calls.items():
        start = time.perf_counter()
        found = call(probs, labels)
        seconds[name] = time.perf_counter() - start
        held[name] = _most_resident() - before
        # rankings break ties differently
        digests[name] = "" if name == "ranking" else hashlib.sha256(json.dumps(found.tolist()).encode()).hexdigest()
    print(json.dumps({"seconds": seconds, "held": held, "digests": digests}))


def _resident() -> int:
    """Return the resident memory of this process in bytes; its peak, if the system does not report it."""
    return _status("VmRSS") or _usage()


def _most_resident() -> int:
    """Return the peak resident memory of this process in bytes."""
    return _status("VmHWM") or _usage()


def _status(name: str) -> int:
    """Return a number of bytes that Linux reports of this process; 0 on other systems."""
    path = Path("/proc/self/status")
    text = path.read_text() if path.exists() else ""
    return next((1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)


def _usage() -> int:
    """Return the peak in bytes, which can be that of the process that started this one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
