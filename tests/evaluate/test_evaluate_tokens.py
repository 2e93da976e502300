"""Sequences of tokens: metrics by hand, by position and frequency; sequences are never split."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from evaluate.evaluation_files import simulate as simulate_rows
from evaluate.token_examples import HAND_ECE, HAND_LABELS, HAND_NLL, HAND_PROBS, simulate
from safetensors.torch import save_file

from softtargets import metrics
from softtargets.calibration import TemperatureScaling
from softtargets.data.predictions import PredictionFiles
from softtargets.evaluate import EvaluateRequest, EvaluationOptions, EvaluationResults, catalog, evaluate_predictions
from softtargets.evaluate.calibrate import FOLDS, fold_of
from softtargets.evaluate.files import as_json, tokens_csv
from softtargets.evaluate.tokens.ranges import TokenBins


@pytest.fixture(autouse=True)
def _fast(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # the time of the intervals depends on the groups and the draws, not on the rows
    monkeypatch.setattr(catalog, "FEWER", 50)


OPTIONS = EvaluationOptions(n_draws=50)


def run(*arrays: Any, **arguments: Any) -> Any:
    """Evaluate with few draws."""
    return evaluate_predictions(*arrays, **{"options": OPTIONS, **arguments})


def numbers(results: EvaluationResults) -> str:
    """Return all numbers of the results, without names, files, and notes on how these are read."""
    said = json.loads(as_json(results))
    for model in said["models"]:
        del model["name"], model["files"], model["notes"]
    return json.dumps([said["models"], said["differences"]], sort_keys=True)


def test_a_small_table_gives_the_numbers_by_hand():
    results = run(HAND_PROBS, HAND_LABELS)
    main, tokens = results.main, results.main.tokens
    assert main.num_rows == 5
    assert (tokens.sequences, tokens.positions, tokens.ignored, tokens.empty) == (2, 3, 1, 0)
    value = {metric.name: metric.value for metric in main.metrics}
    assert value["accuracy"] == 4 / 5
    assert value["ece"] == pytest.approx(HAND_ECE, abs=1e-9) == pytest.approx(0.1625)
    assert value["nll"] == pytest.approx(HAND_NLL, abs=1e-9)
    assert value["perplexity"] == pytest.approx(math.exp(HAND_NLL), abs=1e-9)
    of_position = {(one.low, one.high): one for one in tokens.table("position").ranges}
    assert {ends: (one.tokens, one.sequences) for ends, one in of_position.items()} == {
        (0, 0): (2, 2),
        (1, 1): (2, 2),
        (2, 2): (1, 1),
    }
    # position 0: confidences 0.75 and 0.5, both right; 1: confidence 0.75, half of them right; 2: 0.9375, right
    assert of_position[0, 0].metric("ece").value == pytest.approx((0.25 + 0.5) / 2, abs=1e-9)
    assert of_position[1, 1].metric("ece").value == pytest.approx(0.25, abs=1e-9)
    assert of_position[2, 2].metric("ece").value == pytest.approx(0.0625, abs=1e-9)
    assert of_position[1, 1].metric("perplexity").value == pytest.approx((0.25 * 0.75) ** -0.5)


def test_frequencies_are_those_of_the_training_data_or_else_of_the_labels():
    counts = np.array([0, 20])
    options = replace(OPTIONS, token_counts=counts)
    given = run(HAND_PROBS, HAND_LABELS, options=options).main.tokens
    of_label = {(one.low, one.high): one for one in given.table("label").ranges}
    assert given.counted_in == "the training data, as given"
    assert {ends: one.tokens for ends, one in of_label.items()} == {(0, 0): 2, (10, 99): 3}
    # labels 0: confidences 0.75 and 0.5, both right; labels 1: 0.75 wrong, 0.75 and 0.9375 right
    assert of_label[0, 0].metric("ece").value == pytest.approx((0.25 + 0.5) / 2, abs=1e-9)
    assert of_label[10, 99].metric("ece").value == pytest.approx(2 / 3 * 0.25 + 1 / 3 * 0.0625, abs=1e-9)
    # token 0 is predicted 3 times, twice rightly
    predicted = {(one.low, one.high): one for one in given.table("predicted").ranges}
    assert {ends: one.tokens for ends, one in predicted.items()} == {(0, 0): 3, (10, 99): 2}
    assert predicted[0, 0].metric("accuracy").value == pytest.approx(2 / 3)
    counted = run(HAND_PROBS, HAND_LABELS).main.tokens
    assert counted.counted_in == "the labels of this evaluation"
    assert [(one.low, one.high, one.tokens) for one in counted.table("label").ranges] == [(1, 9, 5)]


def test_ranges_cover_every_position_and_count():
    counts = torch.tensor([0, 1, 9, 10, 99, 100, 12_345])
    for positions in (1, 2, 3, 64, 65):
        found = TokenBins.of(counts, positions)
        for partition, numbers in zip(found.partitions, (torch.arange(positions), counts, counts), strict=True):
            for number, place in zip(numbers.tolist(), partition.lookup.tolist(), strict=True):
                low, high = partition.ranges[place]
                assert low <= number <= high
            assert partition.ranges[0] == (0, 0)
            assert all(a[1] + 1 == b[0] for a, b in zip(partition.ranges, partition.ranges[1:], strict=False))
        assert found.partitions[0].ranges[-1][1] == positions - 1


def test_tokens_give_the_numbers_of_the_metrics_of_the_library():
    logits, labels = simulate()
    results = run(logits=logits, labels=labels)
    expected = {
        "accuracy": metrics.accuracy(logits=logits, labels=labels),
        "nll": metrics.nll(logits=logits, labels=labels),
        "brier": metrics.brier(logits=logits, labels=labels),
        "ece": metrics.ece(logits=logits, labels=labels),
        "smooth_ece": metrics.smooth_ece(logits=logits, labels=labels),
    }
    for name, value in expected.items():
        assert results.main.metric(name).value == pytest.approx(float(value), abs=1e-3 if "smooth" in name else 1e-9)
    tables = results.main.tokens.tables
    assert {table.key for table in tables} == {"position", "predicted", "label"}
    evaluated = int((labels >= 0).sum())
    assert all(sum(one.tokens for one in table.ranges) == evaluated for table in tables)
    for one in results.main.tokens.table("position").ranges:
        part = slice(one.low, one.high + 1)
        value = metrics.ece(logits=logits[:, part], labels=labels[:, part])
        assert one.metric("ece").value == pytest.approx(float(value), abs=1e-9)


def test_intervals_resample_sequences_and_not_tokens():
    """Copies of a row are no new information: the intervals must be those of the rows."""
    logits, labels = simulate_rows(80)
    rows = run(logits=logits, labels=labels)
    copied = logits[:, None].expand(-1, 5, -1).contiguous(), labels[:, None].expand(-1, 5).contiguous()
    tokens = run(logits=copied[0], labels=copied[1])
    for name in ("accuracy", "nll", "brier", "ece", "overconfidence"):
        one, other = rows.main.metric(name), tokens.main.metric(name)
        assert one.interval == pytest.approx(other.interval, abs=1e-9), name
    first = tokens.main.tokens.table("position").ranges[0]
    assert first.metric("ece").interval == pytest.approx(rows.main.metric("ece").interval, abs=1e-9)
    assert all(entry.interval is None for entry in tokens.main.reliability.width)
    assert all(row.recall_interval is None and not row.significantly_worse for row in tokens.main.classes)


def test_temperatures_are_fitted_on_other_sequences():
    logits, labels = simulate(sharpness=3.0)
    found = run(logits=logits, labels=labels).main
    fold = fold_of(torch.arange(len(labels)), OPTIONS.seed)
    expected = []
    for one in range(FOLDS):
        others = fold != one
        expected.append(float(TemperatureScaling().fit(logits[others], labels[others]).temperature))
    assert found.temperature.temperatures == pytest.approx(expected, rel=1e-5)
    assert 2 < min(expected) < max(expected) < 4
    scaled = logits / torch.tensor(expected, dtype=logits.dtype)[fold][:, None, None]
    after = float(metrics.ece(logits=scaled, labels=labels))
    assert found.temperature.metric("ece").value == pytest.approx(after, abs=1e-6)
    assert after < 0.5 * found.metric("ece").value
    positions = {(one.low, one.high): one for one in found.tokens.table("position").ranges}
    after = float(metrics.ece(logits=scaled[:, 2:4], labels=labels[:, 2:4]))
    assert positions[2, 3].after("ece").value == pytest.approx(after, abs=1e-6)


def test_a_temperature_by_position_helps_if_positions_differ():
    logits, labels = simulate(400, 4, sharpness=1.0)
    logits = torch.cat([4 * logits[:, :1], logits[:, 1:]], 1)
    results = run(logits=logits, labels=labels)
    found = results.main.tokens.by_position
    of_range = {(one.low, one.high): one.temperatures for one in found.ranges}
    assert min(of_range[0, 0]) > 2.5
    assert max(of_range[1, 1]) < 1.5
    assert found.change("nll").interval.high < 0
    titles = [finding.title for finding in results.findings]
    assert "A temperature for each range of positions is better than one." in titles
    assert any(title.startswith("Over-confident at position 0") for title in titles), titles
    # the first position is evaluated with temperatures of other sequences
    fold = fold_of(torch.arange(len(labels)), OPTIONS.seed)
    one = TemperatureScaling().fit(logits[fold != 2, 0], labels[fold != 2, 0])
    assert of_range[0, 0][2] == pytest.approx(float(one.temperature), rel=1e-5)


def test_few_tokens_of_a_range_have_the_temperature_of_all_positions():
    logits, labels = simulate(300, 4, sharpness=2.0)
    labels[60:, 2:] = -100
    found = run(logits=logits, labels=labels).main
    of_range = {(one.low, one.high): one.temperatures for one in found.tokens.by_position.ranges}
    assert of_range[2, 3] == found.temperature.temperatures
    assert of_range[0, 0] != found.temperature.temperatures


def test_a_mask_and_ignored_labels_are_the_same():
    logits, labels = simulate(40)
    mask = labels >= 0
    by_label = run(logits=logits, labels=labels)
    anything = torch.where(mask, labels, 10**6)
    spoiled = logits.clone()
    spoiled[~mask] = torch.nan
    for given in (mask, mask.long(), mask.numpy().astype(np.float32)):
        by_mask = run(logits=spoiled, labels=anything, mask=given)
        assert numbers(by_mask) == numbers(by_label)


def test_files_give_the_numbers_of_arrays_however_they_are_read(monkeypatch):
    logits, labels = simulate(45)
    mask = (labels >= 0).numpy()
    expected = numbers(run(logits=logits, labels=labels))
    np.savez("whole.npz", logits=logits.numpy(), labels=labels.numpy())
    np.savez_compressed("small.npz", logits=np.asfortranarray(logits.numpy()), labels=labels.numpy())
    np.savez("columns.npz", logits=np.asfortranarray(logits.numpy()), labels=labels.int().numpy())
    np.savez("masked.npz", logits=logits.numpy(), labels=labels.clamp(min=0).numpy(), mask=mask)
    save_file({"logits": logits, "labels": labels}, "whole.safetensors")
    np.save("logits.npy", logits.numpy())
    np.save("labels.npy", labels.numpy())
    np.save("next.npy", labels.numpy().astype(">i2"))
    np.save("columns.npy", np.asfortranarray(logits.numpy()))
    for place, part in enumerate((slice(0, 7), slice(7, 45))):
        save_file({"logits": logits[part].clone(), "labels": labels[part].clone()}, f"part-{place}.safetensors")
    names = ("whole.npz", "small.npz", "columns.npz", "masked.npz", "whole.safetensors", "part-*.safetensors")
    chunks = PredictionFiles.chunks
    for rows in (None, 25):
        monkeypatch.setattr(PredictionFiles, "chunks", lambda self, rows=rows: chunks(self, rows))
        for name in names:
            assert numbers(run(predictions=name)) == expected, (name, rows)
        for request in (
            EvaluateRequest.parse(["logits.npy"], labels_from="labels.npy"),
            EvaluateRequest.parse(["columns.npy"], logits="columns", labels_from="next.npy:next"),
        ):
            assert numbers(run(predictions=request)) == expected, (request, rows)


def test_labels_and_the_mask_may_be_in_a_file_of_their_own():
    logits, labels = simulate(45)
    expected = numbers(run(logits=logits, labels=labels))
    np.savez("values.npz", logits=logits.numpy())
    np.savez("targets.npz", next=labels.clamp(min=0).numpy(), evaluated=(labels >= 0).numpy())
    request = EvaluateRequest.parse(["values.npz"], labels_from="targets.npz:next", mask="evaluated")
    results = run(predictions=request)
    assert numbers(results) == expected
    assert results.command == (
        "softtargets evaluate values.npz --labels-from targets.npz:next --mask evaluated --seed 0"
    )


def test_a_mask_beside_the_values_is_not_lost_if_labels_are_in_another_file():
    logits, labels = simulate(45)
    np.savez("values.npz", logits=logits.numpy(), mask=(labels >= 0).numpy())
    np.savez("targets.npz", labels=labels.clamp(min=0).numpy())
    request = EvaluateRequest.parse(["values.npz"], labels_from="targets.npz")
    with pytest.raises(ValueError, match=r"the mask in the file of the labels; got a mask in values\.npz, and"):
        run(predictions=request)


def test_progress_counts_all_tokens():
    logits, labels = simulate(45)
    told: list[tuple[str, int, int | None]] = []
    run(logits=logits, labels=labels, options=replace(OPTIONS, on_rows=lambda *step: told.append(step)))
    for stage in ("reading", "evaluating temperatures"):
        assert [step[1:] for step in told if step[0] == stage] == [(0, 270), (270, 270)]


def test_models_are_compared_on_the_same_sequences():
    logits, labels = simulate(60)
    padded = logits.clone()
    padded[labels < 0] = torch.nan
    against = {"sharper": 3 * padded}
    results = run(logits=padded, labels=labels, against=against)
    change = next(one for one in results.differences if one.metric == "nll")
    expected = metrics.nll(logits=logits, labels=labels) - metrics.nll(logits=3 * logits, labels=labels)
    assert change.value == pytest.approx(float(expected), abs=1e-6)
    assert change.interval.high < 0
    assert all(model.tokens is not None for model in results.models)


def test_shifted_labels_are_noticed():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 8, (30, 12), generator=generator)
    # a model that knows the next token
    logits = 4.0 * torch.nn.functional.one_hot(tokens.roll(-1, 1), 8)
    wrong = run(logits=logits, labels=tokens)
    assert any("pass logits[:, :-1] with labels[:, 1:]" in note for note in wrong.main.notes)
    right = run(logits=logits[:, :-1], labels=tokens[:, 1:])
    assert not any("labels[:, 1:]" in note for note in right.main.notes)


def test_sequences_without_tokens_are_counted_and_named():
    logits, labels = simulate(40)
    kept = run(logits=logits, labels=labels).main
    labels[[3, 17]] = -100
    found = run(logits=logits, labels=labels).main
    assert found.notes[0] == "2 sequences have no token to evaluate and are left out, the first is sequence 3."
    assert (found.tokens.sequences, found.tokens.empty) == (38, 2)
    assert kept.notes == ()


def test_few_sequences_have_neither_intervals_nor_a_temperature():
    logits, labels = simulate(19, 40)
    main = run(logits=logits, labels=labels).main
    assert main.num_rows > 300
    assert main.metric("ece").interval is None
    assert main.metric("ece").why == "No interval: there are fewer than 20 sequences."
    assert main.temperature is None
    assert main.no_temperature.startswith("Fitting a temperature requires at least 20 sequences")


def test_the_table_of_ranges_has_every_range_of_every_model():
    logits, labels = simulate(30)
    results = run(logits=logits, labels=labels, against={"=b": logits / 2})
    lines = tokens_csv(results).decode().splitlines()
    ranges = sum(len(table.ranges) for model in results.models for table in model.tokens.tables)
    assert len(lines) == 1 + ranges
    assert lines[0].startswith("model,by,low,high,tokens,sequences,accuracy,accuracy_low,accuracy_high,nll")
    first = results.main.tokens.table("position").ranges[0]
    assert lines[1].startswith(f"predictions,position,0,0,{first.tokens},{first.sequences},")
    assert any(line.startswith("'=b,") for line in lines)


GOOD = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mask": torch.ones(2, 4)}, r"mask: shape \(2, 3\), that of the labels; got shape \(2, 4\)"),
        ({"mask": torch.full((2, 3), 2)}, "mask: a mask of 0 and 1; got 2 in sequence 0, position 0"),
        ({"labels": torch.tensor([[0, 1, 2], [3, 4, 5]])}, "labels from 0 to 3, .* got 4 in sequence 1, position 1"),
        ({"labels": torch.tensor([[0, 1, 2], [3, -1, 0]])}, "or -100 for .* got -1 in sequence 1, position 1"),
        ({"labels": torch.zeros(2, 3) + 0.5}, "labels from 0 to 3, .* got 0.5 in sequence 0, position 0"),
        ({"labels": torch.zeros(6, dtype=torch.long)}, r"labels: shape \(2, 3\), one label for each token"),
        (
            {"labels": torch.full((2, 3), -100)},
            "labels: at least one token to evaluate; got 2 sequences of 3 tokens, all",
        ),
        ({"mask": torch.zeros(2, 3)}, "labels: at least one token to evaluate; got 2 sequences of 3 tokens, all"),
        (
            {"logits": GOOD[0].index_fill(1, torch.tensor([1]), torch.inf)},
            "logits: finite logits; got inf in sequence 0, position 1, class 0",
        ),
        ({"logits": torch.zeros(2, 3, 4, 5)}, r"logits: shape \(N, K\) or \(N, L, K\)"),
        ({"logits": torch.zeros(2, 0, 4)}, r"logits: shape \(N, K\) or \(N, L, K\)"),
        ({"against": {"b": torch.zeros(2, 2, 4)}}, "against: sequences of 3 tokens, .* got sequences of 2 tokens in b"),
        ({"against": {"b": torch.zeros(6, 4)}}, "against: sequences of 3 tokens, .* got one example in each row in b"),
        ({"options": EvaluationOptions(token_counts=[1, 2])}, r"token_counts: shape \(4,\).* got shape \(2,\)"),
        ({"options": EvaluationOptions(token_counts=[1, 2, 3, -4])}, "token_counts: .* got -4 for token 3"),
    ],
)
def test_bad_sequences_are_refused_with_their_place(arguments, words):
    with pytest.raises(ValueError, match=words):
        run(**{"logits": GOOD[0], "labels": GOOD[1], **arguments})


def test_lists_of_several_lengths_are_refused():
    ragged = [[[0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]]
    with pytest.raises(TypeError, match="probs: an array of numbers; got lists of several lengths; pad sequences"):
        run(ragged, [[0], [0, 1]])
    with pytest.raises(TypeError, match="labels: an array of numbers; got lists of several lengths; pad sequences"):
        run(torch.full((2, 2, 2), 0.5), [[0], [0, 1]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mask": [True, False]}, r"mask: values of sequences, of shape \(N, L, K\); got a mask for values of shape"),
        ({"options": EvaluationOptions(token_counts=[1, 2])}, "token_counts: predictions for sequences"),
    ],
)
def test_single_examples_have_neither_a_mask_nor_token_counts(arguments, words):
    with pytest.raises(ValueError, match=words):
        run(torch.full((2, 2), 0.5), torch.tensor([0, 1]), **arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda a: a.__setitem__("labels", a["labels"][:, :2]),
            r"'labels' of shape \(9, 4\), .* got shape \(9, 2\) in",
        ),
        (
            lambda a: a.__setitem__("mask", np.ones((8, 4))),
            r"'mask' of shape \(9, 4\), one entry .* got shape \(8, 4\)",
        ),
        (lambda a: a.__setitem__("mask", np.full((9, 4), 3)), "0 and 1; got 3 as 'mask' in bad.npz, sequence 0, pos"),
        (lambda a: a["labels"].__setitem__((5, 2), 5), "5 as 'labels' in bad.npz, sequence 5, position 2"),
        (lambda a: a["logits"].__setitem__((5, 0, 1), np.nan), "nan in bad.npz, sequence 5, position 0, class 1"),
        (lambda a: a["labels"].fill(-100), "at least one token to evaluate"),
        (
            lambda a: a.__setitem__("logits", np.array([np.zeros((2, 5)), np.zeros((3, 5))], dtype=object)),
            "bad.npz: Object arrays .* if it holds sequences of several lengths, pad them to one length",
        ),
    ],
)
def test_bad_files_of_sequences_are_refused_with_their_place(change, words):
    logits, labels = simulate(9, 4)
    labels[5] = 0
    content: dict[str, Any] = {"logits": logits.numpy(), "labels": labels.numpy()}
    change(content)
    np.savez("bad.npz", **content)
    with pytest.raises(ValueError, match=words):
        run(predictions="bad.npz", output="page")


def test_files_of_several_lengths_are_refused():
    for name, positions in (("a.npz", 4), ("b.npz", 5)):
        logits, labels = simulate(9, positions)
        np.savez(name, logits=logits.numpy(), labels=labels.numpy())
    with pytest.raises(ValueError, match=r"sequences of 4 tokens, as in a.npz; got sequences of 5 tokens in b.npz"):
        run(predictions=["a.npz", "b.npz"])
