"""Collection: several accumulators at once, by name."""

from typing import Any

import pytest
import torch

from softtargets import metrics

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(90, 4, generator=generator) * 3
LABELS = torch.randint(4, (90,), generator=generator)


def made(groups: int = 1) -> metrics.Collection:
    return metrics.Collection({"ece": metrics.ECE(groups=groups), "acc": metrics.Accuracy(groups=groups)})


def test_results_have_the_names_that_were_given() -> None:
    collection = made()
    assert collection.update(logits=LOGITS, labels=LABELS) is collection
    values = collection.compute()
    assert list(values) == ["ece", "acc"]
    assert torch.equal(values["ece"], metrics.ece(logits=LOGITS, labels=LABELS))
    assert torch.equal(values["acc"], metrics.accuracy(logits=LOGITS, labels=LABELS))
    assert len(collection) == 2
    assert isinstance(collection["ece"], metrics.ECE)


def test_a_list_is_named_after_the_classes() -> None:
    collection = metrics.Collection([metrics.NLL(), metrics.Brier()]).update(LOGITS.softmax(-1), LABELS)
    assert list(collection.compute()) == ["NLL", "Brier"]


def test_parts_merge_to_the_whole() -> None:
    ids = torch.arange(90)
    whole = made(5).update(logits=LOGITS, labels=LABELS, ids=ids)
    merged = made(5)
    for part in ids.tensor_split(4):
        assert merged.merge(made(5).update(logits=LOGITS[part], labels=LABELS[part], ids=part)) is merged
    for name, state in whole.state_dict().items():
        assert all(torch.equal(array, merged.state_dict()[name][key]) for key, array in state.items())


def test_the_state_is_saved_and_loaded_and_reset() -> None:
    collection = made().update(logits=LOGITS[:40], labels=LABELS[:40])
    again = made()
    again.load_state_dict(collection.state_dict())
    again.update(logits=LOGITS[40:], labels=LABELS[40:])
    assert torch.equal(again.compute()["ece"], metrics.ece(logits=LOGITS, labels=LABELS))
    again.reset()
    assert again.state_dict() == {"ece": {}, "acc": {}}
    with pytest.raises(ValueError, match="ECE: at least one example that is not left out; got none"):
        again.compute()


def test_numpy() -> None:
    values = made().update(LOGITS.softmax(-1).numpy(), LABELS.numpy()).compute()
    assert torch.equal(values["acc"], metrics.accuracy(logits=LOGITS, labels=LABELS))


def test_an_operation_that_fails_changes_nothing() -> None:
    collection = made(2).update(logits=LOGITS, labels=LABELS)
    before = collection.compute()
    other = metrics.Collection({"ece": metrics.ECE(groups=2), "acc": metrics.Accuracy(top_k=2, groups=2)})
    other.update(logits=LOGITS, labels=LABELS, ids=torch.arange(90))
    with pytest.raises(ValueError, match=r"other: the settings Accuracy\(top_k=1"):
        collection.merge(other)
    with pytest.raises(ValueError, match=r"state: the state of Accuracy\(top_k=1"):
        collection.load_state_dict(other.state_dict())
    wide = made(2).update(logits=torch.zeros(3, 5), labels=torch.zeros(3).long(), ids=torch.arange(3))
    with pytest.raises(ValueError, match="other: 4 classes; got 5"):
        collection.merge(wide)
    after = collection.compute()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_errors() -> None:
    collection: Any = made()
    calls: list[tuple[Any, str]] = [
        (lambda: metrics.Collection(metrics.ECE()), "accumulators: accumulators by name, or a list of them; got ECE; "),  # pyright: ignore[reportArgumentType]
        (lambda: metrics.Collection([metrics.ECE]), r"got \w+; pass an instance, such as Accuracy\(\)"),  # pyright: ignore[reportArgumentType]
        (lambda: metrics.Collection({"ece": None}), "got NoneType; pass an instance"),  # pyright: ignore[reportArgumentType]
        (
            lambda: metrics.Collection([metrics.NLL(), metrics.NLL()]),
            "a list of accumulators of different classes; got two NLL; pass a",
        ),
        (lambda: collection.merge(metrics.ECE()), "other: a Collection; got ECE"),
        (lambda: collection.merge(metrics.Collection([metrics.ECE()])), "other: the names acc, ece; got ECE; use"),
        (lambda: collection.load_state_dict({}), "state: the names acc, ece; got none"),
        (lambda: collection.load_state_dict(None), "state: a dict of states; got NoneType"),
        (lambda: collection.load_state_dict({"ece": 1, "acc": {}}), "state: a dict of tensors; got int"),
        (lambda: metrics.ECE().load_state_dict([1]), "state: a dict of tensors; got list"),  # pyright: ignore[reportArgumentType]
        (lambda: metrics.ECE().load_state_dict({"rows": 1}), "state: a dict of tensors; got dict"),  # pyright: ignore[reportArgumentType]
    ]
    for call, message in calls:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
    with pytest.raises(KeyError, match="'nll'; the collection has 'ece', 'acc'"):
        collection["nll"]
