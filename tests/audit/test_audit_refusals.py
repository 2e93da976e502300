"""`audit` refuses what cannot be audited, in one sentence, and writes nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from audit.simulated_audits import simulate, write_arrays

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels


def _not_summing(content):
    content["probs"][7] *= 0.5


def _not_finite(content):
    content["probs"][7, 1] = np.nan


def _short(content):
    content["labels"] = content["labels"][:-1]


def _out_of_range(content):
    content["labels"][7] = 3


def _logits(content):
    content["probs"] = np.log(content["probs"])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_not_summing, "row 7"),
        (_not_finite, "row 7"),
        (_short, "3000 labels"),
        (_out_of_range, "row 7"),
        (_logits, "--logits probs"),
    ],
)
def test_bad_predictions_are_refused_with_the_row_and_nothing_is_written(audit, tmp_path, spoil, words):
    content = simulate()
    spoil(content)
    write_arrays(tmp_path / "bad.npz", content)
    with pytest.raises(InputError, match=words):
        audit(predictions=(Path("bad.npz"),), probs="probs")
    assert not Path("reports").exists()


def test_predictions_must_belong_to_the_data(audit, with_reference):
    settings = {"predictions": (Path("held.npz"),), "probs": "probs"}
    differs = int((with_reference["labels"] != with_reference["clean"]).argmax())
    with pytest.raises(InputError, match=f"at row {differs}; got"):
        audit(data="true.csv", **settings)
    with pytest.raises(InputError, match="10 values in every row, the number of classes; got 3"):
        audit(data="digits", **settings)
    few = {name: values[:100] for name, values in with_reference.items()}
    write_arrays(Path("few.npz"), few)
    with pytest.raises(InputError, match="3000 rows"):
        audit(data="true.csv", labels="observed.csv:label", predictions=(Path("few.npz"),), probs="probs")
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "a data set or predictions; got neither"),
        ({"predictions": (Path("held.npz"),), "label": "y"}, "label: used together with data"),
        ({"predictions": (Path("held.npz"),), "labels": "a.csv:b"}, "labels: used together with data"),
        ({"data": "digits", "logits": "z"}, "logits: used together with predictions"),
        ({"data": "digits", "labels": "observed.csv"}, "FILE:COLUMN"),
        ({"data": "digits", "output": Path("held.npz")}, "output: the path of a folder"),
        ({"data": "digits", "output": Path("held.npz/deep/page")}, "output: the path of a folder.*'held.npz'"),
        ({"data": "digits", "runs": Path("held.npz/runs")}, "runs: the path of a folder.*'held.npz'"),
        ({"predictions": (Path("held.npz"),), "text": "t"}, "text: used together with data"),
        ({"predictions": (Path("held.npz"),), "features": ("a",)}, "features: used together with data"),
        ({"predictions": (Path("held.npz"),), "folds": 5}, "folds: not used with predictions; got 5"),
        ({"predictions": (Path("held.npz"),), "epochs": 3}, "epochs: not used with predictions; got 3"),
        ({"data": "true.csv", "text": "label"}, "a column other than the label column"),
        ({"data": "true.csv", "features": ("x0", "x9")}, "x9"),
        ({"data": "true.csv", "labels": "observed.csv:lable"}, "did you mean 'label'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(audit, with_reference, settings, words):
    with pytest.raises(InputError, match=words):
        audit(**settings)
    assert not Path("reports").exists()


def test_predictions_without_labels_need_a_data_set(audit, simulated):
    np.savez("bare.npz", probs=simulated["probs"])
    with pytest.raises(InputError, match="labels in the predictions' files, or data"):
        audit(predictions=(Path("bare.npz"),))


def test_workers_are_refused_where_nothing_is_trained(simulated):
    with pytest.raises(InputError, match="workers: not used with predictions; got 2"):
        audit_labels(predictions="held.npz", options=AuditOptions(workers=2))


ONE = {"labels": np.array([0, 1]), "probs": np.full((2, 2), 0.5)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({**ONE, "options": {}}, r"options: AuditOptions; got dict; write AuditOptions\(seed=1\)"),
        (
            {"labels": ONE["labels"], "predictions": ONE["probs"]},
            "predictions: paths of files; got ndarray; pass arrays",
        ),
        ({"labels": ONE["labels"], "predictions": torch.ones(2, 2)}, "predictions: paths of files; got Tensor"),
        ({"predictions": [3]}, "predictions: a list of paths; got a int in it"),
        ({**ONE, "output": 3}, "output: a path"),
        ({"labels": object(), "probs": ONE["probs"]}, "labels: an array of numbers; got object"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(arguments, words) -> None:
    with pytest.raises(TypeError, match=words):
        audit_labels(**arguments)
