"""What holds for the specification of every registered objective: read as written, validated, started, identified."""

import pickle

import pytest
from objective_specs import context, parse

from softtargets._errors import InputError
from softtargets._spec import NamedSpec, register
from softtargets.objectives import OBJECTIVES, Objective, objective
from softtargets.objectives.transitions import SOURCES

every_objective = pytest.mark.parametrize("name", OBJECTIVES)


@every_objective
def test_it_says_what_it_is_in_one_sentence(name) -> None:
    first, _, rest = (OBJECTIVES[name].__doc__ or "").partition("\n")
    assert first.endswith(".")
    assert len(first) <= 120
    assert not rest or rest.startswith("\n")


@every_objective
def test_it_is_read_as_written(written, name) -> None:
    spec = parse(written(name))
    assert type(spec) is OBJECTIVES[name]
    assert spec == OBJECTIVES[name](**written(name))
    content = spec.model_dump(mode="json", exclude_none=True)
    assert content["name"] == spec.name == name
    assert parse(content) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


@every_objective
def test_a_specification_is_not_changed_by_its_start(parsed, name) -> None:
    spec, before = parsed(name), parsed(name)
    assert spec.started(context()) is not spec
    assert spec == before
    assert hash(spec) == hash(before)


@every_objective
def test_its_numbers_are_validated(written, name) -> None:
    kind = OBJECTIVES[name]
    numbers = [field for field, info in kind.model_fields.items() if type(info.default) in (int, float)]
    for field in numbers:
        for bad in ("much", float("nan"), True):
            with pytest.raises(InputError, match=rf"specification: objective\.{field}: "):
                parse({**written(name), field: bad})
    with pytest.raises(InputError, match=r"objective: key: one of .*; got 'wieght'"):
        parse({**written(name), "wieght": 1.0})


@every_objective
def test_files_are_part_of_the_identity_by_their_content(written, tmp_path, name) -> None:
    if not OBJECTIVES[name].places:
        assert parse(written(name)).fingerprint() is None
        return
    place = OBJECTIVES[name].places[0]
    paths = [tmp_path / "side-1.csv", tmp_path / "side-2.csv"]
    for path in paths:
        path.write_text("some bytes")
    rest = {key: value for key, value in written(name).items() if key not in OBJECTIVES[name].places}
    one, two = (parse({**rest, place: str(path)}) for path in paths)
    dumped = [spec.without_places(spec.model_dump(mode="json", exclude_none=True)) for spec in (one, two)]
    assert dumped[0] == dumped[1]
    assert one.fingerprint() == two.fingerprint() is not None
    paths[1].write_text("other bytes")
    assert one.fingerprint() != two.fingerprint()
    nested = parse({"name": "mixup", "loss": {**rest, place: str(paths[0])}})
    assert nested.fingerprint() == one.fingerprint()
    assert place not in nested.without_places(nested.model_dump(mode="json", exclude_none=True))["loss"]
    paths[0].unlink()
    with pytest.raises(
        InputError, match=rf"^objective\.{place}: an existing file; got '.*side-1.csv'; did you mean '.*side-2"
    ):
        one.fingerprint()
    with pytest.raises(InputError, match=rf"^objective\.loss\.{place}: an existing file; "):
        nested.fingerprint()


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_of_transitions_says_what_it_is(name) -> None:
    first = (SOURCES[name].__doc__ or "").partition("\n")[0]
    assert first.endswith(".")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(InputError, match="name: a name that is not registered yet; got 'focal' for Another"):

        @objective("focal")
        class Another(Objective):
            def losses(self, logits, batch):
                return logits.sum(-1)

    assert OBJECTIVES["focal"].__name__ == "Focal"


def test_a_registered_class_has_its_name_and_no_other() -> None:
    registry: dict[str, type[NamedSpec]] = {}

    @register(registry, "one")
    class One(NamedSpec):
        """The one."""

        size: int = 1

    assert registry == {"one": One}
    assert One(size=2).model_dump() == {"size": 2, "name": "one"}
    assert (One.__doc__, One.__name__, One.__module__) == ("The one.", "One", __name__)
    with pytest.raises(InputError, match="name: one of one; got 'two'; use one of these"):
        One.parse({"name": "two"})


def test_a_method_that_gives_no_losses_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Objective()  # pyright: ignore[reportAbstractUsage]
