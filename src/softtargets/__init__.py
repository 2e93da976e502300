"""Train, correct, calibrate and distil classifiers whose labels are soft, smoothed or wrong.

The library needs torch alone: `targets`, `losses`, `noise`, `metrics`, `analysis`. The lab (`pip install
softtargets[lab]`) reruns the papers' experiments with it: `softtargets --help`.
"""

import importlib
from types import ModuleType

ROOMS = ("targets", "noise", "metrics", "losses", "analysis", "matrices")
__all__ = list(ROOMS)


def __getattr__(name: str) -> ModuleType | str:
    # Rooms are imported when first used, so that `softtargets --help` does not wait for torch.
    if name in ROOMS:
        return importlib.import_module(f"softtargets.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("softtargets")
    raise AttributeError(f"module 'softtargets' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *ROOMS, "__version__"])
