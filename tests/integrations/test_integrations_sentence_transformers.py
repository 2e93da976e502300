"""Losses in the real trainers of sentence-transformers, on a tiny BERT: `make test-integrations` installs it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softtargets import losses
from softtargets import nn as our_nn

pytest.importorskip("sentence_transformers")
import sentence_transformers  # pyright: ignore[reportMissingImports]
import transformers
from datasets import Dataset
from sentence_transformers import cross_encoder  # pyright: ignore[reportMissingImports]
from sentence_transformers.base.model_card import generate_model_card  # pyright: ignore[reportMissingImports]
from sentence_transformers.sentence_transformer import losses as theirs  # pyright: ignore[reportMissingImports]
from sentence_transformers.sentence_transformer import modules  # pyright: ignore[reportMissingImports]

from softtargets.integrations.sentence_transformers import CrossEncoderLoss

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

K = 3
WORDS = ["the", "a", "man", "woman", "dog", "cat", "sits", "runs", "eats", "sleeps", "red", "blue"]
FIRST = ["the man sits", "a dog runs", "the cat eats", "a woman sleeps", "the red dog", "a blue cat"]
SECOND = ["a man runs", "the dog sleeps", "a cat sits", "the woman eats", "a blue dog", "the red cat"]
LABELS = torch.tensor([0, 1, 2, 2, 1, 0])
SOFT = torch.rand(6, K, generator=torch.Generator().manual_seed(0)).softmax(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT for pairs of sentences, with its tokenizer."""
    made = tmp_path_factory.mktemp("bert")
    vocabulary = made / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]), encoding="utf-8")
    transformers.BertTokenizer(str(vocabulary)).save_pretrained(made)
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocab_size": 5 + len(WORDS),
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "max_position_embeddings": 16,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "num_labels": K,
    }
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**settings))
    with torch.no_grad():
        for parameter in model.parameters():  # far from the uniform distribution of the usual initial weights
            parameter.add_(torch.randn(parameter.shape).mul(0.3))
    model.save_pretrained(made)
    return made


def encoder(folder: Path) -> Any:
    return cross_encoder.CrossEncoder(str(folder), num_labels=K, device="cpu", local_files_only=True)


def logits_of(model: Any) -> Tensor:
    with torch.no_grad():
        return model(model.preprocess(list(zip(FIRST, SECOND, strict=True))))["scores"]


def test_the_value_is_that_of_the_function(folder: Path) -> None:
    model = encoder(folder)
    logits, pairs = logits_of(model), [FIRST, SECOND]
    weight = torch.tensor([1.0, 2.0, 0.5])
    gamma: dict[str, Any] = {"gamma": 2.0}
    for name, given in (("focal_loss", gamma), ("generalized_cross_entropy", {}), ("mean_absolute_error", {})):
        found = CrossEncoderLoss(model, name, **given)(pairs, LABELS)
        torch.testing.assert_close(found, getattr(losses, name)(logits, LABELS, **given).mean())
    labels = LABELS.masked_fill(LABELS == 2, -100)
    found = CrossEncoderLoss(model, losses.cross_entropy, class_weight=weight)(pairs, labels)
    each, kept = losses.cross_entropy(logits, labels.clamp(min=0)), labels >= 0
    weights = weight[labels.clamp(min=0)] * kept
    torch.testing.assert_close(found, (weights * each).sum() / weights.sum())
    soft = CrossEncoderLoss(model, our_nn.CrossEntropyLoss(label_smoothing=0.1))(pairs, SOFT)
    torch.testing.assert_close(soft, nn.CrossEntropyLoss(label_smoothing=0.1)(logits, SOFT))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], SOFT], ids=["classes", "column", "probabilities"])
