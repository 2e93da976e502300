"""An ensemble is exported: as programs, packed, and with a card, with the numbers of its training."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ensembles.small import KINDS, made_on, rows_of, write_table

from softtargets._errors import InputError
from softtargets.ensembles import load_ensemble
from softtargets.export import ExportOptions, export_run, load_packed, save_packed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("packing"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["name"])
def test_every_kind_is_exported_in_every_form(folder: Path, tmp_path: Path, kind: dict[str, Any]) -> None:
    results = made_on(folder, kind)
    formats = ("packed", "torch", "onnx")
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed)
    exported = export_run(results.folder, tmp_path / "out", formats)
    assert exported.files == ("classifier.toml", "model.pt2", "model.onnx", "card.md")
    assert max(exported.differences.values()) < 1e-5
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    packed = load_packed(tmp_path / "elsewhere")
    ensemble = results.ensemble
    assert ensemble is not None
    rows = rows_of(load_ensemble(results.folder).members[0].run)
    # a product may differ in its last bit with the alignment of its matrices
    torch.testing.assert_close(packed.predict_proba(rows), ensemble.predict_proba(rows))
    assert repr(packed.calibrator) == repr(ensemble.calibrator)
    assert (exported.calibrator is None) == (kind.get("calibrator") == "none")
    program = torch.export.load(tmp_path / "elsewhere" / "model.pt2").module()
    torch.testing.assert_close(program(rows), ensemble(rows), rtol=0, atol=1e-5)
    card = (tmp_path / "elsewhere" / "card.md").read_text()
    assert card.startswith("# Ensemble of 2 networks (mlp) on table\n")
    assert results.members[1].name in card
    assert f"`{kind['name']}`" in card
    assert ensemble.combination.words in card


def test_the_card_has_the_numbers_of_the_training(folder: Path, tmp_path: Path) -> None:
    results = made_on(folder, {"name": "seeds", "size": 2})
    export_run(results.folder.name[:10], tmp_path, (), runs=folder / "runs")
    card = (tmp_path / "card.md").read_text()
    found = results.variants()[0].metric("nll")
    assert found is not None
    assert found.value is not None
    assert f"| {found.value:.3f} |" in card
    assert "fitted after combining" in card
    assert f"| 2 (`{results.members[1].name}`) | {100 * results.members[1].metrics['accuracy']:.2f} % |" in card


def test_an_ensemble_keeps_its_calibrator(folder: Path, tmp_path: Path) -> None:
    results = made_on(folder, {"name": "seeds", "size": 2})
    for calibrator in (None, "vector-scaling"):
        with pytest.raises(InputError, match="calibrator: left out for an ensemble, which has its own; got"):
            export_run(results.folder, tmp_path / "out", options=ExportOptions(calibrator=calibrator))
    with pytest.raises(InputError, match="selected: false for an ensemble"):
        export_run(results.folder, tmp_path / "out", options=ExportOptions(selected=True))
    assert not (tmp_path / "out").exists()


def test_a_damaged_packed_ensemble_is_named(folder: Path, tmp_path: Path) -> None:
    results = made_on(folder, {"name": "boosting", "size": 2})
    place = save_packed(load_ensemble(results.folder), tmp_path / "packed")
    described = (place / "classifier.toml").read_text()
    (place / "classifier.toml").write_text(described.replace('"member-2"]', '"../member-2"]'))
    with pytest.raises(InputError, match=r"classifier\.members: member-1, member-2; got"):
        load_packed(place)
    (place / "classifier.toml").write_text(described)
    votes = (place / "combination.safetensors").read_bytes()
    (place / "combination.safetensors").write_bytes(votes[:-1] + bytes([votes[-1] ^ 1]))
    with pytest.raises(InputError, match=r"an intact 'combination\.safetensors' in .*; got another checksum"):
        load_packed(place)
    (place / "combination.safetensors").write_bytes(votes)
    weights = place / "member-2" / "model.safetensors"
    weights.unlink()
    with pytest.raises(InputError, match=r"'model\.safetensors' of a packed classifier in .*member-2"):
        load_packed(place)
