"""Specifications: what they refuse, what their identity depends on, and what it does not."""

import json

import pytest

from softtargets._errors import InputError
from softtargets._spec import merged
from softtargets.models.mlp import MlpSpec
from softtargets.objectives import OBJECTIVES
from softtargets.runs.spec import ResolvedRun, RunSpec, canonical_json

BASE = {"model": {"name": "mlp"}, "training": {"epochs": 2}}


def _resolved(**changes) -> ResolvedRun:
    settings = {"fingerprint": "f", "backend": "cpu", "precision": "float32", "recipe": 1}
    run = RunSpec.parse(merged(BASE, changes))
    return ResolvedRun(run=run, **settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimiser": {}}, ["optimiser", "did you mean 'optimizer'?"]),
        ({"optimizer": {"learning_rat": 0.1}}, ["optimizer", "learning_rat", "did you mean 'learning_rate'?"]),
        ({"model": {"name": "mpl"}}, ["model.name", "'mpl'", "did you mean 'mlp'?"]),
        ({"model": {"name": "resnet", "depth": 21}}, ["model", "20", "26", "21"]),
        ({"objective": {"name": "foward", "noise_rate": 0.1}}, ["objective.name", "did you mean 'forward'?"]),
        ({"objective": {"name": "forward"}}, ["objective", "noise_rate", "required"]),
        ({"objective": {"name": "cross_entropy", "smoothing": 1.5}}, ["smoothing", "1.5"]),
        ({"training": {"epochs": 2, "steps": 3}}, ["either epochs or steps"]),
        ({"training": {"epochs": 2, "precision": "bfloat"}}, ["precision", "did you mean 'bfloat16'?"]),
        ({"optimizer": {"nesterov": True, "dampening": 0.5}}, ["nesterov", "dampening=0.5"]),
        ({"schedule": {"name": "step"}}, ["milestones"]),
        ({"schedule": {"name": "step", "milestones": [0.7, 0.5]}}, ["increasing"]),
        ({"noise": {"name": "symmetric", "rate": float("nan")}}, ["noise", "rate"]),
        ({"seeds": -1}, ["seeds", "-1"]),
    ],
)
def test_a_bad_specification_is_refused_by_name(change, words) -> None:
    with pytest.raises(InputError) as caught:
        RunSpec.parse(merged(BASE, change), source="my.toml")
    assert str(caught.value).startswith("my.toml: ")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"noise": {"name": "symmetric", "rate": True}},
            "noise.rate: a number; got True; write it in digits, without quotes",
        ),
        (
            {"training": {"epochs": 2, "batch_size": "64"}},
            "training.batch_size: a whole number; got '64'; write it in digits, without quotes or a decimal point",
        ),
        (
            {"augmentation": {"flip": "yes"}},
            "augmentation.flip: true or false; got 'yes'; write one of the two, without quotes",
        ),
        (
            {"objective": {"smoothing": 0.1}},
            f"objective.name: required, one of {', '.join(OBJECTIVES)}; got nothing; add this key",
        ),
        (
            {"training": {"epochs": 2, "steps": 3}},
            "training: either epochs or steps; got epochs=2, steps=3; give one of the two",
        ),
        ({"training": {"threads": 1025}}, "training.threads: at most 1024; got 1025; give a smaller value"),
        (
            {"noise": {"name": "symmetric", "rate": 0.1, "splits": ["train", "train"]}},
            "noise.splits: each split once; got ['train', 'train']; remove the repeated ones",
        ),
        (
            {"optimizer": {"name": "adamw", "nesterov": True}},
            "optimizer.nesterov: false with adamw; got True; drop it or use sgd",
        ),
        (
            {"optimizer": {"name": "adamw", "dampening": 0.5}},
            "optimizer.dampening: 0 with adamw; got 0.5; drop it or use sgd",
        ),
        (
            {"optimizer": {"nesterov": True, "momentum": 0}},
            "optimizer.nesterov: momentum above 0 and no dampening; got momentum=0, dampening=0; "
            "use nesterov = false, or momentum without dampening",
        ),
        (
            {"schedule": {"name": "step", "milestones": [0.7, 0.5]}},
            "schedule.milestones: increasing fractions; got [0.7, 0.5]; sort them",
        ),
        ({"seeds": -1}, "seeds: at least 0; got -1; give a larger value"),
        ({"seeds": True}, "seeds: a whole number or a table of them; got True; write one number, such as 3"),
        ({"seeds": {"order": -1}}, "seeds.order: at least 0; got -1; give a larger value"),
    ],
)
def test_what_is_refused_is_said_in_one_sentence(change, text) -> None:
    with pytest.raises(InputError) as caught:
        RunSpec.parse(merged(BASE, change), source="my.toml")
    assert str(caught.value) == f"my.toml: {text}"


