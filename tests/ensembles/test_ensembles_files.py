"""The folder of a trained ensemble: what is loaded from it is what was trained, and damage is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ensembles.small import KINDS, made_on, rows_of, write_table

from softtargets._errors import InputError
from softtargets.ensembles import EnsembleResults, find_ensemble, load_ensemble


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def pair(folder: Path) -> EnsembleResults:
    return made_on(folder, {"name": "seeds", "size": 2})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["name"])
def test_what_is_loaded_predicts_what_was_trained(folder: Path, kind: dict[str, Any]) -> None:
    results = made_on(folder, kind)
    loaded = load_ensemble(results.folder)
    assert results.ensemble is not None
    rows = rows_of(loaded.members[0].run)
    # a product may differ in its last bit with the alignment of its matrices
    torch.testing.assert_close(loaded.classifier.logits(rows), results.ensemble.logits(rows), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loaded.classifier.predict_proba(rows), results.ensemble.predict_proba(rows))
    assert len(loaded.members) == len(results.members)
    torch.testing.assert_close(loaded.test_logits.float(), loaded.classifier.logits(rows), rtol=1e-4, atol=1e-5)


def test_it_is_found_by_folder_or_first_digits(folder: Path, pair: EnsembleResults) -> None:
    name, runs = pair.folder.name, folder / "runs"
    assert find_ensemble(pair.folder) == pair.folder
    assert find_ensemble(name[:12], runs) == pair.folder
    assert find_ensemble(pair.members[0].identity, runs) is None
    assert find_ensemble("no-digits", runs) is None


def test_digits_of_several_are_refused(pair: EnsembleResults, tmp_path: Path) -> None:
    for name in ("ab12", "ab34"):
        shutil.copytree(pair.folder, tmp_path / "ensembles" / name)
    with pytest.raises(InputError, match="run: digits that only one run or ensemble starts with; got 'ab', the start"):
        find_ensemble("ab", tmp_path)


def test_damage_is_named(folder: Path, pair: EnsembleResults, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder: a folder with the ensemble\.json of an ensemble; got"):
        load_ensemble(tmp_path)
    voted = made_on(folder, {"name": "boosting", "size": 2})
    copy = folder / "runs" / "ensembles" / "copy"
    shutil.copytree(voted.folder, copy)
    (copy / "calibrator.safetensors").unlink()
    voted_alone = {**json.loads((copy / "ensemble.json").read_text()), "calibrator": None}
    (copy / "ensemble.json").write_text(json.dumps(voted_alone))
    (copy / "combination.safetensors").write_bytes(b"none")
    with pytest.raises(InputError, match=r"an intact 'combination\.safetensors'"):
        load_ensemble(copy)
    content = json.loads((pair.folder / "ensemble.json").read_text())
    (copy / "ensemble.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"folder: a calibrator\.safetensors, since .*; got none"):
        load_ensemble(copy)
    content["members"][0]["identity"] = "0" * 64
    (copy / "ensemble.json").write_text(json.dumps({**content, "calibrator": None}))
    with pytest.raises(InputError, match="the folder of a finished run; got none in"):
        load_ensemble(copy)
