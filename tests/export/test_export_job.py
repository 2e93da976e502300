"""`export_run`: what it writes and returns, and errors before anything is written."""

from pathlib import Path

import pytest

from softtargets._errors import InputError
from softtargets.export import ExportOptions, export_run, load_packed


def test_all_parts_in_one_folder(trained, tmp_path: Path) -> None:
    run = trained("images")
    exported = export_run(run.folder, tmp_path / "out", ("packed", "torch"))
    assert exported.files == ("classifier.toml", "model.pt2", "card.md")
    assert exported.calibrator is not None
    assert exported.calibrator.startswith("TemperatureScaling(")
    assert set(exported.differences) == {"torch"}
    assert exported.differences["torch"] < 1e-6
    card = (tmp_path / "out" / "card.md").read_text()
    assert "load_packed" in card
    assert 'torch.export.load("model.pt2")' in card
    assert "onnx" not in card
    assert repr(load_packed(tmp_path / "out").calibrator) == exported.calibrator
    assert exported.to_dict()["folder"] == str(tmp_path / "out")


def test_without_calibrator_and_card(trained, tmp_path: Path) -> None:
    run = trained("images")
    exported = export_run(
        run.folder.name[:12],
        tmp_path,
        "packed",
        runs=run.folder.parent,
        options=ExportOptions(calibrator=None, card=False),
    )
    assert exported.files == ("classifier.toml",)
    assert exported.calibrator is None
    assert not (tmp_path / "card.md").exists()
    assert export_run(run.folder, tmp_path, ()).files == ("card.md",)


@pytest.mark.parametrize(
    ("to", "options", "words"),
    [
        (("onx",), ExportOptions(), r"to: one of onnx, torch, packed; got 'onx'; did you mean 'onnx'\?"),
        ((), ExportOptions(card=False), "to: one of onnx, torch, packed; got none, and no card"),
        (
            "packed",
            ExportOptions(calibrator="temperature"),
            "calibrator: one of .*; did you mean 'temperature-scaling'",
        ),
        ("packed", ExportOptions(selected=True), "selected: false for a run that was not evaluated"),
        ("packed", ExportOptions(audit="none"), "audit: a folder with an audit"),
    ],
)
def test_bad_options_write_nothing(trained, tmp_path: Path, to, options: ExportOptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        export_run(trained("images").folder, tmp_path / "out", to, options=options)
    assert not (tmp_path / "out").exists()
