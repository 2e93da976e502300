"""Reading teacher caches: targets, their gradients, and the error of float16."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softtargets import losses, targets
from softtargets.distill import CacheSource, Sampled, TeacherCache, TopK, kd_loss, write_cache

N, K = 40, 12
GENERATOR = torch.Generator().manual_seed(3)
LOGITS = torch.randn(N, K, generator=GENERATOR).mul(3)
STUDENT = torch.randn(N, K, generator=GENERATOR)
IDS = torch.randperm(10 * N, generator=GENERATOR)[:N] - 50  # sparse, in no order, some negative
PRIOR = torch.rand(K, generator=GENERATOR, dtype=torch.float64).add(0.1)
PRIOR /= PRIOR.sum()


def source(num_classes: int = K) -> CacheSource:
    return CacheSource("t", "d", num_classes)


def written(
    folder: Path, keep: TopK | Sampled | None = None, logits: Tensor = LOGITS, ids: Tensor = IDS, **options: Any
) -> TeacherCache:
    batches = zip(ids.split(7), logits.split(7), strict=True)
    return write_cache(folder, batches, source(logits.shape[-1]), keep=keep, **{"rows_per_shard": 16, **options})


def gradient(made: targets.Targets, student: Tensor = STUDENT) -> Tensor:
    """Return the gradient of each example's cross entropy with respect to its logits."""
    student = student.clone().requires_grad_()
    losses.cross_entropy(student, made).sum().backward()
    assert student.grad is not None
    return student.grad


@pytest.mark.parametrize("k", [1, 5, K - 1])
@pytest.mark.parametrize("residual", ["uniform", "prior", "drop"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_top_k_is_that_of_targets(tmp_path: Path, k: int, residual: str, temperature: float) -> None:
    prior = PRIOR if residual == "prior" else None
    cache = written(tmp_path, TopK(k, residual, prior, temperature, "float32"))
    log_probs = (LOGITS.double() / temperature).log_softmax(-1)
    expected = targets.top_k(log_probs, k=k, residual=residual, prior=prior)
    at = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    made = cache.targets(IDS[at])
    assert made.index is not None
    assert made.index.shape == (N, k), "factored"
    assert made.num_classes == K
    torch.testing.assert_close(made.to_dense().double(), expected.to_dense(K)[at], rtol=0, atol=2e-7)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_all_classes_in_float32_are_the_teacher_to_the_bit(tmp_path: Path, temperature: float) -> None:
    cache = written(tmp_path, TopK(temperature=temperature, dtype="float32"))
    assert torch.equal(cache.targets(IDS).to_dense(), (LOGITS / temperature).softmax(-1))
    assert torch.equal(cache.log_probs(IDS), (LOGITS / temperature).log_softmax(-1))


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("k", [None, 20])
def test_float16_is_within_the_stated_bound(tmp_path: Path, scale: float, k: int | None) -> None:
    logits = torch.randn(50, 300, generator=torch.Generator().manual_seed(1)).mul(scale)
    made = written(tmp_path, TopK(k), logits, torch.arange(50)).targets(torch.arange(50)).to_dense().double()
    exact = targets.top_k(logits.double().log_softmax(-1), k=k or 300).to_dense(300)
    probs = logits.double().softmax(-1)
    distance = (probs * (probs.amax(-1, keepdim=True) / probs).log()).sum(-1)
    error = (made - exact).abs().sum(-1)
    # 1 %: the bound is to first order; 1e-6: the float32 that is read
    assert (error <= 1.01 * 2**-10 * distance + 1e-6).all()
    torch.testing.assert_close(made.sum(-1), torch.ones(50, dtype=torch.float64), rtol=0, atol=1e-6)


def test_float16_loses_no_class_that_float16_probabilities_would(tmp_path: Path) -> None:
    logits = torch.tensor([[0.0, -30.0, -60.0]])
    cache = written(tmp_path, None, logits, torch.tensor([4]))
    torch.testing.assert_close(cache.log_probs(torch.tensor([4])), logits, rtol=2**-11, atol=1e-6)
    assert (logits.softmax(-1).half()[0, 1:] == 0).all()


def test_one_mass_for_all_others_by_hand(tmp_path: Path) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.1, 0.1]]).log()
    made = written(tmp_path, TopK(1, dtype="float32"), logits, torch.tensor([9])).targets(torch.tensor([9]))
    assert made.to_dense()[0].tolist() == pytest.approx([0.5, 0.5 / 3, 0.5 / 3, 0.5 / 3], abs=1e-7)


