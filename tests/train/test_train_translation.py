"""The training loop on sentence pairs: every target token is an example."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from pairs import WORDS, translation, write_pairs
from safetensors.torch import load_file
from training import KilledError, files_of, train

from softtargets._errors import InputError
from softtargets.data import fingerprint
from softtargets.data.sources import load
from softtargets.models.decoding import Search
from softtargets.models.marian import MarianNetwork
from softtargets.models.sequences import token_counts, token_labels
from softtargets.objectives import OBJECTIVES, Batch, ObjectiveContext
from softtargets.runs.network import load_trained
from softtargets.runs.record import read_history, read_predictions
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.train import loop
from softtargets.train.batches import Inputs
from softtargets.train.execute import execute, resolve
from softtargets.train.translations import taught_translations

pytest.importorskip("transformers", reason="transformers is not installed")

AVERAGED = {"average_decay": 0.9, "evaluate_every": 1, "snapshot_every": 1, "clip_norm": 1.0, "accumulate": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def run_of(folder: Path, **settings: Any) -> ResolvedRun:
    run = RunSpec.parse(translation(folder, **settings))
    return resolve(run, fingerprint(run.data))


def trained(resolved: ResolvedRun, store: RunStore) -> dict[str, torch.Tensor]:
    outcome = train(resolved, store)
    assert outcome.status == "trained", outcome
    return load_file(store.path(resolved.identity) / "model.safetensors")


def test_a_network_learns_to_translate(tmp_path: Path) -> None:
    write_pairs(tmp_path, train=400)
    resolved, store = run_of(tmp_path, training={"epochs": 20, "evaluate_every": 5}), RunStore(tmp_path / "runs")
    trained(resolved, store)
    dataset = load(resolved.run.data)
    history = [row for row in read_history(store.path(resolved.identity)) if "validation_nll" in row]
    assert history[0]["validation_nll"] > history[-1]["validation_nll"]
    assert history[-1]["validation_accuracy"] > 0.95
    rows = dataset.splits["test"]
    source = Inputs(dataset, torch.device("cpu")).batch(rows).source
    network: Any = load_trained(resolved, dataset, store).network
    assert dataset.texts is not None
    assert dataset.output_tokenizer is not None
    for settings in (Search(beam=1), Search(beam=4)):
        found = network.translate(source, settings)
        texts = [dataset.output_tokenizer.decode(dataset.outputs.of([list(each.ids)]))[0] for each in found]  # pyright: ignore[reportOptionalMemberAccess]
        expected = [" ".join(WORDS[word] for word in dataset.texts[row].split()) for row in rows.tolist()]
        assert sum(map(str.__eq__, texts, expected)) >= 0.9 * len(expected)


def test_what_is_recorded_are_sums_over_the_tokens_of_each_row(folder: Path, tmp_path: Path) -> None:
    resolved, store = run_of(folder, training={"evaluate_every": 1}), RunStore(tmp_path)
    trained(resolved, store)
    dataset, predictions = load(resolved.run.data), read_predictions(store.path(resolved.identity))
    network = load_trained(resolved, dataset, store).network
    for split in ("validation", "test"):
        for place, row in enumerate(dataset.splits[split].tolist()):
            pair = Inputs(dataset, torch.device("cpu")).batch(torch.tensor([row]))
            labels = token_labels(pair)
            assert dataset.outputs is not None
            assert labels.tolist() == dataset.outputs.row(row).tolist()
            with torch.no_grad():
                log_probs = network(pair).log_softmax(1)
            nll = -log_probs.gather(1, labels[:, None]).sum()
            assert float(predictions[f"{split}.nll"][place]) == pytest.approx(float(nll), abs=1e-3)
            assert int(predictions[f"{split}.correct"][place]) == int((log_probs.argmax(1) == labels).sum())
            assert int(predictions[f"{split}.tokens"][place]) == len(labels)
    assert not any("logits" in name for name in predictions)
    last = read_history(store.path(resolved.identity))[-1]
    tokens = predictions["validation.tokens"].sum()
    assert last["validation_nll"] == pytest.approx(float(predictions["validation.nll"].sum() / tokens), abs=1e-6)
    assert last["validation_accuracy"] == pytest.approx(float(predictions["validation.correct"].sum() / tokens))


def test_the_loss_is_the_mean_over_all_tokens_of_a_batch(folder: Path, tmp_path: Path) -> None:
    settings = {"training": {"epochs": None, "steps": 1, "batch_tokens": 10_000}, "model": {"dropout": 0.0}}
    resolved, store = (
        run_of(folder, objective={"name": "cross_entropy", "smoothing": 0.1}, **settings),
        RunStore(tmp_path),
    )
    dataset = load(resolved.run.data)
    trainer = loop.Trainer(resolved, dataset, clean(dataset), tmp_path)
    batch = Inputs(dataset, torch.device("cpu")).batch(dataset.splits["train"])
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(trainer.model(batch), token_labels(batch), label_smoothing=0.1)
    trained(resolved, store)
    assert read_history(store.path(resolved.identity))[0]["objective"] == pytest.approx(float(expected), rel=1e-5)


def clean(dataset: Any) -> Any:
    from softtargets.data.noise import observe
    from softtargets.runs.streams import generator

    return observe(None, dataset, generator("noise", 0))


@pytest.mark.parametrize("objective", ["cross_entropy", "focal"])
def test_parts_of_a_batch_give_the_gradient_of_all_its_tokens(folder: Path, tmp_path: Path, objective: str) -> None:
    settings = {"model": {"dropout": 0.0}, "objective": {"name": objective}, "optimizer": {"name": "sgd"}}
    weights = []
    for parts in (None, 3, 50):
        training = {"epochs": None, "steps": 3, "batch_tokens": 10_000, "accumulate": parts}
        weights.append(trained(run_of(folder, training=training, **settings), RunStore(tmp_path)))
    for other in weights[1:]:
        for name, value in weights[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("objective", [{"name": "cross_entropy", "smoothing": 0.1}, {"name": "confidence_penalty"}])
@pytest.mark.parametrize(
    "training", [AVERAGED, {"batch_tokens": None, "batch_size": 8, "patience": 1, "evaluate_every": 1}]
)
def test_a_run_that_is_killed_ends_bit_for_bit_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: dict[str, Any], training: dict[str, Any]
) -> None:
    resolved = run_of(folder, objective=objective, training=training, model={"dropout": 0.2})
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert execute(resolved, whole).status == "trained"
    steps = (whole.result(resolved.identity) or {})["steps"]
    original = loop.Learner.step
    for death in random.Random(str(training)).sample(range(1, steps), 3):
        taken = iter(range(steps))

        def dies(self: Any, *arguments: Any, last: int = death, taken: Any = taken) -> Any:
            if next(taken) == last:
                raise KilledError
            return original(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(loop.Learner, "step", dies)
            try:
                execute(resolved, killed, checkpoint_seconds=0)
            except KilledError:
                continue
            break
    else:
        assert execute(resolved, killed, checkpoint_seconds=0).status == "trained"
    assert files_of(killed, resolved.identity) == files_of(whole, resolved.identity)


def test_a_student_learns_from_its_teacher_token_by_token(folder: Path, tmp_path: Path) -> None:
    store, student = RunStore(tmp_path), {"name": "distillation", "temperature": 2.0}
    teacher = translation(folder, seeds={"initialisation": 5}, training={"epochs": 4})
    specification = {**translation(folder, objective=student, training={"epochs": 4}), "teachers": [teacher]}
    resolved = resolve(RunSpec.parse(specification), fingerprint(RunSpec.parse(teacher).data))
    trained(resolved, store)
    rows = read_history(store.path(resolved.identity))
    assert rows[-1]["objective"] < rows[0]["objective"]
    # the first loss of a student with the teacher's own weights is 0
    assert resolved.teachers is not None
    dataset = load(resolved.run.data)
    network = load_trained(resolved.teachers[0], dataset, store)
    inputs = Inputs(dataset, torch.device("cpu")).batch(dataset.splits["train"][:5])
    labels = token_labels(inputs)
    context = ObjectiveContext(
        num_examples=100,
        num_classes=dataset.num_classes,
        teacher=lambda ids, batch: network.logits(batch)[None],
        sequences=True,
    )
    objective = resolved.run.objective.started(context)
    batch = objective.prepare(Batch(inputs, labels, labels, counts=token_counts(inputs)), torch.Generator())
    assert float(objective.batch_loss(network.logits(inputs), batch)) == pytest.approx(0, abs=1e-5)


def test_a_student_learns_the_translations_of_its_teacher(folder: Path, tmp_path: Path) -> None:
    store, student = RunStore(tmp_path), {"name": "distillation", "weight": 0.0, "beam": 2}
    teacher = translation(folder, seeds={"initialisation": 5}, training={"epochs": 6})
    specification = {**translation(folder, objective=student, model={"dropout": 0.0}), "teachers": [teacher]}
    specification["training"] = {**specification["training"], "epochs": None, "steps": 1, "batch_tokens": 10_000}
    resolved = resolve(RunSpec.parse(specification), fingerprint(RunSpec.parse(teacher).data))
    trained(resolved, store)
    assert resolved.teachers is not None
    dataset, model = load(resolved.run.data), load_trained(resolved.teachers[0], load(resolved.run.data), store)
    taught = taught_translations(resolved, dataset, store, model)
    rows, network = dataset.splits["train"], model.network
    assert isinstance(network, MarianNetwork)
    assert dataset.outputs is not None
    assert taught.outputs is not None
    for row in rows.tolist()[:10]:
        (output,) = network.translate(Inputs(dataset, torch.device("cpu")).batch(torch.tensor([row])).source, Search(2))
        expected = [*output.ids, *([network.eos] if output.finished else [])]
        assert taught.outputs.row(row).tolist() == expected
    for row in dataset.splits["test"].tolist():
        assert taught.outputs.row(row).tolist() == dataset.outputs.row(row).tolist()
    # the first loss is the cross entropy with these translations
    trainer = loop.Trainer(resolved, taught, clean(taught), tmp_path, teachers=[model])
    batch = Inputs(taught, torch.device("cpu")).batch(rows)
    with torch.no_grad():
        first = torch.nn.functional.cross_entropy(trainer.model(batch), token_labels(batch))
    assert read_history(store.path(resolved.identity))[0]["objective"] == pytest.approx(float(first), rel=1e-5)
    # they are read again, and not made again
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MarianNetwork, "translate", None)
        again = taught_translations(resolved, dataset, store, model)
    assert torch.equal(again.outputs.values, taught.outputs.values)  # pyright: ignore[reportOptionalMemberAccess]


def test_objectives_that_keep_something_for_each_row_or_pair_of_classes_are_refused() -> None:
    context = ObjectiveContext(num_examples=10, num_classes=20, sequences=True)
    with pytest.raises(InputError, match=r"^objective: one whose loss is computed for each token .*'early_learning'"):
        OBJECTIVES["early_learning"].parse({}).started(context)
    refused = {name for name, kind in OBJECTIVES.items() if not kind.takes_sequences}
    assert refused >= {
        "online_smoothing",
        "mixup",
        "cutmix",
        "votes",
        "forward",
        "learned_smoothing",
        "keyword_smoothing",
    }


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"noise": {"name": "symmetric", "rate": 0.1}}, "noise"),
        ({"training": {"devices": 2}}, r"training\.devices"),
        ({"training": {"dynamics": True}}, r"training\.dynamics"),
        ({"objective": {"name": "mixup"}}, "objective"),
        ({"model": {"positions": 5}}, r"data\.tokenizer|model\.positions"),
        ({"augmentation": {"flip": True}}, "augmentation"),
    ],
)
def test_settings_without_meaning_are_refused_before_training(
    folder: Path, tmp_path: Path, settings: dict[str, Any], key: str
) -> None:
    from softtargets.train import train_run

    with pytest.raises(InputError, match=rf"^({key}): "):
        train_run(translation(folder, **settings), runs=tmp_path)


def test_networks_of_other_data_are_refused(folder: Path, tmp_path: Path) -> None:
    from softtargets.train import train_run

    pairs = {**translation(folder), "model": {"name": "embedding_bag"}}
    with pytest.raises(InputError, match=r"^model\.name: a network for sentence pairs: marian; got 'embedding_bag'"):
        train_run(pairs, runs=tmp_path)
    one_side = translation(folder)
    one_side["data"] = {key: value for key, value in one_side["data"].items() if key != "source"}
    with pytest.raises(InputError, match=r"^model\.name: a network for texts without labels: causal_lm; got 'marian'"):
        train_run(one_side, runs=tmp_path)


def test_a_language_model_trains_in_the_same_loop(folder: Path, tmp_path: Path) -> None:
    specification = {
        **translation(folder),
        "model": {"name": "causal_lm", "config": {"n_embd": 16, "n_layer": 1, "n_head": 2}},
    }
    specification["data"] = {key: value for key, value in specification["data"].items() if key != "source"}
    resolved, store = resolve(run := RunSpec.parse(specification), fingerprint(run.data)), RunStore(tmp_path)
    trained(resolved, store)
    rows, dataset = read_history(store.path(resolved.identity)), load(resolved.run.data)
    assert rows[-1]["objective"] < rows[0]["objective"]
    # the first token of a text is given, and all others are predicted
    predictions = read_predictions(store.path(resolved.identity))
    assert dataset.outputs is not None
    expected = dataset.outputs.lengths[dataset.splits["test"]] - 1
    assert predictions["test.tokens"].tolist() == expected.tolist()
