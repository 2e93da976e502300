"""What an audit may be asked for, and the command that repeats it."""

from pathlib import Path

import pytest
import torch

from softtargets._errors import InputError
from softtargets.audit.request import AuditOptions, AuditRequest
from softtargets.data.predictions import Predictions

ARRAYS = Predictions(torch.full((3, 2), 0.5), "probs", torch.tensor([0, 1, 1]))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (AuditRequest(), "audit: a data set or predictions; got neither"),
        (AuditRequest(arrays=ARRAYS, labels="a.csv:b"), "labels: used together with data"),
        (AuditRequest(arrays=ARRAYS, logits="scores"), "logits: used together with predictions"),
        (AuditRequest(arrays=ARRAYS, predictions=(Path("p.npz"),)), "predictions: not used with arrays; got p.npz"),
        (AuditRequest(arrays=ARRAYS, options=AuditOptions(folds=3)), "folds: not used with predictions; got 3"),
        (AuditRequest(data="digits", options=AuditOptions(class_names=("a",))), "class_names: used with arrays alone"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(request_, words):
    with pytest.raises(InputError, match=words):
        request_.check()


def test_arrays_have_no_command():
    assert AuditRequest(arrays=ARRAYS).command is None
    assert AuditRequest(data="my data.csv", options=AuditOptions(label="y", epochs=2, runs=Path("kept"))).command == (
        "softtargets audit --data 'my data.csv' --label y --epochs 2 --folds 5 --runs kept --seed 0 --top 200"
    )


def test_only_a_data_set_alone_needs_models():
    assert AuditRequest(data="digits").trains
    assert not AuditRequest(data="digits", arrays=ARRAYS).trains
    assert not AuditRequest(data="digits", predictions=(Path("p.npz"),)).trains


RANGES = [("folds", 1), ("folds", 0), ("folds", 2.5), ("epochs", 0), ("seed", -1), ("seed", 2**32), ("top", -1)]


@pytest.mark.parametrize(("name", "value"), RANGES)
def test_numbers_out_of_range_are_refused_before_anything_is_read(name, value) -> None:
    with pytest.raises(InputError, match=rf"{name}: a whole number of at least"):
        AuditRequest(data="nowhere.csv", options=AuditOptions(**{name: value})).check()


def test_folders_may_be_text() -> None:
    options = AuditOptions(runs="kept", reports="pages")  # pyright: ignore[reportArgumentType]
    assert (options.runs, options.reports) == (Path("kept"), Path("pages"))


def test_more_folds_than_can_be_trained_are_refused_with_their_time() -> None:
    request_ = AuditRequest(data="digits", options=AuditOptions(folds=100_000))
    with pytest.raises(
        InputError, match=r"folds: at most 100, .*; got 100,000 \(1 d 3 h at one second for each model\)"
    ):
        request_.check()
    AuditRequest(data="digits", options=AuditOptions(folds=100)).check()
