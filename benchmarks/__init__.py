"""``python -m benchmarks``: time and memory of the losses compared with other libraries."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("softtargets") is None:  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
