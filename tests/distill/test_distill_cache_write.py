"""Writing teacher caches: interruption and resumption, invalid arguments, damaged folders."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets.distill import CacheSource, Sampled, TeacherCache, TopK, write_cache

N, K = 23, 6
LOGITS = torch.randn(N, K, generator=torch.Generator().manual_seed(0)).mul(2)
IDS = torch.randperm(N, generator=torch.Generator().manual_seed(1)) * 3
SOURCE = CacheSource("t", "d", K)
OPTIONS: dict[str, Any] = {"source": SOURCE, "keep": TopK(2), "rows_per_shard": 5}
DRAWS = Sampled(2, proposal_temperature=2.0)
SAMPLED: dict[str, Any] = {**OPTIONS, "keep": DRAWS}


class Stopped(Exception):
    """The teacher's process is stopped."""


def batches(stop: int | None = None, size: int = 4) -> Iterator[tuple[Tensor, Tensor]]:
    for number, pair in enumerate(zip(IDS.split(size), LOGITS.split(size), strict=True)):
        if number == stop:
            raise Stopped
        yield pair


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def options_of(kind: str, seed: int = 7) -> dict[str, Any]:
    return {**SAMPLED, "generator": torch.Generator().manual_seed(seed)} if kind == "sampled" else OPTIONS


@pytest.mark.parametrize("kind", ["top_k", "sampled"])
@pytest.mark.parametrize("stop", range(6))
def test_stopped_between_batches_it_ends_with_the_same_bytes(tmp_path: Path, kind: str, stop: int) -> None:
    write_cache(tmp_path / "whole", batches(), **options_of(kind))
    part = tmp_path / "part"
    for at in (stop, stop):  # twice at the same place, too
        with pytest.raises(Stopped):
            write_cache(part, batches(at), **options_of(kind))
        with pytest.raises(ValueError, match=r"a finished teacher cache; got one without manifest.json, whose writing"):
            TeacherCache.open(part)
    assert sum(name.startswith("shard") for name in files(part)) == stop * 4 // 5
    cache = write_cache(part, batches(size=7), **options_of(kind))
    assert files(part) == files(tmp_path / "whole")
    cache.verify()


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from softtargets.distill import CacheSource, Sampled, write_cache

root = Path(sys.argv[1])
logits = torch.randn(23, 6, generator=torch.Generator().manual_seed(0)).mul(2)
ids = torch.arange(23).flip(0)

def write(folder, slow=0.0):
    def batches():
        for pair in zip(ids.split(4), logits.split(4)):
            time.sleep(slow)
            yield pair
    write_cache(folder, batches(), CacheSource("t", "d", 6), keep=Sampled(2), rows_per_shard=5,
                generator=torch.Generator().manual_seed(7))

def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}

def killed(action, delay=None):
    child = os.fork()
    if not child:
        action()
        os._exit(0)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

def dying(folder, name, count, before):
    calls, real = [], getattr(os, name)
    def call(*args):
        calls.append(args)
        if before and len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args)
        if not before and len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
    setattr(os, name, call)
    write(folder)

write(root / "whole")
whole, deaths = content(root / "whole"), 0
assert len(whole) == 9, sorted(whole)
for name, before, calls in (("fsync", True, 10), ("replace", True, 8), ("replace", False, 8)):
    for count in range(1, calls + 1):
        folder = root / f"{name}-{before}-{count}"
        assert killed(lambda: dying(folder, name, count, before)), folder
        assert (folder / "manifest.json").exists() <= (content(folder) == whole), folder
        write(folder)
        assert content(folder) == whole, folder
chance, folder = random.Random(0), root / "random"
for _ in range(10):
    deaths += killed(lambda: write(folder, slow=0.002), delay=chance.uniform(0.0, 0.012))
