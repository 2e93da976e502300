"""Training text classifiers on rows of tokens, and batches by tokens."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from training import KilledError, files_of, kill_before_steps, train

from softtargets._errors import InputError
from softtargets._spec import merged
from softtargets.data import fingerprint
from softtargets.data.sources import load_cached
from softtargets.measures.subject import opened
from softtargets.runs.record import read_predictions
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train import load_run, loop, predict_run
from softtargets.train.estimate import estimate_run_time, of_one_process
from softtargets.train.execute import execute, resolve
from softtargets.train.length import length_of

WORDS = {"weather": "rain snow sun cloud wind storm", "food": "bread milk rice soup apple cheese"}
BPE = {"name": "bpe", "vocabulary": 400}
SMALL = {
    "model": {"name": "embedding_bag", "width": 8, "dropout": 0.2},
    "optimizer": {"name": "adamw", "learning_rate": 0.05, "nesterov": False},
    "training": {"epochs": 3, "batch_tokens": 100, "precision": "float32"},
}
MakeRun = Callable[..., ResolvedRun]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 80 texts of 1 to 11 words in two classes."""
    path, generator = tmp_path_factory.mktemp("data") / "texts.parquet", torch.Generator().manual_seed(0)
    texts, labels = [], []
    for row in range(80):
        label = sorted(WORDS)[row % 2]
        words = WORDS[label].split()
        chosen = torch.randint(len(words), (1 + row % 11,), generator=generator).tolist()
        texts.append(" ".join(words[place] for place in chosen))
        labels.append(label)
    pq.write_table(pa.table({"text": texts, "label": labels}), path)
    return path


@pytest.fixture
def make(texts: Path) -> MakeRun:
    """Return a function from changes of a small specification to a resolved run."""

    def resolved(**changes: Any) -> ResolvedRun:
        base = {**SMALL, "data": {"name": str(texts), "tokenizer": BPE}}
        run = RunSpec.parse(merged(base, changes))
        return resolve(run, fingerprint(run.data))

    return resolved


def seen(resolved: ResolvedRun, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[list[int]]:
    """Train, and return the rows of each batch."""
    rows, step = [], loop.Learner.step

    def notes(self: Any, batch: Any, save: bool = False) -> Any:
        rows.append(batch.ids.tolist())
        assert batch.inputs.ids.shape == batch.inputs.mask.shape
        return step(self, batch, save)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Learner, "step", notes)
        assert execute(resolved, RunStore(folder)).status == "trained"
    return rows


def test_a_run_learns_and_is_loaded_and_predicts_texts(make: MakeRun, texts: Path, tmp_path: Path) -> None:
    resolved, store = make(), RunStore(tmp_path / "runs")
    assert train(resolved, store).status == "trained"
    run = load_run(store.path(resolved.identity))
    assert run.metrics["test.accuracy"] == 1.0
    assert run.input_shape.vocabulary == len(run.preprocessing.tokenizers[0].tokens)  # pyright: ignore[reportAttributeAccessIssue]
    predicted = run.predict(["snow and rain", "a cheese sandwich"]).tolist()
    assert [run.class_names[label] for label in predicted] == ["weather", "food"]
    recorded = read_predictions(run.folder)
    rows = [run.dataset.texts[row] for row in recorded["test.ids"].tolist()]  # pyright: ignore[reportOptionalSubscript]
    torch.testing.assert_close(run.logits(rows), recorded["test.logits"])
    # without the data of the run
    copy = tmp_path / "copy.csv"
    lines = [f"{text},{'food' if 'milk' in text else 'weather'}" for text in rows]
    copy.write_text("\n".join(["text,label", *lines]) + "\n")
    written = predict_run(run.folder, copy, tmp_path / "out.npz")
    assert written.num_rows == len(rows)
    assert run.folder.joinpath("tokenizer.json").exists()
    with opened(resolved, store) as subject:
        features, labels = subject.features("test", torch.arange(len(rows)))
    assert features.shape == (len(rows), 8)
    torch.testing.assert_close(run.network.head(features), recorded["test.logits"])  # pyright: ignore[reportCallIssue]
    assert labels.equal(recorded["test.labels"])


def test_texts_for_a_run_on_tokens(make: MakeRun, tmp_path: Path) -> None:
    resolved, store = make(data={"tokenizer": {"max_length": 30}}), RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    run = load_run(store.path(resolved.identity))
    with pytest.raises(InputError, match=re.escape("texts of at most 30 tokens") + r".*inputs\[1\]"):
        run.predict(["rain", "q w e r t z u i o p " * 3])
    with pytest.raises(TypeError, match="inputs: a list of texts"):
        run.predict(torch.zeros(2, 3))


