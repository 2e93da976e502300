"""A packed classifier is loaded without its run store and data set, and gives the same numbers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from classifiers import KINDS, inputs_of

from softtargets._errors import InputError
from softtargets.export import load_packed, save_packed


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_the_numbers_of_the_run(trained, tmp_path: Path, kind: str) -> None:
    run = trained(kind).calibrate("isotonic-calibration")
    inputs = inputs_of(run)
    save_packed(run, tmp_path / "packed")
    shutil.copytree(tmp_path / "packed", tmp_path / "elsewhere")
    found = load_packed(str(tmp_path / "elsewhere"))
    assert found.class_names == run.class_names
    assert torch.equal(found.logits(inputs), run.logits(inputs))
    assert torch.equal(found.predict_proba(inputs), run.predict_proba(inputs))
    assert not torch.equal(found.predict_proba(inputs), run.logits(inputs).softmax(-1))
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_without_calibrator(trained, tmp_path: Path) -> None:
    run = trained("images")
    found = load_packed(save_packed(run, tmp_path))
    images = inputs_of(run).numpy()
    assert found.calibrator is None
    assert isinstance(found.predict_proba(images), np.ndarray)
    assert np.array_equal(found.predict_proba(images), run.predict_proba(images))


def test_damage_is_named(trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder: a folder with a classifier\.toml; got none"):
        load_packed(tmp_path)
    folder = save_packed(trained("images").calibrate(), tmp_path / "packed")
    for name in ("model.safetensors", "preprocessing.safetensors", "calibrator.safetensors"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(InputError, match=f"an intact '{name}' in .*; got another checksum; export it again"):
            load_packed(folder)
        (folder / name).unlink()
        with pytest.raises(InputError, match=f"folder: '{name}' of a packed classifier"):
            load_packed(folder)
        (folder / name).write_bytes(content)
    load_packed(folder)
    described = (folder / "classifier.toml").read_text()
    (folder / "classifier.toml").write_text(described.replace("version = 1", "version = 2"))
    with pytest.raises(InputError, match=r"classifier\.toml: classifier\.version"):
        load_packed(folder)
    (folder / "classifier.toml").write_text(described.replace('"model.safetensors"', '"../model.safetensors"'))
    with pytest.raises(InputError, match="files: some of"):
        load_packed(folder)
    (folder / "classifier.toml").write_text(described.replace('class_names = ["0", ', "class_names = ["))
    with pytest.raises(InputError, match="weights of the network in"):
        load_packed(folder)
