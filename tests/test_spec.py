"""The base of specifications: strict types, and one sentence for everything that is refused."""

import datetime
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import Field

from softtargets._errors import InputError
from softtargets._spec import NamedSpec, Spec, read_toml, register, union_of, write_toml
from softtargets.models import MODELS, AnyModel

NAMES = ", ".join(MODELS)


class Inner(Spec):
    count: int = Field(default=1, ge=1, lt=10)
    share: float = Field(default=0.5, gt=0, le=1)
    flag: bool = False
    text: str = Field(default="a", min_length=1)
    either: float | str | tuple[float, ...] = 0.0


class Outer(Spec):
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    numbers: tuple[int, ...] | None = None
    model: AnyModel | None = None
    named: dict[Literal["smoke", "desk", "paper"], Inner] = {}  # noqa: RUF012 (a field's default)
    free: dict[str, Any] = {}  # noqa: RUF012
    version: Literal[1] = 1


def _refusal(data: dict) -> str:
    with pytest.raises(InputError) as caught:
        Outer.parse(data, "my.toml")
    source, _, text = str(caught.value).partition(": ")
    assert source == "my.toml"
    return text


WHOLE = "write it in digits, without quotes or a decimal point"
NUMBER = "write it in digits, without quotes"
TABLE = "write keys and values under its name"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"inner": {"count": True}}, f"inner.count: a whole number; got True; {WHOLE}"),
        ({"inner": {"count": "6"}}, f"inner.count: a whole number; got '6'; {WHOLE}"),
        ({"inner": {"count": 2.0}}, f"inner.count: a whole number; got 2.0; {WHOLE}"),
        ({"inner": {"share": True}}, f"inner.share: a number; got True; {NUMBER}"),
        ({"inner": {"share": "0.5"}}, f"inner.share: a number; got '0.5'; {NUMBER}"),
        ({"inner": {"flag": "yes"}}, "inner.flag: true or false; got 'yes'; write one of the two, without quotes"),
        ({"inner": {"flag": 1}}, "inner.flag: true or false; got 1; write one of the two, without quotes"),
        ({"inner": {"text": 3}}, "inner.text: text; got 3; write it in quotes"),
        ({"inner": {"text": ""}}, "inner.text: a length of at least 1; got ''; write a longer text"),
        ({"inner": 3}, f"inner: a table; got 3; {TABLE}"),
        ({"inner": [1, [2]]}, f"inner: a table; got [1, [2]]; {TABLE}"),
        ({"free": 3}, f"free: a table; got 3; {TABLE}"),
        ({"model": 3}, f"model: a table; got 3; {TABLE}"),
        ({"numbers": 3}, "numbers: a list; got 3; write it in square brackets"),
        ({"numbers": [1, "b"]}, f"numbers.1: a whole number; got 'b'; {WHOLE}"),
        ({"many": [{}, {"count": 0}]}, "many.1.count: at least 1; got 0; give a larger value"),
        ({"inner": {"count": 10}}, "inner.count: below 10; got 10; give a smaller value"),
        ({"inner": {"share": 0}}, "inner.share: above 0; got 0; give a larger value"),
        ({"inner": {"share": 1.5}}, "inner.share: at most 1; got 1.5; give a smaller value"),
        ({"inner": {"share": float("nan")}}, "inner.share: a finite number; got nan; give another number"),
        ({"inner": {"share": float("inf")}}, "inner.share: a finite number; got inf; give another number"),
        ({"version": 2}, "version: one of 1; got 2; use one of these"),
    ],
)
def test_a_value_of_the_wrong_type_or_size_is_one_sentence(data: dict, text: str) -> None:
    assert _refusal(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"model": {}}, f"model.name: required, one of {NAMES}; got nothing; add this key"),
        ({"model": {"name": 3}}, f"model.name: one of {NAMES}; got 3; use one of these"),
        (
            {"model": {"name": "mpl"}},
            f"model.name: one of {NAMES}; got 'mpl'; did you mean 'mlp'?",
        ),
        ({"model": {"name": "mlp", "hidden": [0]}}, "model.hidden.0: at least 1; got 0; give a larger value"),
        (
            {"model": {"name": "resnet", "depth": 21}},
            "model.depth: 6n + 2 with n >= 1, of which 20 and 26 is nearest; got 21; fix this value",
        ),
    ],
)
def test_the_path_is_the_users_own_without_the_tag(data: dict, text: str) -> None:
    assert _refusal(data) == text


def test_a_union_says_once_all_that_would_do() -> None:
    said = "inner.either: a number, text or a list; got True; write it as one of these"
    assert _refusal({"inner": {"either": True}}) == said
    assert _refusal({"inner": {"either": [True]}}) == f"inner.either.0: a number; got True; {NUMBER}"


def test_an_unknown_key_of_a_closed_table_names_the_nearest_and_hides_what_it_holds() -> None:
    said = "named: one of smoke, desk, paper; got 'smok'; did you mean 'smoke'?"
    assert _refusal({"named": {"smok": {"count": "x"}}}) == said


def test_a_date_is_refused_wherever_it_stands() -> None:
    kinds = "text, a number, true or false, a list or a table"
    said = f"free.a.0: {kinds}; got date 2020-01-02; write it as one of these"
    assert _refusal({"free": {"a": [datetime.date(2020, 1, 2)]}}) == said


def test_lists_become_tuples_and_whole_numbers_floats() -> None:
    spec = Outer.parse({"numbers": [1, 2], "inner": {"share": 1, "either": [1]}, "many": [{"count": 2}]})
    assert (spec.numbers, spec.inner.share, spec.inner.either) == ((1, 2), 1.0, (1.0,))
    assert isinstance(spec.inner.share, float)
    assert spec.many == (Inner(count=2),)