def test_batches_by_tokens_keep_the_limit_and_change_with_the_epoch_and_the_order_seed(
    make: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = make()
    rows = seen(resolved, monkeypatch, tmp_path / "one")
    dataset = load_cached(resolved.run.data, str(tmp_path / "cache"))
    length = length_of(resolved.run, dataset)
    assert len(rows) == length.steps == 3 * length.steps_per_epoch
    epochs = [rows[start:][: length.steps_per_epoch] for start in range(0, len(rows), length.steps_per_epoch)]
    for epoch in epochs:
        assert sorted(row for batch in epoch for row in batch) == dataset.splits["train"].tolist()
        assert all(len(batch) * int(dataset.row_lengths[batch].max()) <= 100 for batch in epoch)
        assert [int(dataset.row_lengths[batch].max()) for batch in epoch] != sorted(
            int(dataset.row_lengths[batch].max()) for batch in epoch
        ), "the batches are not in the order of their lengths"
    assert epochs[0] != epochs[1]
    assert seen(resolved, monkeypatch, tmp_path / "again") == rows
    assert seen(make(seeds={"order": 1}), monkeypatch, tmp_path / "order") != rows
    assert seen(make(seeds={"dropout": 1}), monkeypatch, tmp_path / "dropout") == rows


@pytest.mark.parametrize("training", [{}, {"accumulate": 3, "average_decay": 0.9}, {"batch_tokens": None}])
def test_a_run_killed_after_any_step_ends_bit_for_bit_the_same(
    make: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: dict[str, Any]
) -> None:
    resolved = make(training={**training, **({"batch_size": 9} if "batch_tokens" in training else {})})
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert execute(resolved, whole).status == "trained"
    steps = (whole.result(resolved.identity) or {})["steps"]
    deaths = {1, steps // 2, steps - 1}
    with monkeypatch.context() as patch:
        taken = kill_before_steps(patch, set(deaths))
        for _ in deaths:
            with pytest.raises(KilledError):
                execute(resolved, killed, checkpoint_seconds=0)
        assert execute(resolved, killed, checkpoint_seconds=0).status == "trained"
    assert taken == list(range(steps))
    assert files_of(killed, resolved.identity) == files_of(whole, resolved.identity)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(make: MakeRun, tmp_path: Path) -> None:
    settings = {"model": {"dropout": 0.0}, "optimizer": {"name": "sgd", "learning_rate": 0.5}}
    weights = []
    for accumulate in (None, 4):
        resolved, store = make(**settings, training={"accumulate": accumulate}), RunStore(tmp_path)
        assert execute(resolved, store).status == "trained"
        weights.append(load_run(store.path(resolved.identity)).network.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value)


def test_a_transformer_and_other_objectives_train_on_tokens(make: MakeRun, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    config = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    bert = {"name": "transformers", "architecture": "bert", "config": config}
    store = RunStore(tmp_path)
    resolved = make(model=bert, optimizer={"learning_rate": 0.01}, training={"epochs": 6})
    assert train(resolved, store).status == "trained"
    assert load_run(store.path(resolved.identity)).metrics["test.accuracy"] > 0.9
    student = make(
        objective={"name": "distillation"}, teachers=[resolved.run.model_dump(mode="json", exclude_none=True)]
    )
    assert train(student, store).status == "trained"
    for objective in ({"name": "cross_entropy", "smoothing": 0.1}, {"name": "tfidf_smoothing"}, {"name": "focal"}):
        assert train(make(objective=objective), store).status == "trained"


def test_what_does_not_fit_is_said_before_training(make: MakeRun, texts: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    store = RunStore(tmp_path)
    short = {
        "name": "transformers",
        "architecture": "bert",
        "config": {"max_position_embeddings": 5, "hidden_size": 12},
    }
    cases = [
        ({"training": {"batch_tokens": 3}}, r"training\.batch_tokens: at least \d+, the tokens of the longest row"),
        ({"data": {"tokenizer": None}}, r"training\.batch_tokens: left out for data without data\.tokenizer"),
        ({"model": short}, r"data\.tokenizer: texts of at most 5 tokens.*got \d+ in texts\.parquet, row \d+"),
        ({"model": {"name": "mlp"}}, "rows of tokens; use embedding_bag"),
        ({"objective": {"name": "mixup"}}, "inputs that are numbers, for 'mixup'; got rows of tokens"),
        ({"noise": {"name": "instance", "rate": 0.2}}, "inputs that are numbers, for 'instance'; got rows of tokens"),
        ({"augmentation": {"flip": True}}, "augmentation: a data set of images; got texts"),
    ]
    for changes, message in cases:
        with pytest.raises(InputError, match=message):
            train(make(**changes), store)
    with pytest.raises(InputError, match="batch_tokens: left out with batch_size"):
        make(training={"batch_size": 64})
    assert not list(tmp_path.glob("*.partial"))


def test_the_identity_does_not_depend_on_where_a_tokenizer_is(make: MakeRun) -> None:
    run, other = (
        make().run.changed(data=make().run.data.changed(tokenizer={"pretrained": path})) for path in ("here", "there")
    )
    one, two = resolve(run, "content"), resolve(other, "content")
    assert one.identity == two.identity
    assert one.identity != resolve(run.changed(data=run.data.changed(tokenizer=None)), "content").identity
    cut = run.data.changed(tokenizer={"pretrained": "here", "max_length": 9})
    assert one.identity != resolve(run.changed(data=cut), "content").identity


def test_the_estimate_counts_batches_by_tokens(make: MakeRun, tmp_path: Path) -> None:
    run = make().run
    dataset = load_cached(run.data, str(tmp_path))
    assert estimate_run_time(run, dataset, budget=0.01).steps == length_of(run, dataset).steps
    shared = run.changed(training=run.training.changed(devices=2))
    assert of_one_process(shared, longest=20).training.batch_tokens == 50
    assert of_one_process(shared, longest=70).training.batch_tokens == 70
