"""Kinds of noise: specifications, the labels that are observed under them, and the transition behind these."""

import pickle

import pytest
import torch

from softtargets import noise
from softtargets._errors import InputError
from softtargets.data import DataSpec, load
from softtargets.data.dataset import Dataset
from softtargets.data.noise import KINDS, ObservedLabels, clean_labels, drawn_from, observe
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.streams import generator

DIGITS = load(DataSpec(name="digits"))
BASE = {"model": {"name": "mlp"}, "training": {"epochs": 1}}


def resolved(noise: dict, fingerprint: str | None = None) -> ResolvedRun:
    run = RunSpec.parse({**BASE, "noise": noise})
    return ResolvedRun(
        run=run, fingerprint="f", observed_fingerprint=fingerprint, backend="cpu", precision="float32", recipe=1
    )


# what has no default
NEEDED = {
    "superclass_flip": {"rate": 0.4, "superclasses": [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]},
    "recorded": {"file": "labels.csv", "column": "worse"},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_noise_says_what_it_is_and_is_read_as_written(name) -> None:
    first = (KINDS[name].__doc__ or "").partition("\n")[0]
    assert first.endswith(".")
    written = {"name": name, **NEEDED.get(name, {"rate": 0.4})}
    held = RunSpec.parse({**BASE, "noise": written}).noise
    assert held is not None
    assert type(held) is KINDS[name]
    content = held.model_dump(mode="json")
    assert content == {**content, **written, "splits": ["train", "validation"]}
    assert RunSpec.parse({**BASE, "noise": content}).noise == held
    assert pickle.loads(pickle.dumps(held)) == held


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"recorded"}))
def test_every_drawn_noise_flips_the_splits_that_it_names_at_its_rate(name) -> None:
    run = run_with(name=name, splits=["train"], **NEEDED.get(name, {"rate": 0.4}))
    seen = _observed(run, DIGITS)
    train = DIGITS.splits["train"]
    flipped = seen.labels != DIGITS.labels
    assert torch.equal(seen.flipped, flipped)
    assert list(seen.rates) == ["train"]
    assert seen.rates["train"] == pytest.approx(float(flipped[train].double().mean()))
    assert int(flipped.sum()) == int(flipped[train].sum()) > 0
    assert torch.equal(_observed(run, DIGITS).labels, seen.labels)
    assert run.noise is not None
    assert run.noise.fingerprint() is None


def test_recorded_labels_are_known_by_what_they_say_and_not_by_their_file() -> None:
    def identity(file: str, column: str, fingerprint: str) -> str:
        return resolved({"name": "recorded", "file": file, "column": column}, fingerprint).identity

    assert identity("a.csv", "x", "1") == identity("b.parquet", "y", "1")
    assert identity("a.csv", "x", "1") != identity("a.csv", "x", "2")


def test_kinds_of_noise_are_different_runs() -> None:
    names = ("symmetric", "pair_flip", "asymmetric_cifar10", "instance")
    assert len({resolved({"name": name, "rate": 0.2}).identity for name in names}) == len(names)


@pytest.mark.parametrize(
    ("noise", "error"),
    [
        ({"name": "pairflip", "rate": 0.4}, "did you mean 'pair_flip'"),
        ({"name": "pair_flip", "rate": 1.4}, r"noise.rate: at most 1; got 1.4"),
        ({"name": "pair_flip", "rate": 0.4, "splits": ["train", "train"]}, r"noise.splits: each split once"),
        ({"name": "symmetric", "rate": 0.4, "splits": []}, r"noise.splits: a length of at least 1"),
        ({"name": "recorded", "file": "a.csv"}, r"noise.column: required"),
        ({"name": "instance", "rate": 0.4, "spread": -1.0}, r"noise.spread: at least 0"),
    ],
)
def test_what_is_refused(noise: dict, error: str) -> None:
    with pytest.raises(InputError, match=error):
        RunSpec.parse({**BASE, "noise": noise})


def _observed(run: RunSpec, dataset: Dataset) -> ObservedLabels:
    return observe(run.noise, dataset, generator("noise", run.seeds.noise))


