"""Retrieval of classes by their names: against a loop over queries, and what is refused."""

from pathlib import Path

import pytest
import torch
from measures.small_runs import TOPICS, on_texts, trained

from softtargets._errors import InputError
from softtargets.data import count_words, load
from softtargets.data.spec import DataSpec
from softtargets.measures.registry import MEASURES
from softtargets.measures.retrieval import ranks_of, retrieval
from softtargets.measures.subject import Subject

NAMES = ["card lost", "book Flight", "weather", "play music", "pay bill", "set alarm"]


def _ranks(subject: Subject, texts: list[str], right: list[str], names: list[str]) -> list[int]:
    """Rank one query after the other, with the network called by hand."""
    weigh = subject.preprocessing.on(torch.device("cpu"))

    def vector(text: str) -> torch.Tensor:
        with torch.no_grad():
            return subject.network.features(weigh(count_words([text])))[0].double()  # pyright: ignore

    known, ranks = {name: vector(name) for name in names}, []
    for text, own in zip(texts, right, strict=True):
        query = vector(text)
        cosines = {name: float(query @ v / (query.norm() * v.norm()).clamp_min(1e-300)) for name, v in known.items()}
        ranks.append(sum(value >= cosines[own] - 1e-9 for value in cosines.values()))
    return ranks


def _test_texts(data: DataSpec, classes: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the test texts of these classes, by their names as texts."""
    whole = load(data)
    rows = [row for row in whole.splits["test"].tolist() if whole.class_names[whole.labels[row]] in classes]
    assert whole.texts is not None
    return [whole.texts[row] for row in rows], [classes[whole.class_names[whole.labels[row]]] for row in rows]


def test_reciprocal_ranks_and_recalls_are_those_of_a_loop(store, intents) -> None:
    subject = on_texts(store, intents)
    data, text_of = subject.resolved.run.data, dict(zip(TOPICS, NAMES, strict=True))
    ranks = _ranks(subject, *_test_texts(data, text_of), NAMES)
    found = retrieval(subject)
    assert found["retrieval.mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks), abs=1e-12)
    for k in (1, 5):
        assert found[f"retrieval.recall{k}"] == pytest.approx(sum(rank <= k for rank in ranks) / len(ranks))
    assert found["retrieval.recall10"] == 1, "of six classes"
    # words of names are among those of the texts; by chance the mean would be 0.41
    assert found["retrieval.mrr"] > 0.6
    assert 0.6 < found["retrieval.words.mrr"] < 1
    assert not any("unseen" in name or "few_shot" in name for name in found), "no class is rare or left out"
    assert found.keys() <= MEASURES.keys()


def test_classes_that_are_left_out_are_ranked_among_all(store, intents) -> None:
    kept = ("bookFlight", "weather", "pay_bill", "set-alarm")
    subject = on_texts(store, intents, classes=kept)
    left_out = {"card_lost": "card lost", "play_music": "play music"}
    every = subject.resolved.run.data.changed(classes=None)
    ranks = _ranks(subject, *_test_texts(every, left_out), NAMES)
    found = retrieval(subject)
    assert found["retrieval.unseen.mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks), abs=1e-12)
    seen = {"bookFlight": "book Flight", "weather": "weather", "pay_bill": "pay bill", "set-alarm": "set alarm"}
    ranks = _ranks(subject, *_test_texts(subject.resolved.run.data, seen), NAMES)
    assert found["retrieval.mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks), abs=1e-12)


def test_rare_classes_are_counted_by_training_examples(store, intents) -> None:
    tail = {"name": "exponential", "largest": 60, "ratio": 12.0}
    subject = on_texts(store, intents, long_tail=tail)
    counts = torch.bincount(subject.predictions["train.labels"], minlength=6)
    class_names = subject.class_names
    text_of = dict(zip(TOPICS, NAMES, strict=True))
    rare = {name: text_of[name] for name, count in zip(class_names, counts.tolist(), strict=True) if count < 20}
    assert 0 < len(rare) < 6
    ranks = _ranks(subject, *_test_texts(subject.resolved.run.data, rare), NAMES)
    found = retrieval(subject)["retrieval.few_shot.mrr"]
    assert found == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks), abs=1e-12)


def _token_ranks(subject: Subject, texts: list[str], right: list[str], names: list[str]) -> list[int]:
    """Rank one query after the other with the tokens of the run's own tokenizer."""
    encode = subject.preprocessing.tokenizers[0].encode

    def vector(text: str) -> torch.Tensor:
        with torch.no_grad():
            batch = encode([text]).padded(torch.tensor([0]), 0)
            return subject.network.features(batch)[0].double()  # pyright: ignore[reportCallIssue]

    known, ranks = torch.stack([vector(name) for name in names]), []
    for text, own in zip(texts, right, strict=True):
        cosines = torch.cosine_similarity(vector(text)[None], known)
        ranks.append(int((cosines >= cosines[names.index(own)] - 1e-6).sum()))
    return ranks


@pytest.mark.parametrize("encoder", ["embedding_bag", "bert"])
def test_names_are_ranked_by_tokens_too(store, intents, encoder) -> None:
    model = {"name": "embedding_bag", "width": 16}
    if encoder == "bert":
        pytest.importorskip("transformers", reason="transformers is not installed")
        size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        model = {"name": "transformers", "architecture": "bert", "config": size}
    kept = ("bookFlight", "weather", "pay_bill", "set-alarm")
    tokenizer = {"name": "bpe", "vocabulary": 350}
    spec = DataSpec.parse({"name": intents, "tokenizer": tokenizer, "classes": kept})
    adam = {"name": "adamw", "learning_rate": 0.01, "nesterov": False}
    run = trained(store, spec, model=model, optimizer=adam, augmentation={"shift": 0}, training={"epochs": 6})
    subject = Subject(run, store, None)
    found = retrieval(subject)
    seen = {"bookFlight": "book Flight", "weather": "weather", "pay_bill": "pay bill", "set-alarm": "set alarm"}
    left_out = {"card_lost": "card lost", "play_music": "play music"}
    # texts that the run leaves out are read with its own tokenizer, which has not seen them
    for prefix, classes, data in (
        ("retrieval", seen, spec),
        ("retrieval.unseen", left_out, spec.changed(classes=None)),
    ):
        ranks = _token_ranks(subject, *_test_texts(data, classes), NAMES)
        assert found[f"{prefix}.mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks), abs=1e-9)
    assert not any("words" in name for name in found)


def test_equal_cosines_count_against_the_right_class_and_zeros_are_equal() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    candidates = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    assert ranks_of(queries, candidates, torch.tensor([0, 1, 1])).tolist() == [2, 3, 3]
    assert ranks_of(queries, candidates[:2], torch.tensor([1, 0, 1])).tolist() == [2, 2, 2]


def test_runs_on_images_and_classes_without_names_are_refused(store, intents, tmp_path) -> None:
    with pytest.raises(InputError, match=r"^data: texts with labels, for retrieval; got images"):
        retrieval(Subject(trained(store), store, None))
    lines = Path(intents).read_text()
    for index, name in enumerate(TOPICS):
        lines = lines.replace(f",{name}\n", f",{index}\n")
    file = tmp_path / "numbered.csv"
    file.write_text(lines)
    with pytest.raises(InputError, match=r"^class names, for retrieval: .* words; got '0' for class 0; give"):
        retrieval(on_texts(store, str(file)))
