"""Exported programs give the probabilities of the module, for every kind of inputs, calibrator and batch size."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from classifiers import KINDS, inputs_of

from softtargets._errors import InputError
from softtargets.calibration.calibrator import calibrator_names
from softtargets.export import save_onnx, save_program
from softtargets.export.programs import difference, drawn_inputs

ROWS = (1, 2, 3, 50)


def onnx() -> Any:
    """Return onnxruntime; skip the test without it."""
    reason = "not installed: pip install 'softtargets[export]'"
    return [pytest.importorskip(name, reason=reason) for name in ("onnx", "onnxscript", "onnxruntime")][-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_torch_program_gives_the_probabilities_of_the_module(trained, tmp_path: Path, kind: str) -> None:
    run = trained(kind).calibrate("temperature-scaling")
    save_program(run.classifier, tmp_path / "model.pt2")
    extra = {"class_names.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    assert tuple(json.loads(extra["class_names.json"])) == run.class_names
    for rows in ROWS:
        inputs = drawn_inputs(run.classifier, rows)
        found = program(*inputs)
        assert found.shape == (rows, len(run.class_names))
        torch.testing.assert_close(found, run.classifier(*inputs), rtol=0, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


@pytest.mark.parametrize("name", sorted(calibrator_names()))
def test_every_calibrator_is_exported(trained, tmp_path: Path, name: str) -> None:
    classifier = trained("images").calibrate(name).classifier
    program = save_program(classifier, tmp_path / "model.pt2")
    images = inputs_of(trained("images"))
    for rows in ROWS:
        torch.testing.assert_close(program(images[:rows]), classifier(images[:rows]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((kind, "temperature-scaling") for kind in KINDS[1:])]
    + [("images", name) for name in sorted(calibrator_names())],
)
def test_an_onnx_program_gives_the_probabilities_of_the_module(trained, tmp_path: Path, kind: str, name: str) -> None:
    onnxruntime = onnx()

    classifier = trained(kind).calibrate(name).classifier
    program = save_onnx(classifier, tmp_path / "model.onnx")
    for rows in ROWS:
        inputs = drawn_inputs(classifier, rows)
        torch.testing.assert_close(program(*inputs), classifier(*inputs), rtol=0, atol=1e-5)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == (["ids", "mask"] if kind == "tokens" else ["inputs"])
    assert [one.name for one in session.get_outputs()] == ["probs"]
    properties = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(properties["class_names"])) == classifier.class_names


def test_without_onnx_the_extra_is_named(trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"onnxruntime; got no such package; .*softtargets\[export\]"):
        save_onnx(trained("images").classifier, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_program_of_another_classifier_differs(trained, tmp_path: Path) -> None:
    one, other = (trained("images").calibrate(name).classifier for name in ("temperature-scaling", "histogram-binning"))
    program = save_program(one, tmp_path / "model.pt2")
    assert difference(program, one) < 1e-6
    assert difference(program, other) > 1e-3


class _ByValue(torch.nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, :10] * (2 if float(inputs.sum()) > 0 else 1)


def test_a_network_that_cannot_be_exported_is_refused(trained, tmp_path: Path) -> None:
    from dataclasses import replace

    from softtargets.runs.network import TrainedModel

    run = trained("images")
    other = replace(run, model=TrainedModel(_ByValue(), run.resolved))
    with pytest.raises(InputError, match="run: a network that torch can export; got "):
        save_program(other.classifier, tmp_path / "model.pt2")


def test_the_sizes_that_vary_have_names_in_onnx(trained, tmp_path: Path) -> None:
    for kind, sizes in (("images", ["rows"]), ("tokens", ["rows", "length"])):
        save_onnx(trained(kind).classifier, tmp_path / f"{kind}.onnx")
        session = onnx().InferenceSession(str(tmp_path / f"{kind}.onnx"), providers=["CPUExecutionProvider"])
        for one in session.get_inputs():
            assert [size for size in one.shape if isinstance(size, str)] == sizes, kind
        assert session.get_outputs()[0].shape[0] == "rows"
