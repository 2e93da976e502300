"""Losses in the real `Trainer` of transformers, on a tiny GPT-2, BERT and Marian; and distillation from a cache."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softtargets import losses
from softtargets import nn as our_nn
from softtargets.distill import CacheSource, SequenceBatch, TeacherCache, TopK, divergence_loss, write_cache
from softtargets.integrations.transformers import CachedDistillation, DistillationTrainerMixin, loss

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

V, CLASSES = 23, 5
LENGTHS = (7, 3, 5, 9, 2, 6, 8, 4)
GENERATOR = torch.Generator().manual_seed(0)
LOGITS, LABELS = torch.randn(2, 4, V, generator=GENERATOR), torch.tensor([[1, 5, -100, 2], [0, -100, 3, 22]])
OUTPUTS = SimpleNamespace(logits=LOGITS)


def gpt2(seed: int = 0, **changes: Any) -> Any:
    settings = {"n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 16, "vocab_size": V, **changes}
    settings |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    torch.manual_seed(seed)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**settings, bos_token_id=0, eos_token_id=0))
    with torch.no_grad():
        for parameter in model.parameters():  # far from the uniform distribution of the usual initial weights
            parameter.add_(torch.randn(parameter.shape).mul(0.3))
    return model


def bert() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=V,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
        num_labels=CLASSES,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.BertForTokenClassification(config)


def examples(classes: int = V, *, first: bool = False) -> list[dict[str, Any]]:
    """Return sequences; the label of the first token of a causal model counts only if `first`."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for number, length in enumerate(LENGTHS):
        tokens, labels = (torch.randint(k, (length,), generator=generator) for k in (V, classes))
        labels = tokens.clone() if classes == V else labels
        if number % 3 == 0:
            labels[1] = -100
        if classes == V and not first:
            labels[0] = -100
        made.append({"id": 50 + number, "input_ids": tokens, "labels": labels})
    return made


def pad(given: list[dict[str, Any]]) -> dict[str, Tensor]:
    def stacked(values: list[Tensor], filler: int) -> Tensor:
        return nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=filler)

    batch = {
        "input_ids": stacked([one["input_ids"] for one in given], 0),
        "attention_mask": stacked([torch.ones_like(one["input_ids"]) for one in given], 0),
        "labels": stacked([one["labels"] for one in given], -100),
    }
    # as the collators of transformers do, which make a tensor of every column
    return {**batch, "id": torch.tensor([one["id"] for one in given])} if "id" in given[0] else batch


def arguments(folder: Path, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "max_steps": 2,
        "learning_rate": 0.5,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "use_cpu": True,
        "disable_tqdm": True,
        **changes,
    }
    return transformers.TrainingArguments(**settings)


class InOrder(transformers.Trainer):
    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # pyright: ignore[reportArgumentType]


class DistillationTrainer(DistillationTrainerMixin, InOrder):  # pyright: ignore[reportIncompatibleMethodOverride]
    pass


def trained(
    model: Any, folder: Path, trainer: Any = InOrder, data: Any = None, **changes: Any
) -> tuple[Any, list[float]]:
    """Return the trained model, and the loss of every step."""
    of_trainer = {key: changes.pop(key) for key in ("compute_loss_func", "distillation") if key in changes}
    made = trainer(
        model=model,
        args=arguments(folder, **changes),
        train_dataset=examples() if data is None else data,
        data_collator=pad,
        **of_trainer,
    )
    made.train()
    return model, [entry["loss"] for entry in made.state.log_history if "loss" in entry]


def same(first: Any, second: Any, tolerance: float = 1e-5) -> None:
    ours, theirs = dict(first.named_parameters()), dict(second.named_parameters())
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter, theirs[name], rtol=0, atol=tolerance, msg=name)


