"""Fields of a search: their text, their type, and what is refused before anything is trained."""

import pytest

from softtargets._errors import InputError
from softtargets.runs.spec import RunSpec
from softtargets.tune.fields import SearchField, check_fields, with_values

RUN = RunSpec.parse({"model": {"name": "mlp", "hidden": [8]}, "training": {"epochs": 2}})


def test_text_gives_the_path_and_the_range() -> None:
    field = SearchField.parse("optimizer.learning_rate=1e-3:1e-1:log")
    assert field == SearchField("optimizer.learning_rate", 0.001, 0.1, log=True)
    assert SearchField.parse("objective.smoothing=0:0.3") == SearchField("objective.smoothing", 0.0, 0.3)


def test_values_are_written_into_the_specification_and_nothing_else_changes() -> None:
    fields = check_fields(RUN, [SearchField("objective.smoothing", 0, 0.3), SearchField("training.batch_size", 16, 64)])
    assert [field.whole for field in fields] == [False, True]
    changed = with_values(RUN, fields, {"objective.smoothing": 0.25, "training.batch_size": 32.0})
    assert changed.objective.smoothing == 0.25  # pyright: ignore[reportAttributeAccessIssue]
    assert changed.training.batch_size == 32
    assert changed.changed(objective=RUN.objective.model_dump(), training=RUN.training) == RUN
    assert with_values(RUN, fields, {}) == RUN


def test_the_value_of_a_specification_is_found_by_its_path() -> None:
    content = {"optimizer": {"learning_rate": 0.1, "nesterov": True}}
    assert SearchField("optimizer.learning_rate", 0, 1).value_in(content) == 0.1
    assert SearchField("optimizer.nesterov", 0, 1).value_in(content) is None
    assert SearchField("training.clip_norm", 0.1, 1).value_in(content) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("objective.smoothing", "field: TABLE.FIELD=LOW:HIGH"),
        ("objective.smoothing=0", "field: TABLE.FIELD=LOW:HIGH"),
        ("objective.smoothing=0:x", "field: TABLE.FIELD=LOW:HIGH"),
        ("objective.smoothing=0:1:linear", "field: TABLE.FIELD=LOW:HIGH"),
        ("objective.smoothing=0.3:0.1", "a smallest value below the largest; got 0.3:0.1"),
        ("objective.smoothing=0:nan", "a smallest value below the largest"),
        ("optimizer.learning_rate=0:1:log", "values above 0 with log"),
        ("optimiser.learning_rate=0:1", "did you mean 'optimizer'"),
        ("data.validation=0.1:0.3", "field: its table: one of model, objective"),
        ("seeds.order=0:10", "field: its table: one of model, objective"),
        ("objective=0:1", "field: TABLE.FIELD=LOW:HIGH"),
    ],
)
def test_bad_text_is_refused(text, words) -> None:
    with pytest.raises(InputError, match=words):
        SearchField.parse(text)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "field: at least one field to choose; got none"),
        (
            ["objective.smoothing=0:0.1", "objective.smoothing=0:0.2"],
            "field: each field once; got 'objective.smoothing' twice",
        ),
        (["objective.smoothng=0:0.1"], "objective.*smoothng.*did you mean 'smoothing'"),
        (["objective.smoothing=0:1.5"], "objective.smoothing: at most 1; got 1.5"),
        (["training.batch_size=0:64"], "training.batch_size: above 0; got 0"),
        (["training.batch_size=0.5:64"], "training.batch_size"),
        (["model.hidden=1:8"], "field model.hidden: a field whose values are a range of numbers; got one of other"),
        (["optimizer.name=0:0.3"], "field optimizer.name: a field whose values are a range of numbers"),
        (["optimizer.nesterov=0:1"], "field optimizer.nesterov: a field whose values are a range of numbers"),
        (["training.loggers=0:1"], "field training.loggers: a field whose values are a range of numbers"),
        (["optimizer.groups=0:1"], "field optimizer.groups: a field whose values are a range of numbers"),
        (["model.name.first=1:8"], "field model.name.first: a table 'name'; got 'mlp'"),
    ],
)
def test_fields_that_the_specification_refuses_are_named(fields, words) -> None:
    with pytest.raises(InputError, match=words):
        check_fields(RUN, [SearchField.parse(text) for text in fields])


def test_numbers_that_may_be_left_out_can_be_chosen() -> None:
    (field,) = check_fields(RUN, [SearchField.parse("training.clip_norm=0.5:2")])
    assert with_values(RUN, [field], {"training.clip_norm": 1.5}).training.clip_norm == 1.5


def test_a_number_that_takes_some_values_only_is_refused() -> None:
    run = RUN.changed(model={"name": "imagenet_resnet", "depth": 18})
    with pytest.raises(InputError, match=r"field model.depth: a field whose values are a range of numbers"):
        check_fields(run, [SearchField.parse("model.depth=18:34")])
