"""Train, correct, calibrate and distil classifiers whose labels are soft, smoothed or wrong.

The library needs torch alone: `targets`, `losses`, `noise`, `metrics`, `calibration`, `distill`, `analysis`,
`nn`, and `integrations` with other libraries. The lab (`pip install softtargets[lab]`) reruns the papers'
experiments with it: `softtargets --help`.

Inputs are checked. On an accelerator, checking values makes the host wait: ``softtargets.synchronising_checks(False)``
skips those checks. Cross entropy on CUDA never waits for its labels.
"""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softtargets import analysis, calibration, distill, integrations, losses, matrices, metrics, nn, noise, targets
    from softtargets._checks import synchronising_checks

__all__ = [
    "analysis",
    "calibration",
    "distill",
    "integrations",
    "losses",
    "matrices",
    "metrics",
    "nn",
    "noise",
    "synchronising_checks",
    "targets",
]


def __getattr__(name: str) -> ModuleType | str | Callable:
    # Rooms are imported when first used, so that `softtargets --help` does not wait for torch.
    if name == "synchronising_checks":
        return importlib.import_module("softtargets._checks").synchronising_checks
    if name in __all__:
        return importlib.import_module(f"softtargets.{name}")
    if name == "__version__":
        from softtargets._version import package_version

        return package_version()
    from softtargets._exports import advise

    raise advise(__name__, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