def run_with(**noise) -> RunSpec:
    content = {"model": {"name": "mlp"}, "training": {"epochs": 1}, **({"noise": noise} if noise else {})}
    return RunSpec.parse(content)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "symmetric", "rate": 0.4, "inclusive": True}, noise.symmetric(0.4, 10, inclusive=True)),
        ({"name": "pair_flip", "rate": 0.3}, noise.pair_flip(0.3, 10)),
        ({"name": "asymmetric_cifar10", "rate": 0.4}, noise.asymmetric_cifar10(0.4)),
        (
            {"name": "superclass_flip", "rate": 0.3, "superclasses": [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]},
            noise.superclass_flip(0.3, torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3])),
        ),
    ],
)
def test_labels_are_drawn_from_the_transition_that_is_named(spec, expected) -> None:
    run = run_with(**spec)
    assert torch.equal(drawn_from(run.noise, 10).to_dense(), expected.to_dense())
    seen = _observed(run, DIGITS)
    for split in ("train", "validation"):
        rows = DIGITS.splits[split]
        clean, observed = DIGITS.labels[rows], seen.labels[rows]
        counts = torch.bincount(clean * 10 + observed, minlength=100).view(10, 10)
        # systematic rounding: no cell is off by more than one example but for the total of its class
        assert float((counts - counts.sum(1, keepdim=True) * expected.to_dense()).abs().max()) <= 2
        assert seen.rates[split] == pytest.approx(float((clean != observed).double().mean()))
    test = DIGITS.splits["test"]
    assert torch.equal(seen.labels[test], DIGITS.labels[test])


def test_noise_by_instance_depends_on_the_image_and_not_on_the_objective() -> None:
    run = run_with(name="instance", rate=0.4)
    seen = _observed(run, DIGITS)
    assert seen.rates["train"] == pytest.approx(0.4, abs=0.03)
    assert torch.equal(seen.labels, _observed(run, DIGITS).labels)
    other = run.changed(seeds=run.seeds.changed(noise=1))
    assert not torch.equal(seen.labels, _observed(other, DIGITS).labels)


def test_noise_by_instance_sees_what_a_model_sees() -> None:
    """In float32 a spread of 10 around 2^30 would be gone before it is normalised."""
    rows = torch.arange(600)
    numbers = torch.randint(-10, 10, (600, 4), generator=torch.Generator().manual_seed(0)).double()
    splits = {"train": rows[:500], "validation": rows[500:], "test": rows[:0]}
    near, far = (Dataset("t", "", numbers + at, rows % 3, ("a", "b", "c"), splits) for at in (0.0, 2.0**30))
    run = run_with(name="instance", rate=0.4)
    assert torch.equal(_observed(run, near).labels, _observed(run, far).labels)


def test_recorded_labels_are_read_row_by_row(tmp_path) -> None:
    rows = len(DIGITS.labels)
    wrong = (DIGITS.labels + (torch.arange(rows) % 3 == 0)) % 10
    path = tmp_path / "people.csv"
    path.write_text("worse\n" + "\n".join(map(str, wrong.tolist())) + "\n")
    seen = _observed(run_with(name="recorded", file=str(path), column="worse", splits=["train"]), DIGITS)
    train, validation = DIGITS.splits["train"], DIGITS.splits["validation"]
    assert torch.equal(seen.labels[train], wrong[train])
    assert torch.equal(seen.labels[validation], DIGITS.labels[validation])
    assert list(seen.rates) == ["train"]


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"name": "asymmetric_cifar10", "rate": 0.4}, "noise: the ten classes of CIFAR-10"),
        ({"name": "superclass_flip", "rate": 0.4, "superclasses": [0, 0]}, "noise.superclasses: one number for each"),
        ({"name": "instance", "rate": 0.4}, "noise: noise drawn from a transition: .*; got 'instance'"),
    ],
)
def test_noise_that_does_not_fit_is_refused(spec, error) -> None:
    with pytest.raises(InputError, match=error):
        drawn_from(run_with(**spec).noise, 3)


def test_no_noise_is_the_identity() -> None:
    assert torch.equal(drawn_from(None, 4).to_dense(), torch.eye(4, dtype=torch.float64))
    assert torch.equal(_observed(run_with(), DIGITS).labels, clean_labels(DIGITS).labels)


def test_labels_of_people_are_not_asked_for_where_the_file_has_none(tmp_path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text("x,label\n" + "".join(f"{i},{i % 2}\n" for i in range(8)))
    people = tmp_path / "people.csv"
    people.write_text("worse\n" + "1\n" * 8)
    dataset = load(DataSpec(name=str(folder), test=0))
    spec = {"name": "recorded", "file": str(people), "column": "worse"}
    with pytest.raises(InputError, match=r"noise.splits: .*; got 'validation', a split of its own; leave it out"):
        _observed(run_with(**spec), dataset)
    seen = _observed(run_with(**spec, splits=["train"]), dataset)
    assert seen.rates == {"train": 0.5}
