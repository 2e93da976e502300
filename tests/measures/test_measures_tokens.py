"""Calibration of next tokens and translations of a small run, against counts over all tokens."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from measures.small_runs import trained as trained_on_digits
from torch import Tensor

from softtargets._errors import InputError
from softtargets.measures import MEASURES, measure_record, measure_run, trace_run
from softtargets.measures.subject import Subject
from softtargets.measures.tokens import TOKEN_DIAGRAMS, TokenFeatures, token_bins, token_calibration
from softtargets.measures.translation import BEAM, GREEDY, TEMPERATURES, bleu, references, translations
from softtargets.models.sequences import token_labels
from softtargets.runs import list_runs
from softtargets.runs.store import RunStore

pytest.importorskip("transformers", reason="transformers is not installed")


def all_logits(subject: Subject, split: str) -> tuple[Tensor, Tensor]:
    """Return the logits of all tokens of a split, sentence after sentence, without padding."""
    logits, labels = [], []
    for row in subject.dataset.splits[split]:
        pair = subject.reader.batch(row[None])
        with torch.no_grad():
            logits.append(subject.network(pair).double())
        labels.append(token_labels(pair))
    return torch.cat(logits), torch.cat(labels)


def ece_by_hand(logits: Tensor, labels: Tensor) -> float:
    """Return the expected calibration error, counted token by token."""
    bins = [[0, 0.0, 0] for _ in range(15)]
    for row, label in zip(logits.softmax(1), labels, strict=True):
        confidence, predicted = row.max(0)
        bin_ = bins[min(14, max(0, -int(-(float(confidence) * 15) // 1) - 1))]
        bin_[0] += 1
        bin_[1] += float(confidence)
        bin_[2] += int(predicted == label)
    return sum(abs(confidence - correct) for _, confidence, correct in bins) / len(labels)


def test_token_calibration_agrees_with_a_count_by_hand(written: Subject) -> None:
    found = token_calibration(written)
    logits, labels = all_logits(written, "test")
    assert found["test.token_ece15"] == pytest.approx(ece_by_hand(logits, labels), abs=1e-6)
    temperature = found["token_temperature"]
    assert found["test.token_ece15.scaled"] == pytest.approx(ece_by_hand(logits / temperature, labels), abs=1e-6)
    nll = torch.nn.functional.cross_entropy(logits / temperature, labels)
    assert found["test.token_nll.scaled"] == pytest.approx(float(nll), abs=1e-6)
    top = logits.softmax(1).amax(1).mean() - (logits.argmax(1) == labels).double().mean()
    assert found["test.token_overconfidence"] == pytest.approx(float(top), abs=1e-6)


def test_the_temperature_has_the_highest_likelihood_on_validation_tokens(written: Subject) -> None:
    fitted = TokenFeatures.of(written, "validation").temperature()
    assert fitted is not None
    logits, labels = all_logits(written, "validation")

    def nll(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / temperature, labels))

    best = float(fitted.temperature)
    assert nll(best) < min(nll(best * 1.02), nll(best / 1.02))


def test_bins_are_those_of_all_tokens(written: Subject) -> None:
    logits, labels = all_logits(written, "test")
    for name in TOKEN_DIAGRAMS:
        bins = token_bins(written, name)
        assert bins is not None
        assert int(bins.count.sum()) == len(labels)
        assert int(bins.correct.sum()) == int((logits.argmax(1) == labels).sum())


def test_the_listing_of_runs_has_the_accuracy_of_tokens(written: Subject) -> None:
    (entry,) = list_runs(written.store.folder, prefix=written.resolved.identity).runs
    logits, labels = all_logits(written, "test")
    assert entry.status == "finished"
    assert entry.test_accuracy == pytest.approx(float((logits.argmax(1) == labels).double().mean()))


def test_measures_of_the_record_are_those_of_tokens_alone(written: Subject) -> None:
    measures = measure_record(written.store, written.resolved.identity)
    assert set(measures) == {"test.token_nll", "test.token_accuracy"}
    logits, labels = all_logits(written, "test")
    nll = torch.nn.functional.cross_entropy(logits, labels)
    assert measures["test.token_nll"] == pytest.approx(float(nll), abs=1e-5)
    assert measures["test.token_accuracy"] == float((logits.argmax(1) == labels).double().mean())


def test_every_measure_of_translations_is_computed(written: Subject) -> None:
    names = [
        name for name, each in MEASURES.items() if each.group in ("bleu", "validation bleu", "temperatures", "tokens")
    ]
    measured = measure_run(written.resolved, written.store, names)
    assert not measured.problems
    assert set(names) <= set(measured.values)
    for name, at_one in (("bleu", "test.bleu"), ("token_ece15", "test.token_ece15"), ("token_nll", "test.token_nll")):
        assert measured.values[f"test.{name}.at1"] == pytest.approx(measured.values[at_one], abs=1e-6)
    likelihoods = [measured.values[f"test.token_nll.at{temperature:g}"] for temperature in TEMPERATURES]
    assert len(set(likelihoods)) == len(TEMPERATURES)


def test_bleu_is_that_of_sacrebleu_on_the_command_line(written: Subject, tmp_path: Path) -> None:
    for settings in (GREEDY, BEAM):
        outputs, truth = translations(written, "test", settings), references(written, "test")
        (tmp_path / "out.txt").write_text("\n".join(outputs) + "\n", encoding="utf-8")
        (tmp_path / "ref.txt").write_text("\n".join(truth) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "sacrebleu", str(tmp_path / "ref.txt"), "-i", str(tmp_path / "out.txt")]
        done = subprocess.run([*command, "-lc", "-b", "-w", "6"], check=True, capture_output=True, text=True)
        assert bleu(outputs, truth).score == pytest.approx(float(done.stdout), abs=1e-5)


def test_translations_are_in_the_order_of_the_split(written: Subject) -> None:
    every = translations(written, "test", GREEDY)
    assert len(every) == 20
    assert translations(written, "test", GREEDY, most=5) == every[:5]
    assert references(written, "test", most=5) == references(written, "test")[:5]


def test_the_trace_of_bleu_has_the_epochs_with_saved_weights(written: Subject) -> None:
    trace = trace_run(written.resolved, written.store, "validation.bleu")
    assert list(trace) == [4, 8]
    assert trace[8] == pytest.approx(
        measure_run(written.resolved, written.store, ["validation.bleu"]).values["validation.bleu"]
    )


def test_other_networks_have_no_translations(store: RunStore) -> None:
    subject = Subject(trained_on_digits(store), store, None)
    with pytest.raises(InputError, match=r"^run: a network that writes rows of tokens; got one on 'digits'"):
        token_calibration(subject)
    with pytest.raises(InputError, match=r"^run: "):
        translations(subject, "test", GREEDY)