@pytest.mark.parametrize("residual", ["uniform", "drop"])
def test_the_gradient_of_plain_top_k_is_biased_by_what_it_cuts_off(tmp_path: Path, residual: str) -> None:
    probs, student = LOGITS.double().softmax(-1), STUDENT.double().softmax(-1)
    live = gradient(targets.dense(LOGITS.softmax(-1))).double()
    torch.testing.assert_close(live, student - probs, rtol=0, atol=1e-6)
    plain = gradient(written(tmp_path, TopK(3, residual)).targets(IDS)).double()
    # by hand: each class below the third is short of its probability, and gets an even share of what was cut off
    predicted = torch.zeros(K, dtype=torch.float64)
    for row, own in zip(probs.tolist(), student.tolist(), strict=True):
        tail = sorted(range(K), key=lambda j, row=row: -row[j])[3:]
        left = sum(row[j] for j in tail)
        for j in range(K):
            share = left / (K - 3) if residual == "uniform" else 0.0
            cut = row[j] - share if j in tail else 0.0
            predicted[j] += (cut - (left * own[j] if residual == "drop" else 0.0)) / N
    torch.testing.assert_close((plain - live).mean(0), predicted, rtol=0, atol=1e-4)
    assert predicted.abs().max() > 30 * 1e-4, "far above rounding"


@pytest.mark.parametrize("proposal_temperature", [1.0, 2.0])
def test_the_gradient_of_draws_is_unbiased(tmp_path: Path, proposal_temperature: float) -> None:
    rows, copies = 4, 400
    logits, student = LOGITS[:rows].repeat(copies, 1), STUDENT[:rows].repeat(copies, 1)
    ids, parts = torch.arange(rows * copies), []
    for seed in range(2):
        cache = written(
            tmp_path / str(seed),
            Sampled(3, proposal_temperature),
            logits,
            ids,
            generator=torch.Generator().manual_seed(seed),
            rows_per_shard=1024,
        )
        parts.append(gradient(cache.targets(ids), student).reshape(copies, rows, K))
    drawn = torch.cat(parts).double()
    exact = STUDENT[:rows].double().softmax(-1) - LOGITS[:rows].double().softmax(-1)
    error = drawn.std(0) / len(drawn) ** 0.5
    # 48 numbers, each within 4.5 of its standard errors; classes that were hardly ever drawn have none of their own
    assert ((drawn.mean(0) - exact).abs() <= 4.5 * error + 1e-3).all()
    plain = written(tmp_path / "plain", TopK(3), LOGITS[:rows], torch.arange(rows)).targets(torch.arange(rows))
    bias = (gradient(plain, STUDENT[:rows]).double() - exact).abs()
    assert (bias > 4.5 * error + 1e-3).any(), "the same tolerance detects the bias of plain top-k"


def test_draws_are_those_of_the_example_whatever_the_order_and_the_batches(tmp_path: Path) -> None:
    def cache(name: str, at: Tensor, batch: int, seed: int = 5) -> TeacherCache:
        return write_cache(
            tmp_path / name,
            zip(IDS[at].split(batch), LOGITS[at].split(batch), strict=True),
            source(),
            keep=Sampled(4, proposal_temperature=1.5),
            generator=torch.Generator().manual_seed(seed),
            rows_per_shard=9,
        )

    first = cache("a", torch.arange(N), 7).targets(IDS).to_dense()
    second = cache("b", torch.arange(N).flip(0), 40).targets(IDS).to_dense()
    assert torch.equal(first, second)
    assert not torch.equal(first, cache("c", torch.arange(N), 7, seed=6).targets(IDS).to_dense())
    alike = written(tmp_path / "d", Sampled(4), LOGITS[:1].repeat(N, 1), generator=torch.Generator().manual_seed(5))
    assert alike.targets(IDS).to_dense().unique(dim=0).shape[0] > 5, "different examples get different draws"


def test_draws_weigh_what_targets_sample_weighs_them(tmp_path: Path) -> None:
    plain = written(tmp_path / "a", Sampled(4, dtype="float32")).targets(IDS)
    assert plain.value is not None
    assert (plain.value == 0.25).all()
    tilted = written(tmp_path / "b", Sampled(4, 2.0, dtype="float32")).targets(IDS)
    assert tilted.index is not None
    assert tilted.value is not None
    log_probs = LOGITS.double().log_softmax(-1)
    weight = (log_probs - (log_probs / 2).log_softmax(-1)).exp().gather(-1, tilted.index) / 4
    torch.testing.assert_close(tilted.value.double(), weight, rtol=1e-5, atol=0)


