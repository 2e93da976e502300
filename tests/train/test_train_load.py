"""Loading a trained run in Python: the network gives the numbers that the run recorded."""

import json
import shutil

import numpy as np
import pytest
import torch
from training import train

from softtargets._errors import InputError, InputTypeError
from softtargets.runs.store import CHECKPOINT, RESULT, RunStore
from softtargets.train import load_run, train_run
from softtargets.train.execute import execute

KINDS = {
    "images": {"model": {"name": "resnet", "depth": 8, "width": 4}, "training": {"epochs": 1}},
    "images, small": {},
    "averaged": {"training": {"average_decay": 0.9}},
}


@pytest.mark.parametrize("name", KINDS)
def test_a_loaded_run_predicts_what_it_recorded_without_its_data(small_run, tmp_path, name, monkeypatch) -> None:
    resolved, store = small_run(**KINDS[name]), RunStore(tmp_path)
    assert train(resolved, store).status == "trained"
    run = load_run(store.path(resolved.identity))
    images = run.dataset.inputs[run.predictions["test.ids"]]
    monkeypatch.setattr("softtargets.train.load.load_cached", lambda *arguments: pytest.fail("the data set was read"))
    run = load_run(str(store.path(resolved.identity)))
    torch.testing.assert_close(run.logits(images), run.predictions["test.logits"], rtol=1e-5, atol=1e-5)
    assert torch.equal(run.predict(images), run.predictions["test.logits"].argmax(1))
    torch.testing.assert_close(run.predict_proba(images), run.predictions["test.logits"].softmax(1))
    assert run.class_names == tuple("0123456789")
    assert run.specification == resolved.run
    assert run.resolved.identity == resolved.identity
    assert [row["epoch"] for row in run.history] == list(range(1, 1 + (resolved.run.training.epochs or 0)))
    right = run.predict(images) == run.predictions["test.labels"]
    assert run.metrics["test.accuracy"] == pytest.approx(float(right.double().mean()))
    assert not run.network.training
    assert not any(parameter.requires_grad for parameter in run.network.parameters())


def test_arrays_give_arrays_and_large_inputs_are_computed_in_batches(small_run, tmp_path) -> None:
    store, resolved = RunStore(tmp_path), small_run()
    train(resolved, store)
    run = load_run(store.path(resolved.identity))
    images = torch.randint(0, 17, (2500, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    found = run.logits(images.numpy())
    assert isinstance(found, np.ndarray)
    assert torch.equal(torch.from_numpy(found), run.logits(images))
    assert run.logits(images[:0]).shape == (0, 10)
    assert isinstance(run.predict(images[:3].numpy()), np.ndarray)


def test_a_table_and_texts(small_run, tmp_path) -> None:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(90, 2, generator=draw).double() * 7 + 3
    table = tmp_path / "table.csv"
    table.write_text("a,b,label\n" + "".join(f"{a},{b},{int(a > 3)}\n" for a, b in rows.tolist()))
    words = tmp_path / "texts.csv"
    words.write_text(
        "text,label\n" + "".join(f"{'good' if n % 2 else 'bad'} film {n % 7},{n % 2}\n" for n in range(90))
    )
    store = RunStore(tmp_path / "runs")
    for path in (table, words):
        resolved = small_run(data={"name": str(path), "limit": None})
        assert execute(resolved, store).status == "trained"
        run = load_run(store.path(resolved.identity))
        ids = run.predictions["test.ids"]
        inputs = run.dataset.inputs[ids] if path == table else [(run.dataset.texts or ())[row] for row in ids.tolist()]
        torch.testing.assert_close(run.logits(inputs), run.predictions["test.logits"], rtol=1e-5, atol=1e-5)


def test_the_weights_of_the_selected_epoch(small_run, tmp_path) -> None:
    store = RunStore(tmp_path)
    resolved = small_run(training={"evaluate_every": 1, "epochs": 8}, optimizer={"learning_rate": 1.0})
    train(resolved, store)
    folder = store.path(resolved.identity)
    run, last = load_run(folder, selected=True), load_run(folder)
    images = run.dataset.inputs[run.predictions["test.ids"]]
    torch.testing.assert_close(run.logits(images), run.predictions["selected.test.logits"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(last.logits(images), run.predictions["test.logits"], rtol=1e-5, atol=1e-5)
    plain = small_run()
    train(plain, store)
    with pytest.raises(
        InputError, match=r"selected: false for a run that was not evaluated .*training\.evaluate_every"
    ):
        load_run(store.path(plain.identity), selected=True)


def test_a_record_of_an_earlier_version_reads_its_data_set(small_run, tmp_path, monkeypatch) -> None:
    from softtargets.train import training

    result = training._result

    def earlier(*arguments):
        found = result(*arguments)
        del found["data"]["class_names"], found["data"]["preprocessing"]
        return found

    monkeypatch.setattr(training, "_result", earlier)
    store, resolved = RunStore(tmp_path), small_run()
    train(resolved, store)
    run = load_run(store.path(resolved.identity))
    assert run.class_names == tuple("0123456789")
    images = run.dataset.inputs[run.predictions["test.ids"]]
    torch.testing.assert_close(run.logits(images), run.predictions["test.logits"], rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    specification = {"model": {"name": "mlp", "hidden": [8]}, "training": {"epochs": 1}}
    return load_run(train_run(specification, runs=tmp_path_factory.mktemp("runs")).folder)


@pytest.mark.parametrize(
    ("inputs", "error", "text"),
    [
        (
            torch.zeros(2, 1, 8, 8),
            InputTypeError,
            "inputs: images of dtype uint8, from 0 to 255; got dtype torch.float32",
        ),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), InputError, r"inputs: shape (N, 1, H, W); got (2, 3, 8, 8)"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), InputError, r"inputs: shape (N, 1, H, W); got (1, 8, 8)"),
        (["a text"], InputTypeError, "inputs: a tensor or an array; got a list"),
        ("a text", InputTypeError, "inputs: a tensor, an array or a list of images; got str"),
        (None, InputTypeError, "got NoneType"),
    ],
)
def test_inputs_of_another_kind_are_refused(digits_run, inputs, error, text) -> None:
    with pytest.raises(error) as caught:
        digits_run.normalize(inputs)
    assert text in str(caught.value)


def test_a_folder_without_an_intact_run_is_refused(digits_run, tmp_path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="folder: the folder of a finished run; got none in"):
            load_run(folder)
    copy = tmp_path / digits_run.folder.name
    shutil.copytree(digits_run.folder, copy)
    result = json.loads((copy / RESULT).read_text())
    (copy / RESULT).write_text(json.dumps({**result, "steps": 1}))
    with pytest.raises(InputError, match="a damaged one"):
        load_run(copy)
    assert not (copy / CHECKPOINT).exists()
