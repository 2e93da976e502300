"""Compute the numbers of MAPIE and TorchCP in conformal_references.json.

Run it in an environment with softtargets' requirements, ``mapie`` and ``torchcp``:

    python tests/calibration/conformal_references.py

The random numbers of the libraries are replaced by given ones, one for each row.
"""

import importlib.util
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

FILE = Path(__file__).with_suffix(".json")
# with 149 rows and alpha = 0.18 the rank in floating point is one too high
CALIBRATION, TEST, CLASSES = 149, 61, 5
ALPHAS = (0.1, 0.18, 0.3)
SEED = 5
PENALTY, K_REG = 0.1, 1


def data() -> dict[str, Any]:
    """Return logits with three decimals, and labels that are drawn from flatter probabilities."""
    generator = np.random.default_rng(0)
    logits = (2 * generator.normal(size=(CALIBRATION + TEST, CLASSES))).round(3)
    exponentials = np.exp(logits / 1.5)
    labels = [int(generator.choice(CLASSES, p=row / row.sum())) for row in exponentials]
    uniform = np.random.RandomState(SEED).uniform(size=CALIBRATION)
    return {"logits": logits.tolist(), "labels": labels, "uniform": uniform.tolist()}


class Prefit:
    """A classifier of scikit-learn's interface whose inputs are its probabilities."""

    def __init__(self) -> None:
        self.classes_ = np.arange(CLASSES)
        self.n_features_in_ = CLASSES

    def fit(self, x: Any, y: Any) -> "Prefit":
        return self

    def predict(self, x: Any) -> Any:
        return x.argmax(1)

    def predict_proba(self, x: Any) -> Any:
        return x

    def __sklearn_is_fitted__(self) -> bool:
        return True


def of_mapie(given: dict[str, Any], alpha: float) -> dict[str, Any]:
    classification = importlib.import_module("mapie.classification")
    base = importlib.import_module("sklearn.base")
    kind = type("Estimator", (Prefit, base.ClassifierMixin, base.BaseEstimator), {})
    probs = torch.tensor(given["logits"], dtype=torch.float64).softmax(-1).numpy()
    labels = np.array(given["labels"])
    found: dict[str, Any] = {}
    for name, settings in (
        ("lac", {}),
        ("aps_last", {"include_last_label": True}),
        ("aps_without_last", {"include_last_label": False}),
        ("aps_randomized", {"include_last_label": "randomized"}),
    ):
        score = name.partition("_")[0]
        fitted = classification.SplitConformalClassifier(
            kind(), confidence_level=1 - alpha, conformity_score=score, prefit=True, random_state=SEED
        )
        fitted.conformalize(probs[:CALIBRATION], labels[:CALIBRATION])
        _, sets = fitted.predict_set(probs[CALIBRATION:], conformity_score_params=settings)
        function = fitted._mapie_classifier.conformity_score_function_
        found[name] = {"threshold": float(function.quantiles_[0]), "sets": sets[:, :, 0].astype(int).tolist()}
    return found


def without_losses() -> None:
    """Let TorchCP be imported without its losses and graphs, which import packages that are not used here."""
    spec = importlib.util.find_spec("torchcp")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    for name, place in (("torchcp", ""), ("torchcp.classification", "classification")):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(Path(spec.submodule_search_locations[0]) / place)]


def of_torchcp(given: dict[str, Any], alpha: float) -> dict[str, Any]:
    score = importlib.import_module("torchcp.classification.score")
    predictor = importlib.import_module("torchcp.classification.predictor")
    metrics = importlib.import_module("torchcp.classification.utils.metrics").Metrics()
    logits, labels = torch.tensor(given["logits"], dtype=torch.float64), torch.tensor(given["labels"])
    uniform = torch.tensor(given["uniform"], dtype=torch.float64)
    # randomised scores draw one number for each row, or for each row and class
    torch.rand = lambda *size, **_: _rows_of(uniform, size)
    found: dict[str, Any] = {}
    for name, function in (
        ("lac", score.LAC()),
        ("aps", score.APS(randomized=False)),
        ("aps_randomized", score.APS(randomized=True)),
        ("raps", score.RAPS(randomized=False, penalty=PENALTY, kreg=K_REG)),
        ("raps_randomized", score.RAPS(randomized=True, penalty=PENALTY, kreg=K_REG)),
        ("lac_by_class", score.LAC()),
    ):
        kind = predictor.ClassConditionalPredictor if name == "lac_by_class" else predictor.SplitPredictor
        fitted = kind(function)
        fitted.calculate_threshold(logits[:CALIBRATION], labels[:CALIBRATION], alpha)
        sets = fitted.predict_with_logits(logits[CALIBRATION:])
        test = labels[CALIBRATION:]
        found[name] = {
            "threshold": fitted.q_hat.double().tolist(),
            "sets": sets.tolist(),
            "coverage": float(metrics("coverage_rate")(sets, test)),
            "mean_size": float(metrics("average_size")(sets, test)),
            "class_gap": float(metrics("CovGap")(sets, test, alpha, CLASSES)),
            "worst_stratum_gap": float(metrics("SSCV")(sets, test, alpha)),
        }
    return found


def _rows_of(uniform: torch.Tensor, size: Any) -> torch.Tensor:
    shape = size[0] if isinstance(size[0], tuple | torch.Size) else size
    # TorchCP subtracts u p from the sum up to a class: its u is 1 - u here
    return (1 - uniform[: shape[0]]).reshape(-1, *(1 for _ in shape[1:])).expand(tuple(shape))


def main() -> None:
    warnings.simplefilter("ignore")
    without_losses()
    given = data()
    content = {
        "versions": {name: version(name) for name in ("mapie", "torchcp", "torch", "numpy")},
        **given,
        "mapie": {str(alpha): of_mapie(given, alpha) for alpha in ALPHAS},
        "torchcp": {str(alpha): of_torchcp(given, alpha) for alpha in ALPHAS},
    }
    FILE.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
