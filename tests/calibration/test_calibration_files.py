"""Calibrators in modules and files: state, export, safetensors, and errors that name the file."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from softtargets import calibration
from softtargets.calibration import (
    EnsembleTemperatureScaling,
    HistogramBinning,
    IsotonicCalibration,
    TemperatureScaling,
    VectorScaling,
    load,
    save,
)
from softtargets.calibration.calibrator import Calibrator

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(300, 4, generator=generator) * 3
LABELS = torch.multinomial((LOGITS / 2).softmax(-1), 1, generator=generator)[:, 0]
ALL = [EnsembleTemperatureScaling, HistogramBinning, IsotonicCalibration, TemperatureScaling, VectorScaling]
every = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


@every
def test_state_goes_into_a_new_object_also_inside_a_model(kind: type) -> None:
    fitted = kind().fit(LOGITS, LABELS)
    assert bool(fitted.converged)
    model, other = (torch.nn.Sequential(torch.nn.Identity(), c) for c in (fitted, kind()))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(LOGITS), model(LOGITS))
    assert bool(other[1].converged)
    assert not list(fitted.parameters())


@every
def test_it_is_exported_and_compiled_with_its_model(kind: type) -> None:
    model = torch.nn.Sequential(torch.nn.Identity(), kind().fit(LOGITS, LABELS))
    exported = torch.export.export(model, (LOGITS,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.testing.assert_close(exported.module()(LOGITS[:7]), model(LOGITS[:7]), rtol=0, atol=0)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(LOGITS), model(LOGITS))


@every
def test_log_probs_are_their_own_log_softmax_and_inputs_stay(kind: type) -> None:
    before = LOGITS.clone()
    made = kind().fit(LOGITS, LABELS)(LOGITS)
    torch.testing.assert_close(made.log_softmax(-1), made, rtol=0, atol=1e-5)
    assert torch.equal(LOGITS, before)


@every
def test_whole_numbers_are_refused_not_rounded_to(kind: type) -> None:
    # T = 1.5 as an integer would be 1
    with pytest.raises(TypeError, match=r"logits: a floating-point tensor .*; got dtype torch.int64; use logits.float"):
        kind().fit(LOGITS, LABELS)(LOGITS.long())


@every
def test_save_and_load_round_trip(kind: type, tmp_path: Path) -> None:
    fitted, path = kind().fit(LOGITS, LABELS), tmp_path / "calibrator.safetensors"
    save(fitted, path)
    restored = load(str(path))
    assert type(restored) is kind
    assert restored.state_dict().keys() == fitted.state_dict().keys()
    for name, value in fitted.state_dict().items():
        assert restored.state_dict()[name].dtype == value.dtype
        assert torch.equal(restored.state_dict()[name], value)
    assert torch.equal(restored(LOGITS), fitted(LOGITS))
    assert [file.name for file in tmp_path.iterdir()] == ["calibrator.safetensors"]


@every
def test_a_model_in_half_precision_keeps_its_calibrator(kind: type) -> None:
    fitted = kind().fit(LOGITS, LABELS)
    expected, state = fitted(LOGITS), {name: value.clone() for name, value in fitted.state_dict().items()}
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), fitted).half()
    assert model[0].weight.dtype == torch.float16
    assert all(torch.equal(value, state[name]) for name, value in fitted.state_dict().items())
    assert torch.equal(fitted(LOGITS), expected)
    assert fitted.float()(LOGITS).dtype == torch.float32
    torch.testing.assert_close(fitted.double()(LOGITS).exp(), expected.exp(), rtol=0, atol=1e-4)


def test_every_calibrator_of_the_room_can_be_saved() -> None:
    from softtargets.calibration._files import CALIBRATORS

    public = [
        value for value in vars(calibration).values() if isinstance(value, type) and issubclass(value, Calibrator)
    ]
    assert {c.__name__: c for c in public} == CALIBRATORS


def test_a_failed_save_keeps_the_existing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calibrator"
    save(TemperatureScaling(2.0), path)

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        save(TemperatureScaling(3.0), path)
    assert [file.name for file in tmp_path.iterdir()] == ["calibrator"]
    loaded = load(path)
    assert isinstance(loaded, TemperatureScaling)
    assert float(loaded.temperature) == 2


def test_what_is_refused_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    state = TemperatureScaling(2.0).state_dict()
    known = {"format": "softtargets.calibration", "version": "1", "class": "TemperatureScaling", "settings": "{}"}

    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=rf"c.safetensors.*{message}"):
            load(path)

    save(TemperatureScaling(2.0), path)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:20], b"", b"{}" * 40):
        path.write_bytes(damaged)
        refused("a calibrator in safetensors; got a damaged file")
    save_file(state, path)
    refused("metadata format 'softtargets.calibration'; got 'None'")
    save_file(state, path, metadata=known | {"version": "2"})
    refused("format version 1; got 2; use the softtargets that wrote it")
    save_file(state, path, metadata=known | {"class": "Temperatur"})
    refused("class: one of .*; got 'Temperatur'; did you mean 'TemperatureScaling'")
    save_file(state, path, metadata=known | {"class": "VectorScaling"})
    refused("the buffers of VectorScaling; got different ones")
    for settings in ('{"bound": [1, 2]}', "{", "[]"):
        save_file(state, path, metadata=known | {"settings": settings})
        refused("the settings of TemperatureScaling; got different ones")
    save_file({"temperature": torch.ones(1)}, path, metadata=known)
    refused("the buffers of TemperatureScaling; got different ones")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(
        TypeError, match=r"calibrator: one of EnsembleTemperatureScaling, .*; got Linear; save its state_dict"
    ):
        save(torch.nn.Linear(2, 2), path)  # pyright: ignore[reportArgumentType]


def test_an_unfitted_calibrator_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"calibrator: a fitted one; got an unfitted TemperatureScaling; call fit"):
        save(TemperatureScaling(), tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_hyper_parameters_are_saved(tmp_path: Path) -> None:
    for made, names in (
        (TemperatureScaling(bounds=(0.5, 2.0), tolerance=1e-3), ("bounds", "tolerance")),
        (HistogramBinning(n_bins=7, binning="mass", uniform=0.1), ("n_bins", "binning")),
        (VectorScaling(fit_bias=False, max_iter=30), ("fit_bias", "max_iter", "tolerance")),
    ):
        save(made.fit(LOGITS, LABELS), tmp_path / "c")
        again = load(tmp_path / "c")
        assert [getattr(again, name) for name in names] == [getattr(made, name) for name in names]
        assert torch.equal(again.fit(LOGITS[:90], LABELS[:90])(LOGITS), made.fit(LOGITS[:90], LABELS[:90])(LOGITS))


def test_nothing_is_pickled(tmp_path: Path) -> None:
    save(TemperatureScaling(2.0), tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"] == {
        "format": "softtargets.calibration",
        "version": "1",
        "class": "TemperatureScaling",
        "settings": '{"bounds": [0.001, 1000.0], "tolerance": 1e-06}',
    }


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, kind in ((tmp_path / "pipe", "a pipe"), ("/dev/zero", "a device"), (tmp_path, "a folder")):
        with pytest.raises(ValueError, match=f"{kind}, not a regular file"):
            calibration.load(place)
