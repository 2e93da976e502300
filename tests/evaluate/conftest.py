"""What the tests of `evaluate` share."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from softtargets.evaluate import EvaluateRequest, EvaluationOptions, catalog, evaluate_predictions
from softtargets.evaluate.files import as_json

Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def evaluate(tmp_path, monkeypatch) -> Evaluate:
    """Return a function that evaluates files in a folder of its own and returns what evaluation.json would say."""
    monkeypatch.chdir(tmp_path)
    # the time of the intervals depends on the groups and the draws, not on the rows
    monkeypatch.setattr(catalog, "FEWER", 50)

    def run(*predictions: str, draws: int = 50, seed: int = 0, **settings: Any) -> dict[str, Any]:
        options = EvaluationOptions(n_draws=draws, seed=seed)
        results = evaluate_predictions(predictions=EvaluateRequest.parse(predictions, **settings), options=options)
        return json.loads(as_json(results))

    return run
