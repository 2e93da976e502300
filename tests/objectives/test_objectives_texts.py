"""Smoothing by the words of texts and of class names: against the library's functions, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from softtargets import targets
from softtargets._errors import InputError
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext, TrainingData
from softtargets.objectives.texts import KeywordSmoothing

CLASSES = ("house_pets", "dogWalks", "car")
TEXTS = ["purr meow pet", "bark pet walk", "wheel road", "meow pet", "bark walk", "road wheel engine"]
NAMES = ["house pets", "dog Walks", "car"]
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
# the last text belongs to another split
DATA = TrainingData(CLASSES, (5,), LABELS, torch.arange(5), torch.arange(6), tuple(TEXTS))
RULES = ("tfidf_smoothing", "keyword_smoothing")


def _started(spec: dict, data: TrainingData = DATA) -> Objective:
    context = ObjectiveContext(6, 3, data=data)
    return TypeAdapter(AnyObjective).validate_python(spec).started(context)


def _targets(spec: dict, data: TrainingData = DATA) -> torch.Tensor:
    batch = Batch(torch.zeros(3, 5), torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]))
    made = _started(spec, data).prepare(batch, torch.Generator()).targets
    assert made is not None
    return made.to_dense(3).double()


@pytest.mark.parametrize("convention", [None, "all", "others"])
@pytest.mark.parametrize("names", [None, False, True])
def test_the_words_of_the_training_texts_and_the_names_make_the_targets(convention, names) -> None:
    texts, labels = TEXTS[:5], LABELS[:5]
    if names:
        texts, labels = texts + NAMES, torch.cat([labels, torch.arange(3)])
    spec = {"smoothing": 0.4, "temperature": 0.2, "convention": convention, "class_names": names}
    given: dict[str, Any] = {"smoothing": 0.4, "temperature": 0.2, "convention": convention or "all"}
    table = targets.tfidf_table(texts, labels, num_classes=3, **given)
    torch.testing.assert_close(_targets({"name": "tfidf_smoothing", **spec}), table, rtol=1e-6, atol=1e-7)
    scores = targets.ClassKeywords(3, size=2).fit(texts, labels).scores(TEXTS[:3])
    expected = targets.smooth_by_scores(torch.arange(3), scores, **given).to_dense()
    found = _targets({"name": "keyword_smoothing", "size": 2, **spec})
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_class_shares_the_smoothing_of_a_text_that_has_a_word_of_its_name() -> None:
    # "car" is a word of no training text of its class, but of its name
    data = replace(DATA, texts=("purr car", *TEXTS[1:]))
    spec = {"name": "keyword_smoothing", "convention": "others", "temperature": 0.1}
    without, with_names = _targets(spec, data), _targets({**spec, "class_names": True}, data)
    torch.testing.assert_close(without[0, 2], without[0, 1])
    assert with_names[0, 2] > 2 * with_names[0, 1]


def test_rows_without_a_label_and_texts_of_other_splits_are_not_read() -> None:
    hidden = replace(DATA, labelled=torch.tensor([True, True, True, False, True, True]))
    kept = [0, 1, 2, 4]
    texts, labels = KeywordSmoothing.parse({"name": "keyword_smoothing"}).documents(hidden)
    assert texts == [TEXTS[row] for row in kept]
    assert labels.tolist() == LABELS[kept].tolist()


@pytest.mark.parametrize("name", RULES)
def test_the_new_settings_are_not_part_of_a_specification_that_leaves_them_out(name) -> None:
    dumped = TypeAdapter(AnyObjective).validate_python({"name": name}).model_dump(exclude_none=True)
    assert not {"convention", "class_names"} & dumped.keys()


@pytest.mark.parametrize("name", RULES)
def test_texts_are_required(name) -> None:
    with pytest.raises(
        InputError, match=rf"^objective: a data set of texts for '{name}'; got inputs of shape \(5,\); use"
    ):
        _started({"name": name}, replace(DATA, texts=None))


@pytest.mark.parametrize("name", RULES)
def test_names_that_are_needed_must_be_words(name) -> None:
    numbered = replace(DATA, class_names=("cat", "1", "2"))
    message = r"^objective\.class_names: a data set whose class names are words; got '1' for class 1; give"
    with pytest.raises(InputError, match=message):
        _started({"name": name, "class_names": True}, numbered)
    _started({"name": name}, numbered)