@pytest.mark.parametrize("way", ["targets", "log_probs"])
def test_training_from_the_cache_is_training_from_the_live_teacher(tmp_path: Path, way: str) -> None:
    """k = K in float32; a linear student, shuffled batches, temperature 2."""
    inputs = torch.randn(96, 5, generator=torch.Generator().manual_seed(0))
    teacher = torch.nn.Linear(5, K)
    with torch.no_grad():
        teacher.weight.normal_(generator=torch.Generator().manual_seed(1))
        batches = [(ids, teacher(inputs[ids])) for ids in torch.arange(96).split(24)]
    cache = write_cache(
        tmp_path,
        batches,
        source(),
        keep=TopK(temperature=2.0 if way == "targets" else 1.0, dtype="float32"),
    )

    def trained(cached: bool) -> Tensor:
        student = torch.nn.Linear(5, K)
        torch.nn.init.zeros_(student.weight)
        torch.nn.init.zeros_(student.bias)
        optimizer = torch.optim.SGD(student.parameters(), lr=1.0)
        order = torch.Generator().manual_seed(2)
        for _ in range(4):
            for ids in torch.randperm(96, generator=order).split(24):
                with torch.no_grad():
                    live = teacher(inputs[ids])
                if way == "targets":
                    made = cache.targets(ids) if cached else targets.dense((live / 2).softmax(-1))
                    loss = 4 * losses.cross_entropy(student(inputs[ids]) / 2, made).mean()
                else:
                    signal = cache.log_probs(ids) if cached else live
                    loss = kd_loss(student(inputs[ids]), signal, temperature=2.0).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return student.weight.detach()

    torch.testing.assert_close(trained(True), trained(False), rtol=0, atol=1e-6)
    assert trained(True).abs().max() > 0.1


def test_tokens_are_rows(tmp_path: Path) -> None:
    logits = torch.randn(3, 5, K, generator=torch.Generator().manual_seed(4))
    ids = torch.arange(15).reshape(3, 5)
    cache = write_cache(
        tmp_path,
        zip(ids.split(2), logits.split(2), strict=True),
        source(),
        keep=TopK(4, dtype="float32"),
    )
    made = cache.targets(ids[1:])
    assert made.shape == (2, 5)
    expected = targets.top_k(logits.log_softmax(-1), k=4).to_dense(K)
    torch.testing.assert_close(made.to_dense(), expected[1:], rtol=0, atol=1e-6)
    assert cache.targets(ids[:0]).to_dense().shape == (0, 5, K)


def test_classes_that_do_not_exist_get_nothing(tmp_path: Path) -> None:
    logits = LOGITS.clone()
    logits[:, 3:] = -torch.inf
    for name, keep in {"a": TopK(), "b": TopK(5), "c": Sampled(3)}.items():
        made = written(tmp_path / name, keep, logits).targets(IDS).to_dense()
        assert (made[:, 3:] == 0).all()
        torch.testing.assert_close(made.sum(-1), torch.ones(N), rtol=0, atol=1e-6)


def test_many_classes_need_wide_indices(tmp_path: Path) -> None:
    size = 2**15 + 10
    logits = torch.zeros(2, size)
    logits[0, -1] = logits[1, 5] = 20.0
    made = written(tmp_path, TopK(1), logits, torch.arange(2)).targets(torch.arange(2))
    assert made.index is not None
    assert made.index.tolist() == [[size - 1], [5]]


def test_repeats_and_other_integers_are_looked_up(tmp_path: Path) -> None:
    cache = written(tmp_path, TopK(dtype="float32"))
    at = torch.tensor([5, 5, 0])
    assert torch.equal(cache.log_probs(IDS[at].int()), LOGITS[at].log_softmax(-1))
    assert torch.equal(cache.ids, IDS.sort().values)
    assert len(cache) == N


def test_an_id_that_is_not_there_is_named(tmp_path: Path) -> None:
    cache = written(tmp_path)
    with pytest.raises(ValueError, match=r"^ids: ids of the cache in .*; got 1000000 at row 1; write a cache"):
        cache.targets(torch.tensor([int(IDS[0]), 10**6, -(10**6)]))
    with pytest.raises(TypeError, match=r"^ids: an integer tensor.*float32"):
        cache.targets(IDS.float())
    with pytest.raises(TypeError, match=r"^ids: an integer tensor.*list"):
        cache.targets([1])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("keep", "got"), [(TopK(3), "3"), (Sampled(3), "draws")])
def test_log_probs_need_all_classes(tmp_path: Path, keep: TopK | Sampled, got: str) -> None:
    with pytest.raises(ValueError, match=f"a cache of all classes, for log_probs; got {got} of 12; use targets"):
        written(tmp_path, keep).log_probs(IDS)


def test_it_pickles_as_its_folder(tmp_path: Path) -> None:
    cache = written(tmp_path, TopK(3))
    cache.targets(IDS)
    content = pickle.dumps(cache)
    assert len(content) < 3000, "no shard is pickled"
    assert torch.equal(pickle.loads(content).targets(IDS).to_dense(), cache.targets(IDS).to_dense())
    assert repr(cache) == f"TeacherCache({str(tmp_path)!r}, 40 examples, 12 classes, k=3)"