def moved(model: Any, start: Any) -> float:
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("shift", [True, False])
def test_the_value_is_the_sum_over_the_labels_that_count(shift: bool) -> None:
    logits, labels = (LOGITS[:, :-1], LABELS[:, 1:]) if shift else (LOGITS, LABELS)
    counted = labels != -100
    each = losses.focal_loss(logits[counted], labels[counted], gamma=2.0)
    compute = loss("focal_loss", shift=shift, gamma=2.0)
    torch.testing.assert_close(compute(OUTPUTS, LABELS), each.mean())
    torch.testing.assert_close(compute(OUTPUTS, LABELS, num_items_in_batch=torch.tensor(20)), each.sum() / 20)
    torch.testing.assert_close(compute({"logits": LOGITS}, LABELS, 20), each.sum() / 20)


def test_class_weights_multiply_and_the_number_of_labels_divides() -> None:
    weight = torch.rand(V, generator=GENERATOR)
    counted = LABELS != -100
    expected = (weight[LABELS[counted]] * losses.cross_entropy(LOGITS[counted], LABELS[counted])).sum()
    for given in ("cross_entropy", "generalized_cross_entropy"):
        compute = loss(given, shift=False, class_weight=weight)
        if given == "cross_entropy":
            torch.testing.assert_close(compute(OUTPUTS, LABELS), expected / 6)
        torch.testing.assert_close(compute(OUTPUTS, LABELS, 3), 2 * compute(OUTPUTS, LABELS))


def test_functions_modules_and_another_ignored_label() -> None:
    def own(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.logsumexp(-1) - logits.gather(-1, labels[:, None])[:, 0]

    expected = loss("cross_entropy", shift=True)(OUTPUTS, LABELS)
    for function in (losses.cross_entropy, own, our_nn.CrossEntropyLoss(), our_nn.Loss(own)):
        torch.testing.assert_close(loss(function, shift=True)(OUTPUTS, LABELS), expected)
    marked = LABELS.masked_fill(LABELS == -100, 7)
    torch.testing.assert_close(loss("cross_entropy", shift=True, ignore_index=7)(OUTPUTS, marked), expected)
    assert repr(loss("focal_loss", shift=True)).startswith("loss(Loss(focal_loss, ")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("cores_loss", {"weight": 0.5}),
        ("dual_focal_loss", {}),
        ("forward_corrected_cross_entropy", {"transition": torch.eye(V)}),
        ("generalized_cross_entropy", {}),
        ("label_relaxation_loss", {"smoothing": 0.1}),
        ("max_suppression_loss", {"smoothing": 0.1}),
        ("mean_absolute_error", {}),
        ("normalized_cross_entropy", {}),
        ("symmetric_cross_entropy", {}),
    ],
)
def test_losses_are_found_by_name(name: str, given: dict[str, Any]) -> None:
    counted = LABELS[:, 1:] != -100
    expected = getattr(losses, name)(LOGITS[:, :-1][counted], LABELS[:, 1:][counted], **given).mean()
    torch.testing.assert_close(loss(name, shift=True, **given)(OUTPUTS, LABELS), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"function": "focal"}, r"^function: one of .*; got 'focal'; did you mean 'focal_loss'"),
        ({"function": "cores_sieve"}, r"^function: one of .*; got 'cores_sieve'; did you mean 'cores_loss'"),
        ({"function": "confidence_penalty"}, r"^function: one of"),
        ({"function": nn.CrossEntropyLoss()}, r"^function: a CrossEntropyLoss or Loss of softtargets.nn; got Cross"),
        (
            {"function": our_nn.CrossEntropyLoss(reduction="sum")},
            r"^function: a module with reduction='mean'; got 'sum'",
        ),
        ({"function": our_nn.CrossEntropyLoss(), "smoothing": 0.1}, r"^function: a name or a function with these"),
        (
            {"function": "cross_entropy", "smoothing": 0.1},
            r"^hyper_parameters: one of label_smoothing.*got 'smoothing'",
        ),
        ({"function": "focal_loss", "gama": 1}, r"^Loss\(focal_loss\): one of gamma.*'gamma'"),
        ({"function": "focal_loss", "shift": 1}, r"^shift: a bool; got int"),
    ],
)
def test_bad_settings_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        loss(**{"shift": False, **given})