write(folder)
assert content(folder) == whole, "random"
print(deaths)
"""


def test_killed_anywhere_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL before each fsync, before and after each rename, and at random."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 3, "some of the ten random kills hit a running writer"


@pytest.mark.parametrize("written", range(8))
def test_a_disk_that_fails_leaves_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    write_cache(tmp_path / "whole", batches(), **OPTIONS)
    whole, calls = files(tmp_path / "whole"), itertools.count()

    def full(descriptor: int) -> None:
        if next(calls) == written:
            raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            write_cache(tmp_path / "a", batches(), **OPTIONS)
    there = {name: content for name, content in files(tmp_path / "a").items() if not name.endswith(".part")}
    assert len(there) == 1 + written, "only the lock and the earlier files"
    assert all(whole[name] == content for name, content in there.items())
    write_cache(tmp_path / "a", batches(), **OPTIONS)
    assert files(tmp_path / "a") == whole


def test_what_is_written_is_not_asked_of_the_teacher_again(tmp_path: Path) -> None:
    asked: list[int] = []

    def lazy(stop: int | None = None) -> Iterator[Any]:
        for number, (ids, logits) in enumerate(batches(stop)):
            yield ids, lambda number=number, logits=logits: (asked.append(number), logits)[1]

    with pytest.raises(Stopped):
        write_cache(tmp_path / "a", lazy(4), **OPTIONS)
    assert asked == [0, 1, 2, 3]
    write_cache(tmp_path / "a", lazy(), **OPTIONS)
    assert asked == [0, 1, 2, 3, 3, 4, 5], "15 of the 16 examples were in whole shards"
    write_cache(tmp_path / "b", batches(), **OPTIONS)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_finished_cache_is_opened_and_no_batch_asked_for(tmp_path: Path) -> None:
    write_cache(tmp_path, batches(), **OPTIONS)
    assert len(write_cache(tmp_path, batches(0), **OPTIONS)) == N


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"source": CacheSource("other", "d", K)},
            r"^teacher: 't', as .* was started with; got 'other'; pass the same value, or choose",
        ),
        ({"source": CacheSource("t", "other", K)}, r"^data: 'd', as "),
        ({"source": CacheSource("t", "d", K + 1)}, r"^num_classes: 6, as .*; got 7;"),
        ({"source": CacheSource("t", "d", K, N)}, r"^num_examples: None, as "),
        ({"keep": TopK(3)}, r"^k: 2, as .*; got 3;"),
        ({"keep": TopK()}, r"^k: 2, as .*; got 6;"),
        ({"keep": None}, r"^k: 2, as .*; got 6;"),
        ({"keep": TopK(2, "drop")}, r"^residual: 'uniform', as "),
        ({"keep": TopK(2, "prior", torch.full((K,), 1 / K))}, r"^residual: 'uniform', as "),
        ({"keep": TopK(2, temperature=2.0)}, r"^temperature: 1.0, as .*; got 2.0;"),
        ({"keep": TopK(2, dtype="float32")}, r"^dtype: 'float16', as "),
        ({"rows_per_shard": 6}, r"^rows_per_shard: 5, as "),
        ({"keep": Sampled(3)}, r"^kind: 'top_k', as "),
    ],
)
@pytest.mark.parametrize("stop", [2, None])
def test_other_arguments_are_refused(tmp_path: Path, changed: dict[str, Any], message: str, stop: int | None) -> None:
    if stop is None:
        write_cache(tmp_path, batches(), **OPTIONS)
    else:
        with pytest.raises(Stopped):
            write_cache(tmp_path, batches(stop), **OPTIONS)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=message):
        write_cache(tmp_path, batches(), **{**OPTIONS, **changed})
    assert files(tmp_path) == before


def test_draws_go_on_with_the_seed_they_were_begun_with(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        write_cache(tmp_path / "a", batches(3), **options_of("sampled"))
    with pytest.raises(ValueError, match=r"^generator: \d+, as .* was started with; got \d+; pass the same"):
        write_cache(tmp_path / "a", batches(), **options_of("sampled", seed=8))
    write_cache(tmp_path / "a", batches(), **SAMPLED)
    write_cache(tmp_path / "b", batches(), **options_of("sampled"))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    def meddled() -> Iterator[tuple[Tensor, Tensor]]:
        for pair in batches():
            with pytest.raises(ValueError, match=r"a folder that no other process writes to; got one that is locked"):
                write_cache(tmp_path / "a", batches(), **OPTIONS)
            yield pair

    write_cache(tmp_path / "a", meddled(), **OPTIONS)
    write_cache(tmp_path / "b", batches(), **OPTIONS)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_another_order_is_refused_where_it_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        write_cache(tmp_path, batches(4), **OPTIONS)
    shuffled = [(IDS.flip(0), LOGITS.flip(0))]
    with pytest.raises(ValueError, match=r"^batches: the ids in the order of .*; got others after 0 examples; pass"):
        write_cache(tmp_path, shuffled, **OPTIONS)
    with pytest.raises(ValueError, match=r"^batches: 15 examples or more; got 4; pass all examples"):
        write_cache(tmp_path, itertools.islice(batches(), 1), **OPTIONS)
    assert len(write_cache(tmp_path, batches(), **OPTIONS)) == N


@pytest.mark.parametrize("count", [None, N + 1, N - 1])
def test_too_few_or_too_many_examples(tmp_path: Path, count: int | None) -> None:
    message = {
        None: r"^batches: 1 examples or more; got 0; pass all examples",
        N + 1: r"^batches: 24 examples or more; got 23; pass all examples \(does the data loader drop",
        N - 1: r"^batches: 22 examples, num_examples; got 23 or more; set num_examples",
    }[count]
    with pytest.raises(ValueError, match=message):
        write_cache(tmp_path, batches() if count else [], **{**OPTIONS, "source": CacheSource("t", "d", K, count)})
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("at", [(1, 2), (0, 20), (3, 19)], ids=["one batch", "two shards", "two shards"])
def test_an_id_that_comes_twice_is_named(tmp_path: Path, at: tuple[int, int]) -> None:
    ids = IDS.clone()
    ids[at[1]] = ids[at[0]]
    with pytest.raises(ValueError, match=rf"^batches: each id once; got {int(ids[at[0]])} twice; give every"):
        write_cache(tmp_path, [(ids, LOGITS)], **OPTIONS)


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: TopK(7), r"^k: at most 6, the number of classes; got 7;"),
    (lambda: TopK(0), r"^k: an int of at least 1; got 0;"),
    (lambda: TopK(2, dtype="float6"), r"^dtype: one of float16, float32; got 'float6'"),
    (lambda: TopK(2, "ghost"), r"^residual: 'uniform', 'prior' or 'drop'"),
    (lambda: TopK(2, "prior"), r"^prior: probabilities with residual='prior'"),
    (lambda: TopK(2, prior=torch.full((K,), 1 / K)), r"^prior: probabilities with residual='prior', and only then"),
    (lambda: TopK(2, "prior", torch.ones(K)), r"^prior: a sum of 1; got 6"),
    (lambda: TopK(2, "prior", torch.full((2,), 0.5)), r"^prior: 6 classes; got 2"),
    (lambda: TopK(2, temperature=0.0), r"^temperature: a finite number above 0; got 0;"),
    (lambda: Sampled(0), r"^n_draws: an int of at least 1; got 0;"),
    (lambda: Sampled(2, proposal_temperature=0.0), r"^proposal_temperature: a finite number above 0; got 0;"),
    (lambda: Sampled(2, temperature=-1.0), r"^temperature: a finite number above 0; got -1;"),
    (lambda: Sampled(2, dtype="half"), r"^dtype: one of float16, float32; got 'half'"),
    (lambda: "top_k", r"^keep: TopK or Sampled; got str;"),
]


@pytest.mark.parametrize(("keep", "message"), BAD)
def test_bad_contents_leave_no_folder(tmp_path: Path, keep: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        write_cache(tmp_path / "new", batches(), **{**OPTIONS, "keep": keep()})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_examples": 0}, r"^num_examples: an int of at least 1; got 0;"),
        ({"num_classes": 1}, r"^num_classes: at least 2; got 1;"),
        ({"teacher": ""}, r"^teacher: a name; got '';"),
        ({"data": 3}, r"^data: a name; got 3;"),
    ],
)
def test_a_bad_source_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        replace(SOURCE, **changed)


def test_a_bad_size_of_shards_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^rows_per_shard: an int of at least 1; got 0;"):
        write_cache(tmp_path / "new", batches(), **{**OPTIONS, "rows_per_shard": 0})
    assert not (tmp_path / "new").exists()


def test_the_plan_on_disk_is_flat_and_of_both_kinds(tmp_path: Path) -> None:
    """The format of version 2: caches that were written before can be read."""
    common = {"teacher": "t", "data": "d", "num_classes": K, "num_examples": None, "rows_per_shard": 5}
    common |= {"tokenizer": None}
    top: dict[str, Any] = {"kind": "top_k", "k": 2, "draws": None, "residual": "drop", "prior": None, "seed": None}
    top |= {"temperature": 3.0, "proposal_temperature": 1.0, "dtype": "float32"}
    drawn: dict[str, Any] = {"kind": "sampled", "k": None, "draws": 2, "residual": "uniform", "prior": None}
    drawn |= {"temperature": 1.0, "proposal_temperature": 2.0, "dtype": "float16"}
    write_cache(tmp_path / "a", batches(), SOURCE, keep=TopK(2, "drop", None, 3.0, "float32"), rows_per_shard=5)
    cache = write_cache(tmp_path / "b", batches(), **options_of("sampled"))
    for name, expected in (("a", common | top), ("b", common | drawn | {"seed": cache.plan.seed})):
        for file in ("plan.json", "manifest.json"):
            assert json.loads((tmp_path / name / file).read_text())["plan"] == expected
    prior = torch.tensor([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    cache = write_cache(tmp_path / "c", batches(), SOURCE, keep=TopK(2, "prior", prior))
    assert cache.plan.record()["prior"] == prior.double().tolist()
    assert TeacherCache.open(tmp_path / "c").plan.record() == cache.plan.record()


def test_bad_batches_are_named(tmp_path: Path) -> None:
    nan = LOGITS.clone()
    nan[4, 1] = torch.nan
    for logits, message in (
        (LOGITS[:, :4], r"^teacher_logits: 6 classes, num_classes, last; got shape \(23, 4\); set num_classes"),
        (LOGITS[:5], r"^batches: one row of logits for each id; got 5 rows, 23 ids"),
        (nan, rf"^teacher_logits: numbers, .*; got a NaN, \+inf or only -inf for id {int(IDS[4])};"),
    ):
        with pytest.raises(ValueError, match=message):
            write_cache(tmp_path, [(IDS, logits)], **OPTIONS)
    with pytest.raises(TypeError, match=r"^teacher_logits: a floating-point tensor; got dtype torch.int64"):
        write_cache(tmp_path, [(IDS, LOGITS.long())], **OPTIONS)
    assert len(write_cache(tmp_path, batches(), **OPTIONS)) == N, "the folder is still usable"


def test_a_prior_needs_mass_outside_the_k(tmp_path: Path) -> None:
    prior = torch.zeros(K)
    best = LOGITS[0].topk(2).indices
    prior[best] = 0.5
    with pytest.raises(ValueError, match=rf"^prior: a mass of 1e-06 outside the k .*; got 0 for id {int(IDS[0])};"):
        write_cache(tmp_path, batches(), **{**OPTIONS, "keep": TopK(2, "prior", prior)})


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"an empty folder, or that of a teacher cache; got one with thesis.txt"):
        write_cache(tmp_path, batches(), **OPTIONS)


@pytest.fixture
def cache(tmp_path: Path) -> TeacherCache:
    return write_cache(tmp_path / "cache", batches(), **OPTIONS)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"teacher": "a"}, r"cache: teacher: 'a'; got 't'; pass the folder of a matching cache"),
        ({"data": "b"}, r"cache: data: 'b'; got 'd';"),
        ({"num_classes": 7}, r"cache: num_classes: 7; got 6;"),
    ],
)
def test_a_foreign_cache_is_refused(cache: TeacherCache, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TeacherCache.open(cache.folder, **wanted)
    assert len(TeacherCache.open(cache.folder, teacher="t", data="d", num_classes=K)) == N


def test_no_cache_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none: the folder of a teacher cache; got no such folder; write it with"):
        TeacherCache.open(tmp_path / "none")
    with pytest.raises(ValueError, match=r"the folder of a teacher cache; got a folder without manifest.json"):
        TeacherCache.open(tmp_path)


@pytest.mark.parametrize("name", ["shard-00002.safetensors", "shard-00004.safetensors", "index.safetensors"])
@pytest.mark.parametrize("harm", ["gone", "cut", "changed"])
def test_a_harmed_file_is_named_and_can_be_mended(cache: TeacherCache, name: str, harm: str) -> None:
    before = files(cache.folder)
    path = cache.folder / name
    content = bytearray(before[name])
    content[-1] ^= 1
    path.unlink() if harm == "gone" else path.write_bytes(content if harm == "changed" else content[:-1])
    remedy = "remove it and manifest.json, and call write_cache again with the same arguments"
    if harm == "changed":
        opened = TeacherCache.open(cache.folder)  # which reads none of it
        with pytest.raises(ValueError, match=rf"{name}: the bytes that were written; got different bytes .*; {remedy}"):
            opened.verify()
        path.unlink()
    else:
        got = (
            "no such file"
            if harm == "gone"
            else rf"{len(content) - 1}: the file is truncated or belongs to another cache"
        )
        for look in (lambda: TeacherCache.open(cache.folder), lambda: TeacherCache(*cache.__reduce__()[1]).verify()):
            with pytest.raises(ValueError, match=rf"{name}: .*; got {got}; {remedy}"):
                look()
        again = TeacherCache(*cache.__reduce__()[1])
        with pytest.raises(ValueError, match=rf"{name}: .*; got {got}; {remedy}"):
            again.targets(IDS)
    (cache.folder / "manifest.json").unlink()
    write_cache(cache.folder, batches(), **OPTIONS).verify()
    assert files(cache.folder) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "else"}, r"manifest.json: format 'softtargets.teacher-cache'; got 'else'; pass a folder"),
        ({"version": 3}, r"manifest.json: format version 2; got 3; use the softtargets that wrote it"),
        ({"byteorder": "big"}, r"manifest.json: numbers in little-endian order; got big; write the cache again"),
        ({"num_examples": 22}, r"manifest.json: a manifest as it was written; got a changed one"),
    ],
)
@pytest.mark.skipif(sys.byteorder == "big", reason="the other order is foreign here")
def test_another_manifest_is_refused(cache: TeacherCache, change: dict[str, Any], message: str) -> None:
    path = cache.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=message):
        TeacherCache.open(cache.folder)


def test_a_manifest_or_plan_cut_off_is_said(cache: TeacherCache) -> None:
    for name in ("manifest.json", "plan.json"):
        path = cache.folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-9])
        with pytest.raises(ValueError, match=rf"{name}: JSON; got a damaged file; remove it"):
            write_cache(cache.folder, batches(), **OPTIONS)
        path.write_bytes(content)


@pytest.mark.parametrize(("old", "new"), [("num_examples", "num^examples"), ('"kind": "top_k"', '"kind": "top^k"')])
def test_a_changed_plan_is_named(tmp_path: Path, old: str, new: str) -> None:
    write_cache(tmp_path / "c", batches(), **OPTIONS)
    path = tmp_path / "c" / "plan.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=r"plan.json: the plan of a teacher cache, as it was written; got a changed"):
        write_cache(tmp_path / "c", batches(), **OPTIONS)


def test_a_finished_cache_that_is_anothers_is_not_handed_out(tmp_path: Path) -> None:
    for name in ("t", "u"):
        write_cache(tmp_path / name, batches(), **{**OPTIONS, "source": CacheSource(name, "d", K)})
    (tmp_path / "u" / "plan.json").write_bytes((tmp_path / "t" / "plan.json").read_bytes())
    with pytest.raises(ValueError, match=r"manifest.json: the plan in plan.json; got a different plan"):
        write_cache(tmp_path / "u", batches(), **OPTIONS)


def test_the_bytes_of_an_example_are_as_stated(tmp_path: Path) -> None:
    stated: dict[str, tuple[TopK | Sampled, int]] = {
        "a": (TopK(2), 24 + 4 * 2 + 2),
        "b": (TopK(), 24 + 2 * K),
        "c": (TopK(2, dtype="float32"), 24 + 6 * 2 + 4),
        "d": (Sampled(2), 24 + 2 * 2),
    }
    for name, (keep, size) in stated.items():
        write_cache(tmp_path / name, batches(), SOURCE, keep=keep)
        stored = [content for file, content in files(tmp_path / name).items() if file.endswith(".safetensors")]
        assert sum(len(content) - 8 - int.from_bytes(content[:8], "little") for content in stored) == N * size