def test_specifications_may_stand_in_what_is_parsed_and_in_what_is_changed() -> None:
    spec = Outer.parse({"inner": Inner(count=3)})
    assert spec.inner.count == 3
    assert spec.changed(inner=Inner(count=4), numbers=(1,)) == Outer(inner=Inner(count=4), numbers=(1,))
    with pytest.raises(InputError, match=rf"numbers\.0: a whole number; got 'a'; {WHOLE}"):
        spec.changed(numbers=("a",))
    with pytest.raises(InputError, match=r"key: one of inner, .*; got 'iner'; did you mean 'inner'\?"):
        spec.changed(iner=Inner())


def test_a_long_value_is_cut() -> None:
    assert "x" * 79 + "...; " in _refusal({"numbers": "x" * 500})


def test_a_toml_file_that_is_not_one_names_its_line(tmp_path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("a = 1\nb = = 2\n")
    with pytest.raises(InputError, match="line 2"):
        read_toml(path)
    with pytest.raises(InputError, match="existing file"):
        read_toml(tmp_path / "none.toml")


def test_what_is_written_as_toml_is_read_again(tmp_path) -> None:
    content: dict[str, Any] = {
        "data": {"name": 'a "quoted"\nname é', "features": ("x", "y z"), "limit": {"train": 5}},
        "optimizer": {"learning_rate": 1e-07, "nesterov": True, "groups": [{"match": "*", "weight_decay": 0.0}]},
        "init_head": "new",
        "import": {"folder": Path("here")},
    }
    (tmp_path / "written.toml").write_text(write_toml(content), encoding="utf-8")
    found = read_toml(tmp_path / "written.toml")
    assert found.pop("import") == {"folder": "here"}
    del content["import"]
    content["data"]["features"] = ["x", "y z"]
    assert found == content


def test_paths_and_numpy_values_are_taken_as_text_and_numbers() -> None:
    given = {
        "inner": {"text": Path("a/b"), "count": np.int64(3), "share": np.float32(0.5), "flag": np.bool_(True)},
        "numbers": np.arange(2),
    }
    spec = Outer.parse(given)
    assert spec == Outer.parse({"inner": {"text": "a/b", "count": 3, "share": 0.5, "flag": True}, "numbers": [0, 1]})
    assert type(spec.inner.count) is int


def test_a_class_that_is_registered_later_is_taken_and_serialised() -> None:
    shapes: dict[str, type[NamedSpec]] = {}

    @register(shapes, "square")
    class Square(NamedSpec):
        side: float = 1.0

    class Drawing(Spec):
        shape: union_of(shapes) | None = None  # pyright: ignore[reportInvalidTypeForm]
        others: tuple[union_of(shapes), ...] = ()  # pyright: ignore[reportInvalidTypeForm]

    @register(shapes, "circle")
    class Circle(NamedSpec):
        radius: float = 1.0

    drawing = Drawing.parse({"shape": {"name": "circle", "radius": 2}, "others": [{"name": "square"}]})
    assert drawing == Drawing(shape=Circle(radius=2.0), others=(Square(),))
    assert drawing.model_dump(mode="json", exclude_none=True) == {
        "shape": {"name": "circle", "radius": 2.0},
        "others": [{"name": "square", "side": 1.0}],
    }
    assert Drawing.model_validate_json(drawing.model_dump_json()) == drawing
    with pytest.raises(InputError, match=r"others\.0\.radius: a number; got '2'"):
        Drawing.parse({"others": [{"name": "circle", "radius": "2"}]})
    with pytest.raises(InputError, match=r"shape\.name: one of square, circle; got 'cirle'; did you mean 'circle'\?"):
        Drawing.parse({"shape": {"name": "cirle"}})


DEEP = 100_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = " + b"[" * DEEP + b"]" * DEEP, "nested more than 64 levels deep"),
        (b"a = " + b"[" * 200 + b"]" * 200, "nested more than 64 levels deep"),
        (b"a = " + b"1" * 5000, r"invalid TOML: it holds an integer of more than 4,300 digits; fix that line$"),
        (b"a = '\xff'", "decode"),
        (b"\0" * 64, "invalid TOML"),
    ],
    ids=["nested", "nested a little", "digits", "not UTF-8", "zeros"],
)
def test_a_malicious_toml_file_is_one_sentence(tmp_path, content, said) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_toml(path)


def test_only_regular_files_of_a_sane_size_are_read(tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"a TOML file; got '/dev/zero', a device"):
        read_toml(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe, not a regular file"):
        read_toml(tmp_path / "pipe")
    with pytest.raises(InputError, match="a folder"):
        read_toml(tmp_path)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(InputError, match=r"a file of 8.0 GiB; the limit is 64.0 MiB"):
        read_toml(tmp_path / "sparse")
    with pytest.raises(InputError, match=r"path: .*too long"):
        read_toml(tmp_path / ("a" * 5000))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run.toml").write_text("a = 1\n")
    assert read_toml("~/run.toml") == {"a": 1}


def test_values_of_absurd_size_are_one_sentence() -> None:
    deep: list = []
    for _ in range(DEEP):
        deep = [deep]
    assert "at most 64 levels" in _refusal({"free": {"a": deep}})
    assert "an integer of at most 64 bits" in _refusal({"inner": {"count": 10**5000}})
    assert "text in Unicode" in _refusal({"inner": {"text": "\udcff"}})