def test_bad_batches_are_named() -> None:
    compute = loss("cross_entropy", shift=True)
    for outputs, labels, message in (
        (OUTPUTS, None, r"^labels: labels in the batch; got None; use a collator"),
        (OUTPUTS, LABELS[:, 1:], r"^labels: shape \(2, 4\), as the logits .*; got \(2, 3\)"),
        (SimpleNamespace(logits=LOGITS[:, 0]), LABELS[:, 0], r"^shift: False for one label per example; got True"),
        (SimpleNamespace(), LABELS, r"^outputs: the outputs of a model with logits"),
        (OUTPUTS, LABELS.clamp(min=0) + V, r"^targets: labels of at least 0 and below 23"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            compute(outputs, labels)


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
@pytest.mark.parametrize(
    "settings", [{"function": "focal_loss"}, {"function": "cross_entropy", "label_smoothing": 0.2}]
)
def test_accumulated_gradients_are_those_of_the_whole_batch(
    tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    start, classes = (gpt2(), V) if kind == "gpt2" else (bert(), CLASSES)
    weight = torch.rand(classes, generator=torch.Generator().manual_seed(2)).add(0.5)
    compute = loss(shift=kind == "gpt2", class_weight=weight, **settings)
    data = examples(classes, first=True)
    whole, logged = trained(copy.deepcopy(start), tmp_path, data=data, compute_loss_func=compute)
    parts = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    split, logged_parts = trained(copy.deepcopy(start), tmp_path, data=data, compute_loss_func=compute, **parts)
    same(whole, split)
    assert moved(whole, start) > 0.01
    assert logged == pytest.approx(logged_parts, abs=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
@pytest.mark.parametrize("micro", [4, 1])
def test_smoothing_is_the_trainers_own(tmp_path: Path, kind: str, micro: int) -> None:
    start, classes = (gpt2(), V) if kind == "gpt2" else (bert(), CLASSES)
    parts = {"per_device_train_batch_size": micro, "gradient_accumulation_steps": 4 // micro}
    compute, data = loss("cross_entropy", shift=kind == "gpt2", label_smoothing=0.2), examples(classes)
    ours, logged = trained(copy.deepcopy(start), tmp_path, data=data, compute_loss_func=compute, **parts)
    theirs, own = trained(copy.deepcopy(start), tmp_path, data=data, label_smoothing_factor=0.2, **parts)
    same(ours, theirs)
    assert logged == pytest.approx(own, abs=1e-4)


def test_smoothing_is_not_the_trainers_own_where_that_averages_means_of_micro_batches(tmp_path: Path) -> None:
    """A model whose forward takes no loss arguments gets no number of labels from the Trainer."""

    class Plain(transformers.BertForTokenClassification):
        accepts_loss_kwargs = False

    def start() -> Any:
        model = Plain(bert().config)
        model.load_state_dict(bert().state_dict())
        return model

    parts, data = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}, examples(CLASSES)
    compute = loss("cross_entropy", shift=False, label_smoothing=0.2)
    whole, _ = trained(start(), tmp_path, data=data, label_smoothing_factor=0.2)
    ours, _ = trained(start(), tmp_path, data=data, compute_loss_func=compute, **parts)
    theirs, _ = trained(start(), tmp_path, data=data, label_smoothing_factor=0.2, **parts)
    same(ours, whole)
    assert moved(theirs, whole) > 1e-3


def cached(folder: Path, teacher: Any, keep: TopK, data: list[dict[str, Any]] | None = None) -> TeacherCache:
    def batches() -> Any:
        for start in range(0, len(LENGTHS), 3):
            given = examples() if data is None else data
            batch = pad(given[start : start + 3])
            with torch.no_grad():
                logits = teacher(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            yield SequenceBatch(batch["id"], batch["input_ids"], logits, batch["attention_mask"].bool())

    source = CacheSource("teacher", "random tokens", teacher.config.vocab_size, tokenizer="numbers")
    return write_cache(folder, batches(), source, keep=keep)


class LiveTrainer(InOrder):
    """Distils from a teacher that is run on every batch: what the cache has to reproduce."""

    teacher: Any
    settings: dict[str, Any]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        with torch.no_grad():
            taught = self.teacher(**inputs).logits
        each = divergence_loss(outputs.logits[:, :-1], taught[:, :-1], labels[:, 1:], **self.settings)
        value = each.sum() / num_items_in_batch
        return (value, outputs) if return_outputs else value


@pytest.mark.parametrize(
    ("divergence", "chunked"),
    [
        ("forward_kl", True),
        ("forward_kl", False),
        ("reverse_kl", True),
        ("jensen_shannon", True),
        ("skewed_kl", True),
        ("skewed_reverse_kl", False),
    ],
)
def test_a_cache_of_all_tokens_trains_as_the_live_teacher_does(tmp_path: Path, divergence: str, chunked: bool) -> None:
    teacher, start = gpt2(seed=1).eval(), gpt2(seed=2)
    settings = {"divergence": divergence, "kd_weight": 0.7}
    LiveTrainer.teacher, LiveTrainer.settings = teacher, settings
    live, expected = trained(copy.deepcopy(start), tmp_path, LiveTrainer)
    cache = cached(tmp_path / "cache", teacher, TopK(dtype="float32"))
    distillation = CachedDistillation(cache, chunked=chunked, **settings)
    parts = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    for changes in ({}, parts):
        ours, found = trained(copy.deepcopy(start), tmp_path, DistillationTrainer, distillation=distillation, **changes)
        same(ours, live)
        assert found == pytest.approx(expected, abs=1e-4)
    assert moved(live, start) > 0.01


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl"])
def test_a_cache_of_a_few_tokens_trains_alike_in_chunks_and_lowers_the_divergence(
    tmp_path: Path, divergence: str
) -> None:
    teacher, start = gpt2(seed=1).eval(), gpt2(seed=2)
    cache = cached(tmp_path / "cache", teacher, TopK(5))
    results = []
    for chunked in (True, False):
        distillation = CachedDistillation(cache, divergence=divergence, chunked=chunked)
        model, found = trained(
            copy.deepcopy(start), tmp_path, DistillationTrainer, distillation=distillation, max_steps=12
        )
        results.append(model)
    same(*results, tolerance=1e-4)
    assert found[-1] < found[0] / 1.3


def test_evaluation_reports_cross_entropy_and_returns_logits(tmp_path: Path) -> None:
    teacher, student = gpt2(seed=1).eval(), gpt2(seed=2)
    cache = cached(tmp_path / "cache", teacher, TopK(5))
    trainer = DistillationTrainer(
        model=student,
        args=arguments(tmp_path, per_device_eval_batch_size=8),
        train_dataset=examples(),
        eval_dataset=examples(),
        data_collator=pad,
        distillation=CachedDistillation(cache),
    )
    batch = pad(examples())
    logits = student(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    counted = batch["labels"][:, 1:] != -100
    expected = losses.cross_entropy(logits[:, :-1][counted], batch["labels"][:, 1:][counted], reduction="mean")
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(expected), abs=1e-5)
    found = trainer.predict(examples()).predictions  # pyright: ignore[reportArgumentType]
    assert (found[0] if isinstance(found, tuple) else found).shape == (8, 9, V)


def test_a_data_set_keeps_its_ids_where_unused_columns_are_removed(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [
        {key: value.tolist() if isinstance(value, Tensor) else value for key, value in one.items()}
        for one in examples()
    ]
    data = Dataset.from_list([{**row, "text": "unused"} for row in rows]).with_format("torch")
    cache = cached(tmp_path / "cache", gpt2(seed=1).eval(), TopK(5))
    distillation = CachedDistillation(cache)
    _, plain = trained(gpt2(seed=2), tmp_path, DistillationTrainer, distillation=distillation)
    _, found = trained(gpt2(seed=2), tmp_path, DistillationTrainer, data=data, distillation=distillation)
    assert found == pytest.approx(plain, abs=1e-5)


def test_a_decoder_learns_from_rows_beside_its_labels(tmp_path: Path) -> None:
    def marian(seed: int) -> Any:
        torch.manual_seed(seed)
        config = transformers.MarianConfig(
            vocab_size=V, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, max_position_embeddings=16, dropout=0.0,
            pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, forced_eos_token_id=None,
        )  # fmt: skip
        return transformers.MarianMTModel(config)

    teacher, student = marian(1).eval(), marian(2)
    data = [{**one, "labels": one["input_ids"].flip(0)} for one in examples()]

    def batches() -> Any:
        batch = pad(data)
        ids = batch.pop("id")
        with torch.no_grad():
            logits = teacher(**batch).logits
        yield SequenceBatch(ids, batch["labels"].clamp(min=0), logits, batch["labels"] != -100, shift=False)

    source = CacheSource("teacher", "random tokens", V, tokenizer="numbers")
    cache = write_cache(tmp_path / "cache", batches(), source, keep=TopK(dtype="float32"))
    given: dict[str, Any] = {"shift": False, "tokens_key": "labels"}
    with pytest.raises(ValueError, match=r"^model: a forward with logits_to_keep if chunked; got MarianMTModel, which"):
        trained(student, tmp_path, DistillationTrainer, data=data, distillation=CachedDistillation(cache, **given))
    distillation = CachedDistillation(cache, chunked=False, **given)
    trained(student, tmp_path, DistillationTrainer, data=data, distillation=distillation, max_steps=20)
    batch = pad(data)
    batch.pop("id")
    with torch.no_grad():
        mask = batch["labels"] != -100
        first = divergence_loss(marian(2)(**batch).logits[mask], teacher(**batch).logits[mask], reduction="mean")
        last = divergence_loss(student(**batch).logits[mask], teacher(**batch).logits[mask], reduction="mean")
    assert float(last) < float(first) / 2


def test_what_does_not_fit_is_named_before_training(tmp_path: Path) -> None:
    cache = cached(tmp_path / "cache", gpt2(seed=1).eval(), TopK(5))
    wider = gpt2(vocab_size=V + 3)
    message = r"^model: a model with the 23 classes of the cache in .*cache; got 26 classes; call model.resize_token_"
    with pytest.raises(ValueError, match=message):
        trained(wider, tmp_path, DistillationTrainer, distillation=CachedDistillation(cache))
    wider.resize_token_embeddings(V)
    assert trained(wider, tmp_path, DistillationTrainer, distillation=CachedDistillation(cache), max_steps=1)[1]

    class Capped(transformers.GPT2LMHeadModel):
        def forward(
            self, input_ids: Any, attention_mask: Any, output_hidden_states: bool = False, logits_to_keep: int = 0
        ) -> Any:
            given = {"output_hidden_states": output_hidden_states, "logits_to_keep": logits_to_keep}
            outputs = super().forward(input_ids, attention_mask=attention_mask, **given)
            outputs.logits = outputs.logits / 2
            return outputs

    capped = Capped(gpt2().config)
    with pytest.raises(
        ValueError, match=r"^model: logits that are those of the last layer, if chunked; got a difference"
    ):
        trained(capped, tmp_path, DistillationTrainer, distillation=CachedDistillation(cache))
    whole = CachedDistillation(cache, chunked=False)
    assert trained(capped, tmp_path, DistillationTrainer, distillation=whole, max_steps=1)[1]

    other = [{**one, "input_ids": (one["input_ids"] + 1) % V} for one in examples()]
    with pytest.raises(
        ValueError, match=r"^input_ids: token \d+ at position 0 of id 50, as in .*shard-00000.safetensors"
    ):
        trained(gpt2(), tmp_path, DistillationTrainer, data=other, distillation=CachedDistillation(cache))
    with pytest.raises(
        TypeError, match=r"^distillation: a CachedDistillation; got TeacherCache; pass CachedDistillation\(cache"
    ):
        trained(gpt2(), tmp_path, DistillationTrainer, distillation=cache)
    with pytest.raises(TypeError, match=r"^cache: a TeacherCache; got str"):
        CachedDistillation("folder")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^divergence: one of"):
        CachedDistillation(cache, divergence="kl")