def test_every_bad_table_is_named_at_once() -> None:
    with pytest.raises(InputError, match=r"hiden.*\| .*epoks"):
        RunSpec.parse({"model": {"name": "mlp", "hiden": [3]}, "training": {"epoks": 1}})


def test_one_seed_stands_for_all_streams() -> None:
    assert set(RunSpec.parse({**BASE, "seeds": 3}).seeds.model_dump().values()) == {3}


def test_a_specification_is_frozen_and_hashable() -> None:
    run = RunSpec.parse(BASE)
    with pytest.raises(ValueError, match="frozen"):
        run.model = MlpSpec()
    assert len({hash(run), hash(RunSpec.parse(BASE))}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": {"order": 1}},
        {"training": {"threads": 2}},
        {"optimizer": {"learning_rate": 0.2}},
        {"data": {"name": "digits", "split_seed": 1}},
        {"noise": {"name": "symmetric", "rate": 0.2}},
    ],
)
def test_what_changes_results_changes_the_identity(change) -> None:
    assert _resolved(**change).identity != _resolved().identity


def test_the_datas_name_is_not_part_of_the_identity_but_its_content_is() -> None:
    one, other = _resolved(data={"name": "a.csv"}), _resolved(data={"name": "b/c.csv"})
    assert one.identity == other.identity
    assert one.changed(fingerprint="g").identity != one.identity


TAUGHT = {"objective": {"name": "distillation"}, "teachers": [BASE]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"teachers": [BASE]},
            "teachers: given if the objective is distillation from runs, and only then; "
            "got some with 'cross_entropy'; change the teachers or the objective",
        ),
        (
            {"objective": {"name": "distillation"}},
            "teachers: given if the objective is distillation from runs, and only then; "
            "got none with 'distillation'; change the teachers or the objective",
        ),
        (
            {**TAUGHT, "teachers": [BASE, BASE]},
            "teachers.1: a run that differs from the others; got an equal one; change its seeds",
        ),
        ({**TAUGHT, "teachers": []}, "teachers: a length of at least 1; got []; add entries"),
        (
            {"objective": {"name": "distillation", "source": "average"}},
            "training.average_decay: given if a running average is the teacher; got None; give one, such as 0.999",
        ),
        (
            {**TAUGHT, "teachers": [BASE, {**BASE, "data": {"name": "digits", "split_seed": 1}}]},
            "teachers.1.data: the student's own data; got 'digits'; "
            "train the teacher on the same data, splits and limits",
        ),
        (
            {**TAUGHT, "objective": {"name": "distillation", "cache": {}}, "augmentation": {"shift": 1}},
            "objective.cache: no cache with augmentation; got one; "
            "drop one of the two: a cache has no outputs for augmented inputs",
        ),
    ],
)
def test_what_does_not_go_with_teachers_is_said(change, text) -> None:
    with pytest.raises(InputError) as caught:
        RunSpec.parse(merged(BASE, change), source="my.toml")
    assert str(caught.value) == f"my.toml: {text}"


def test_a_teacher_may_be_augmented_where_its_student_has_a_cache() -> None:
    teacher = {**BASE, "augmentation": {"shift": 1}}
    RunSpec.parse(merged(BASE, {"objective": {"name": "distillation", "cache": {}}, "teachers": [teacher]}))


def test_teachers_count_by_their_identities_and_in_their_order() -> None:
    run = RunSpec.parse(merged(BASE, TAUGHT))
    one, other = _resolved(), _resolved(seeds=1)

    def identity(*teachers: ResolvedRun, **changes) -> str:
        return _resolved().changed(run=run.changed(**changes), teachers=teachers).identity

    assert identity(one) != identity(other)
    assert identity(one, other) != identity(other, one)
    # what a specification says of its teachers is said by their identities, resolved
    assert identity(one) == identity(one, teachers=(one.run, other.run))


def test_a_setting_that_came_later_and_is_left_out_is_the_same_run() -> None:
    run = _resolved().changed(run=RunSpec.parse(merged(BASE, TAUGHT)), teachers=(_resolved(),))
    # a fixed point, of before there were caches and snapshots: who changes it retrains everybody's students
    assert run.identity == "c6de8ad0b09c38966bbdcd498cb3003854d59290e38ef5d5d877b70fa96432b7"


def test_precision_counts_as_resolved() -> None:
    auto = _resolved(training={"precision": "auto"})
    named = _resolved(training={"precision": "float32"})
    assert auto.identity == named.identity
    assert auto.changed(precision="bfloat16").identity != auto.identity


def test_a_raised_recipe_is_another_run() -> None:
    assert _resolved().changed(recipe=2).identity != _resolved().identity


def test_the_identity_is_that_of_the_canonical_json() -> None:
    # a fixed point: a change here retrains everybody's runs, so it must be meant
    assert canonical_json({"b": 1.0, "a": [1, "ä"]}) == '{"a":[1,"\\u00e4"],"b":1.0}'
    restored = ResolvedRun.model_validate(json.loads(_resolved().model_dump_json()))
    assert restored.identity == _resolved().identity


