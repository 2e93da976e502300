"""Predicting a data set with a trained ensemble: files that `evaluate` and `audit` read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.predictions.writing import output_path
from softtargets.data.tokens import NetworkInputs
from softtargets.ensembles.files import find_ensemble, load_ensemble
from softtargets.train import Predicted, PredictOptions
from softtargets.train.predict import prediction_device, write_predictions


def predict_ensemble(
    ensemble: Path | str,
    data: Path | str,
    output: Path | str,
    *,
    runs: Path | str = "runs",
    options: PredictOptions | None = None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Predicted:
    """Predict a data set with a trained ensemble, and write the predictions to a file.

    It is :func:`softtargets.train.predict_run` for ensembles. Predictions are calibrated by the ensemble's calibrator,
    if it has one; the logits are then log-probabilities.

    Args:
        ensemble: folder of the ensemble, or the first digits of its name in `runs`.
        data: as of :func:`~softtargets.train.predict_run`.
        output: as of :func:`~softtargets.train.predict_run`.
        runs: folder of the run store.
        options: columns, split and contents of the file; without `selected` and `calibrator`.
        on_rows: called with the number of rows that were predicted, after every block.

    Returns:
        The number of rows, the classes and the accuracy. `run` is the folder of the ensemble.

    Raises:
        InputError: no such ensemble, an option that it does not have, or data that its members cannot read.
    """
    options = options or PredictOptions()
    path, folder = output_path("output", output), find_ensemble(ensemble, runs)
    if folder is None:
        remedy = "give the folder that softtargets train wrote for a table [ensemble]"
        raise fail("ensemble", "the folder of an ensemble, or the first digits of its name", f"'{ensemble}'", remedy)
    if options.selected:
        raise fail("options.selected", "left out for an ensemble", "True", "train the members for fewer epochs")
    if options.calibrator is not None:
        remedy = "set ensemble.calibrator and train again: the members are not trained anew"
        raise fail("options.calibrator", "left out for an ensemble, which has its own", f"{options.calibrator}", remedy)
    loaded = load_ensemble(folder)
    first, classifier = loaded.members[0].run, loaded.classifier
    models = [member.trained.model.to(prediction_device(first)) for member in loaded.members]

    def logits(inputs: NetworkInputs) -> Tensor:
        return classifier.calibrated(classifier.combination(torch.stack([one.logits(inputs).cpu() for one in models])))

    written = write_predictions(first, logits, data, path, options, on_rows)
    by = None if classifier.calibrator is None else repr(classifier.calibrator)
    return replace(written, run=folder, calibrator=by)
