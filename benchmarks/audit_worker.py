"""cleanlab's answers to the cases of the audit benchmark: ``python audit_worker.py CACHE CASE...`` in its environment.

It writes `CASE.cleanlab.npz` beside each case: `count`, the number of label issues, and `issues`, their mask.
"""

import sys
from pathlib import Path

import numpy as np


def main(folder: Path, names: list[str]) -> None:
    # the folder of this script, whose modules would be found in place of packages of the same name
    del sys.path[0]
    from cleanlab.count import num_label_issues  # pyright: ignore[reportMissingImports]
    from cleanlab.filter import find_label_issues  # pyright: ignore[reportMissingImports]

    for name in names:
        with np.load(folder / f"{name}.npz") as found:
            probs, given = found["probs"].astype(np.float64), found["given"]
        probs /= probs.sum(1, keepdims=True)
        count = num_label_issues(given, probs)
        issues = find_label_issues(given, probs, n_jobs=1)
        np.savez(folder / f"{name}.cleanlab.npz", count=count, issues=issues)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