ESTIMATED = {"name": "forward", "transition": {"name": "estimated", "estimator": "dual_t", "percentile": 97.0}}
FLIPPED = {"name": "pair_flip", "rate": 0.3}
RESNET = {"name": "resnet", "depth": 8}

# fixed points: a change here retrains everybody's runs, so it must be meant
IDENTITIES = [
    (
        {"objective": {"name": "cross_entropy", "smoothing": 0.1}},
        "97e9bdac5fc059b3323c1cc4665564f3154a65dfd85bd21e4edb3b20447824db",
    ),
    (
        {"objective": {"name": "early_learning"}, "noise": FLIPPED},
        "7111a46485348a3634a251f1dcb1bc1b29aa478d52e80a5993605903325d3d29",
    ),
    (
        {"objective": ESTIMATED, "noise": FLIPPED, "model": RESNET},
        "b5c04bf84d403596cb5c2fad5c0c966cb23ee954d3d1ad27c3a1e690abe0d2b2",
    ),
    (
        {"objective": {"name": "cores"}, "noise": {"name": "instance", "rate": 0.4}},
        "11985ab7e7a5ee85626cc36175b2ee6ae8cca611702d3526bad275b421ec09be",
    ),
    (
        {"objective": {"name": "backward", "noise_rate": 0.2}, "noise": {"name": "symmetric", "rate": 0.2}},
        "156c077898058390eb7ee5b6a9d88382c99e6589cd28e0df4f0b8a282adf51b4",
    ),
    (
        {"noise": {"name": "recorded", "file": "a.csv", "column": "worse"}},
        "487a0aae16559afd68e3d8baca21cef700845da771450c9b9bf5b76babab0b93",
    ),
    ({"objective": {"name": "peer"}, "seeds": 3}, "18d74fc5372bb39844401a9e90a5792fb61e31106ab609c9b35771215c159873"),
    (
        {"objective": {"name": "pseudo_labels", "threshold": 0.9}, "data": {"name": "digits", "unlabelled": 0.9}},
        "ca249f9812e8a9accedf1ae073c051a235ef6b87cd744e131679d185818cd606",
    ),
    (
        {
            "objective": {"name": "pseudo_labels", "source": "average", "kind": "soft", "ramp": "linear"},
            "training": {"average_decay": 0.9, "average_ramp": False},
        },
        "7fa10f6ade4765aefb74fd98baba5541f552bedb90bef2d3fe73beb25ca7d296",
    ),
]


@pytest.mark.parametrize(("change", "identity"), IDENTITIES)
def test_the_identities_of_runs_do_not_change(change, identity) -> None:
    assert _resolved(**change).identity == identity


def test_a_setting_that_is_left_out_is_no_part_of_the_identity() -> None:
    # a fixed point, too: settings that came later are None unless given, and the runs made before them are still found
    assert _resolved().identity == "a141d6ce961566afb08d85008c912bb7f746a6f874dfdf02408356811e6d5d88"
    assert _resolved(training={"snapshot_every": 1}).identity != _resolved().identity


def test_merging_replaces_a_table_that_changes_its_name() -> None:
    base = {"objective": {"name": "forward", "noise_rate": 0.2}, "training": {"epochs": 1, "threads": 2}}
    change = {"objective": {"name": "mixup"}, "training": {"epochs": 3}}
    assert merged(base, change) == {"objective": {"name": "mixup"}, "training": {"epochs": 3, "threads": 2}}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"training": {"epochs": 2**63 - 1}}, "training.epochs: at most 1000000"),
        ({"training": {"epochs": 2**63}}, "training.epochs: an integer of at most 64 bits"),
        ({"training": {"steps": 10**12}}, "training.steps: at most 1000000000"),
        ({"training": {"epochs": 1, "batch_size": 10**9}}, "training.batch_size: at most 1048576"),
        ({"training": {"epochs": 1, "threads": 10**6}}, "training.threads: at most 1024"),
        ({"seeds": 2**64}, "seeds: an integer of at most 64 bits"),
        ({"seeds": {"order": -1}}, "seeds.order: at least 0"),
        ({"augmentation": {"shift": 10**9}}, "augmentation.shift: at most 4096"),
        ({"schedule": {"warmup_steps": 10**15}}, "schedule.warmup_steps: at most 1000000000"),
        ({"data": {"name": "digits", "num_classes": 10**9}}, "data.num_classes: at most 1000000"),
        ({"data": {"name": "digits", "fold": {"index": 0, "count": 10**6}}}, "data.fold.count: at most 10000"),
    ],
)
def test_absurd_sizes_are_refused_before_anything_is_built(change, text) -> None:
    with pytest.raises(InputError, match=text):
        RunSpec.parse({"model": {"name": "mlp"}, "training": {"epochs": 1}, **change})
