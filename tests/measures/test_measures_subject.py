"""A run that is measured: its classes, its precision and its samples."""

import pytest
import torch
from measures.small_runs import CLASSES, features_of, trained

from softtargets._errors import InputError
from softtargets.measures import MEASURES, measure_network
from softtargets.measures.information import examples_of
from softtargets.measures.subject import Subject, evenly, opened, stratified


def test_a_network_trained_in_bfloat16_is_measured_in_float32(store) -> None:
    resolved = trained(
        store,
        model={"name": "resnet", "depth": 8, "width": 4},
        training={"epochs": 1, "precision": "bfloat16"},
    )
    with opened(resolved, store, CLASSES) as subject:
        sample, _ = subject.sample
        assert torch.equal(sample.double().sort(0)[0], features_of(subject, "train").sort(0)[0])
    # the cross entropy with a teacher is defined for students only, transfer for runs that leave classes out, retrieval
    # for texts, the others for networks that write tokens
    others = (None, "cross_entropy", "retrieval", "transfer", "tokens", "bleu", "validation bleu", "temperatures")
    names = [name for name, measure in MEASURES.items() if measure.group not in others]
    found = measure_network(resolved, store, names, CLASSES)
    assert found.problems == ()
    assert [*found.values] == names


def test_under_noise_classes_are_the_true_ones(store) -> None:
    resolved = trained(store, noise={"name": "symmetric", "rate": 0.4})
    with opened(resolved, store, CLASSES) as subject:
        assert not torch.equal(subject.predictions["train.observed"], subject.predictions["train.labels"])
        places = subject.of_classes("train", 5)
        labels = subject.predictions["train.labels"]
        assert labels[places].tolist() == [3] * 5 + [8] * 5 + [0] * 5
        # by such observed labels there would be no example of class 0
        subject.predictions["train.observed"] = torch.full_like(labels, 3)
        assert len(examples_of(subject)) == 2 * labels.bincount()[[3, 0]].min()


def test_samples_are_spread_evenly_and_hold_every_class() -> None:
    assert evenly(torch.arange(10), 4).tolist() == [0, 2, 5, 7]
    assert evenly(torch.arange(3), 4).tolist() == [0, 1, 2]
    assert evenly(torch.arange(0), 4).tolist() == []
    labels = torch.tensor([0] * 60 + [1] * 39 + [2])
    found = stratified(labels, 10)
    assert labels[found].bincount().tolist() == [6, 3, 1]
    assert stratified(labels, 1000).sort()[0].tolist() == list(range(100))
    assert stratified(labels[:0], 10).tolist() == []


def test_classes_that_the_data_lack_are_refused(store) -> None:
    resolved = trained(store)
    for classes in (None, (3, 8, 10), (-1, 3, 8)):
        with pytest.raises(InputError, match="classes: three of the 10 classes"):
            _ = Subject(resolved, store, classes).classes