def test_cross_entropy_is_that_of_sentence_transformers(folder: Path, smoothing: float, labels: Tensor) -> None:
    model = encoder(folder)
    expected = cross_encoder.losses.CrossEntropyLoss(model, label_smoothing=smoothing)([FIRST, SECOND], labels)
    ours = CrossEncoderLoss(model, "cross_entropy", label_smoothing=smoothing)
    torch.testing.assert_close(ours([FIRST, SECOND], labels), expected)
    assert isinstance(ours, cross_encoder.losses.CrossEntropyLoss)


def arguments(kind: Any, folder: Path) -> Any:
    return kind(
        output_dir=str(folder),
        per_device_train_batch_size=6,
        max_steps=3,
        learning_rate=0.2,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        warmup_steps=0,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
    )


def fit(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def data(labels: Tensor = LABELS) -> Dataset:
    return Dataset.from_dict({"sentence1": FIRST, "sentence2": SECOND, "label": labels.tolist()})


def trained(folder: Path, out: Path, loss: Any) -> tuple[Any, list[float]]:
    model = encoder(folder)
    args = arguments(cross_encoder.CrossEncoderTrainingArguments, out)
    made = cross_encoder.CrossEncoderTrainer(model=model, args=args, train_dataset=data(), loss=loss)
    return model, fit(made)


def test_a_trainer_trains_with_it(folder: Path, tmp_path: Path) -> None:
    focal, logged = trained(folder, tmp_path, lambda model: CrossEncoderLoss(model, "focal_loss", gamma=2.0))
    logits = logits_of(encoder(folder))
    assert logged[0] == pytest.approx(float(losses.focal_loss(logits, LABELS, gamma=2.0).mean()), abs=1e-4)
    assert logged[-1] < logged[0]
    assert "CrossEncoderLoss" in generate_model_card(focal)
    assert "Loss(focal_loss, gamma=2.0" in generate_model_card(focal)
    ours, _ = trained(folder, tmp_path, lambda model: CrossEncoderLoss(model, "cross_entropy"))
    other, _ = trained(folder, tmp_path, cross_encoder.losses.CrossEntropyLoss)
    torch.testing.assert_close(logits_of(ours), logits_of(other), rtol=0, atol=1e-5)


def test_the_softmax_loss_of_a_bi_encoder_takes_a_module(folder: Path, tmp_path: Path) -> None:
    words = modules.Transformer(str(folder))
    model = sentence_transformers.SentenceTransformer(modules=[words, modules.Pooling(8)], device="cpu")
    seen: list[tuple[Tensor, Tensor]] = []
    module = our_nn.Loss(losses.focal_loss, gamma=2.0)
    module.register_forward_pre_hook(lambda _, given: seen.append((given[0].detach(), given[1])))
    loss = theirs.SoftmaxLoss(model, 8, K, loss_fct=module)
    args = arguments(sentence_transformers.SentenceTransformerTrainingArguments, tmp_path)
    logged = fit(
        sentence_transformers.SentenceTransformerTrainer(model=model, args=args, train_dataset=data(), loss=loss)
    )
    logits, labels = seen[0]
    assert logged[0] == pytest.approx(float(losses.focal_loss(logits, labels, gamma=2.0).mean()), abs=1e-4)
    assert logged[-1] < logged[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"function": "focal"}, r"^function: one of .*; got 'focal'; did you mean 'focal_loss'"),
        ({"function": nn.CrossEntropyLoss()}, r"^function: a CrossEntropyLoss or Loss of softtargets.nn; got Cross"),
        ({"function": "cross_entropy", "smoothing": 0.1}, r"^hyper_parameters: one of label_smoothing"),
    ],
)
def test_bad_settings_are_named(folder: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        CrossEncoderLoss(encoder(folder), **given)


def test_a_model_with_one_label_is_named(folder: Path) -> None:
    model = cross_encoder.CrossEncoder(
        str(folder), num_labels=1, device="cpu", model_kwargs={"ignore_mismatched_sizes": True}
    )
    with pytest.raises(ValueError, match=r"^model: a CrossEncoder with at least 2 labels; got 1"):
        CrossEncoderLoss(model, "cross_entropy")
