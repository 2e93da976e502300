"""A classifier takes inputs as users have them, and its module takes batches of tensors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from classifiers import KINDS, inputs_of, run_on
from PIL import Image

from softtargets._errors import InputError, InputTypeError
from softtargets.calibration import TemperatureScaling, save
from softtargets.data import count_words
from softtargets.data.given import read_given
from softtargets.data.tokens import TokenRows
from softtargets.train import LoadedRun

Trained = Callable[[str], LoadedRun]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    runs: dict[str, LoadedRun] = {}

    def of(kind: str) -> LoadedRun:
        if kind not in runs:
            runs[kind] = run_on(kind, tmp_path_factory.mktemp("run"))
        return runs[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_forward_takes_tensors_that_are_not_normalised(trained: Trained, kind: str) -> None:
    run = trained(kind).calibrate("vector-scaling")
    inputs = inputs_of(run)
    if kind == "texts":
        given = (count_words(inputs),)
    elif kind == "tokens":
        rows = read_given(inputs, run.preprocessing, run.input_shape)
        assert isinstance(rows, TokenRows)
        given = tuple(rows.padded(torch.arange(len(rows)), run.preprocessing.tokenizers[0].pad))
    else:
        given = (inputs,)
    with torch.no_grad():
        torch.testing.assert_close(run.classifier(*given), run.predict_proba(inputs), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(run.classifier.logits(inputs), run.predictions["test.logits"], rtol=1e-5, atol=1e-5)
    example = run.classifier.example(3)
    assert [(one.dtype, one.shape[0]) for one in example] == [(one.dtype, 3) for one in given]


def test_normalised_inputs_have_an_entry_of_their_own(trained: Trained) -> None:
    run = trained("images")
    images = inputs_of(run)
    found = run.classifier.logits_of_normalized(run.classifier.normalize(images))
    assert torch.equal(found, run.logits(images))


def test_images_of_any_size_in_a_list(trained: Trained, tmp_path: Path) -> None:
    run = trained("resized images")
    rows = run.predictions["test.ids"].tolist()
    files = sorted(Path(run.specification.data.name).rglob("*.png"))
    pictures = [Image.open(path).copy() for path in files]
    assert len({picture.size for picture in pictures}) > 3
    as_paths, as_pictures = run.logits(files), run.logits(pictures)
    as_arrays = run.logits([np.asarray(picture) for picture in pictures])
    assert torch.equal(as_paths, as_pictures)
    assert torch.equal(as_paths, as_arrays)
    found = {tuple(row) for row in as_paths.round(decimals=3).tolist()}
    recorded = run.predictions["test.logits"].round(decimals=3).tolist()
    assert len(recorded) == len(rows)
    assert all(tuple(row) in found for row in recorded)
    assert run.logits([]).shape == (0, 2)


def test_tables_as_data_frames_and_mappings(trained: Trained) -> None:
    run = trained("a table")
    rows = inputs_of(run)
    frame = pd.DataFrame({"label": "yes", "second": rows[:, 1].numpy(), "first": rows[:, 0].numpy()})
    expected = run.predict_proba(rows)
    assert np.array_equal(run.predict_proba(frame), expected.numpy())
    assert torch.equal(run.predict_proba(frame.to_dict("records")), expected)
    assert np.array_equal(run.predict(frame), run.predict(rows).numpy())
    with pytest.raises(InputError, match="inputs: every column that the run was trained on; got no 'second' in a data"):
        run.predict(frame[["first"]])
    with pytest.raises(InputError, match="got no 'first' in row 0"):
        run.predict([{"second": 1.0}])
    with pytest.raises(InputTypeError, match="inputs: numbers in column 'first'"):
        run.predict(frame.assign(first="many"))


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("images", [np.zeros((9, 9), dtype=np.uint8)], r"image: images of 8x8, .*; got 9x9 in inputs\[0\]"),
        ("images", [np.zeros((8, 8), dtype=np.float32)], r"inputs: images \(H, W\) or \(H, W, 3\) of dtype uint8"),
        ("images", [np.zeros((8, 8, 3), dtype=np.uint8)], r"image: grey images, .* colour in inputs\[0\]"),
        ("images", [Path("missing.png")], r"image: an image that can be decoded; got inputs\[0\], 'missing\.png'"),
        ("images", torch.zeros(2, 8, 8, 1, dtype=torch.uint8), r"move the channels to the front"),
        ("images", pd.DataFrame({"a": [1]}), "inputs: images, as the run was trained on; got a data frame"),
        ("texts", [3], "inputs: a list of texts; got a int in row 0"),
        ("texts", torch.zeros(2, 3), r"inputs: shape \(N, 4096\)"),
        ("a table", [[1.0, 2.0]], "inputs: a tensor or an array, or a list of mappings"),
        ("tokens", torch.zeros(2, 3), "inputs: a list of texts; got a tensor or an array"),
    ],
)
def test_inputs_of_another_kind_are_refused(trained: Trained, kind: str, inputs: object, words: str) -> None:
    with pytest.raises((InputError, InputTypeError), match=words):
        trained(kind).predict_proba(inputs)


def test_a_calibrator_is_fitted_on_the_validation_split(trained: Trained, tmp_path: Path) -> None:
    run = trained("images")
    logits, labels = run.predictions["validation.logits"], run.predictions["validation.observed"]
    expected = TemperatureScaling().fit(logits, labels)
    calibrated = run.calibrate("temperature-scaling")
    assert isinstance(calibrated.calibrator, TemperatureScaling)
    assert float(calibrated.calibrator.temperature) == float(expected.temperature)
    images = inputs_of(run)
    torch.testing.assert_close(calibrated.predict_proba(images), expected(run.logits(images)).exp())
    assert torch.equal(calibrated.logits(images), run.logits(images))
    assert run.calibrator is None
    save(TemperatureScaling(3.0), tmp_path / "three.safetensors")
    for given in (TemperatureScaling(3.0), tmp_path / "three.safetensors", str(tmp_path / "three.safetensors")):
        found = run.calibrate(given).calibrator
        assert isinstance(found, TemperatureScaling)
        assert float(found.temperature) == 3.0
    with pytest.raises(
        InputError, match=r"calibrator: one of .*; got 'isotonic'; did you mean 'isotonic-calibration'\?"
    ):
        run.calibrate("isotonic")
    with pytest.raises(InputTypeError, match="calibrator: a name, a file, or a calibrator"):
        run.calibrate(2.0)  # pyright: ignore[reportArgumentType]
