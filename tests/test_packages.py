"""Optional packages: what counts as installed, and the error where one is missing."""

import pickle
import sys
from pathlib import Path

import pytest

from softtargets import _packages
from softtargets._errors import InputError


def test_a_folder_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb_of_a_store").mkdir()
    (tmp_path / "with_code").mkdir()
    (tmp_path / "with_code" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert _packages.is_installed("torch")
    assert _packages.is_installed("with_code")
    assert not _packages.is_installed("wandb_of_a_store")
    assert not _packages.is_installed("no_such_package")


def test_what_is_missing_is_bad_input_and_a_missing_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError) as raised:
        _packages.load("optuna.samplers", "tune", "softtargets[tune]")
    error = raised.value
    assert str(error) == "tune: the package optuna; got no such package; run pip install 'softtargets[tune]'"
    assert isinstance(error, ModuleNotFoundError)
    assert error.name == "optuna"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.name) == (str(error), "optuna")


def test_a_module_is_loaded() -> None:
    assert _packages.load("torch.nn", "loss", "torch") is sys.modules["torch.nn"]
    assert "run pip install scikit-learn" in str(_packages.missing("sklearn", "fit", "scikit-learn"))
