"""nn.CrossEntropyLoss: torch's numbers on whatever torch tries, and ours where torch's are a fault."""

import copy
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from softtargets import losses, nn, targets

N, K = 5, 4
generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator, dtype=torch.float64) * 2
LABELS = torch.tensor([2, 0, 3, 3, 1])
PROBS = torch.randn(N, K, generator=generator, dtype=torch.float64).softmax(-1)
WEIGHT = torch.tensor([1.0, 0.5, 20.0, 3.0], dtype=torch.float64)
REDUCTIONS = ("mean", "sum", "none")
# relative to the largest entry; torch sums in half precision, ours does not
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}

Call = Callable[..., Tensor]


def torchs(logits: Tensor, target: Tensor, **keywords: Any) -> Tensor:
    return F.cross_entropy(logits, target, **keywords)


def ours(logits: Tensor, target: Tensor, **keywords: Any) -> Tensor:
    return nn.CrossEntropyLoss(**keywords, weighting="torch")(logits, target)


def compare(a: Call, b: Call, logits: Tensor, target: Tensor, **keywords: Any) -> None:
    """Compare values, their dtype and shape, and the gradients of logits and probabilities."""
    results = []
    for function in (a, b):
        leaves = [t.detach().clone().requires_grad_(t.is_floating_point()) for t in (logits, target)]
        value = function(*leaves, **keywords)
        learning = [leaf for leaf in leaves if leaf.requires_grad]
        results.append([value.detach(), *torch.autograd.grad(value.sum(), learning)])
    for left, right in zip(*results, strict=True):
        scale = float(right.abs().max()) if right.numel() else 0.0
        atol = TOLERANCE[logits.dtype] * max(1.0, 0.0 if math.isnan(scale) else scale)
        torch.testing.assert_close(left, right, rtol=0, atol=atol, equal_nan=True)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> dict[str, list]:
    path = tmp_path_factory.mktemp("torch") / "samples.pt"
    script = Path(__file__).parent / "samples_of_torch.py"
    done = subprocess.run([sys.executable, script, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return torch.load(path)


@pytest.mark.parametrize("kind", ["function", "module"])
def test_whatever_torch_tests_its_own_with_gives_the_same(samples, kind: str) -> None:
    assert len(samples[kind]) >= 80
    assert {sample[1].dtype for sample in samples[kind]} >= {torch.float64, torch.float32, torch.float16}
    for keywords, logits, target in samples[kind]:
        compare(ours, torchs, logits, target, **keywords)


def test_without_class_weights_so_does_the_default(samples) -> None:
    for keywords, logits, target in samples["function"] + samples["module"]:
        soft = target.is_floating_point() and keywords.get("label_smoothing")
        if keywords.get("weight") is None and not soft and logits.dtype in (torch.float64, torch.float32):
            compare(lambda z, t, **k: nn.CrossEntropyLoss(**k)(z, t), torchs, logits, target, **keywords)


def test_whatever_torch_refuses_is_refused(samples) -> None:
    for keywords, logits, target in samples["error"]:
        with pytest.raises((ValueError, TypeError)):
            ours(logits, target, **keywords)


shapes = st.sampled_from([(3,), (1, 3), (4, 3), (2, 3, 5), (2, 3, 1), (2, 3, 2, 3), (1, 2, 2, 1, 3), (0, 3), (2, 3, 0)])


@settings(max_examples=150, deadline=None)
@given(
    shape=shapes,
    soft=st.booleans(),
    weighted=st.booleans(),
    reduction=st.sampled_from(REDUCTIONS),
    label_smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    ignore_index=st.sampled_from([-100, -1, 1, 255]),
    all_ignored=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_torchs_weighting_is_torchs(
    shape: tuple[int, ...],
    soft: bool,
    weighted: bool,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
    all_ignored: bool,
    seed: int,
) -> None:
    draw = torch.Generator().manual_seed(seed)
    class_dim = 0 if len(shape) == 1 else 1
    size = shape[class_dim]
    logits = torch.randn(shape, generator=draw, dtype=torch.float64) * 3
    keywords: dict[str, Any] = {"reduction": reduction, "label_smoothing": label_smoothing}
    if weighted:
        keywords["weight"] = torch.rand(size, generator=draw, dtype=torch.float64) + 0.1
    if soft:
        # of any mass and sign, as torch's own tests have them
        target = torch.randn(shape, generator=draw, dtype=torch.float64)
    else:
        target = torch.randint(size, shape[:class_dim] + shape[class_dim + 1 :], generator=draw)
        hidden = torch.rand(target.shape, generator=draw) < (1.0 if all_ignored else 0.3)
        target = target.masked_fill(hidden, ignore_index)
        keywords["ignore_index"] = ignore_index
    compare(ours, torchs, logits, target, **keywords)
    counted = reduction != "mean" or (target != ignore_index).any()
    if not weighted and not (soft and label_smoothing) and counted and logits.numel():
        compare(lambda z, t, **k: nn.CrossEntropyLoss(**k)(z, t), torchs, logits, target, **keywords)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_dtype_of_the_result(dtype: torch.dtype) -> None:
    logits = LOGITS.to(dtype)
    assert nn.CrossEntropyLoss()(logits, LABELS).dtype == torch.float32
    assert nn.CrossEntropyLoss(weighting="torch")(logits, LABELS).dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = F.cross_entropy(logits, LABELS)
        value = nn.CrossEntropyLoss(weighting="torch")(logits, LABELS)
    assert value.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(value, theirs)


# what the weights of examples mean


def mean_of(weights: Sequence[float], values: Tensor) -> float:
    return sum(w * float(v) for w, v in zip(weights, values, strict=True)) / sum(weights)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_a_class_weight_weighs_the_example_and_the_mean_divides_by_the_weights(label_smoothing: float) -> None:
    labels = LABELS.masked_fill(LABELS == 0, -100)
    value = nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=label_smoothing)(LOGITS, labels)
    plain = F.cross_entropy(LOGITS, LABELS, label_smoothing=label_smoothing, reduction="none")
    weights = [0.0 if y == 0 else float(WEIGHT[y]) for y in LABELS.tolist()]
    assert float(value) == pytest.approx(mean_of(weights, plain), rel=1e-12)


def test_a_soft_target_weighs_what_its_classes_do() -> None:
    value = nn.CrossEntropyLoss(weight=WEIGHT)(LOGITS, PROBS)
    plain = F.cross_entropy(LOGITS, PROBS, reduction="none")
    weights = [sum(t * w for t, w in zip(row, WEIGHT.tolist(), strict=True)) for row in PROBS.tolist()]
    assert float(value) == pytest.approx(mean_of(weights, plain), rel=1e-12)


def test_labels_and_their_one_hot_vectors_are_the_same() -> None:
    loss = nn.CrossEntropyLoss(weight=WEIGHT)
    one_hot = F.one_hot(LABELS, K).double()
    torch.testing.assert_close(loss(LOGITS, one_hot), loss(LOGITS, LABELS), rtol=0, atol=1e-14)
    torch.testing.assert_close(loss(LOGITS, targets.hard(LABELS)), loss(LOGITS, LABELS), rtol=0, atol=0)
    torchs_loss = torch.nn.CrossEntropyLoss(weight=WEIGHT)
    assert abs(float(torchs_loss(LOGITS, one_hot) - torchs_loss(LOGITS, LABELS))) > 0.1


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_soft_targets_can_be_ignored(reduction: Any) -> None:
    ignored = torch.tensor([False, True, False, False, True])
    made = replace(targets.dense(PROBS), ignored=ignored)
    logits = LOGITS.clone().masked_fill(ignored[:, None], math.nan).requires_grad_()
    value = nn.CrossEntropyLoss(weight=WEIGHT, reduction=reduction)(logits, made)
    kept = nn.CrossEntropyLoss(weight=WEIGHT, reduction=reduction)(LOGITS[~ignored], PROBS[~ignored])
    torch.testing.assert_close(value[~ignored] if reduction == "none" else value, kept, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient[ignored].eq(0).all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_batch_without_an_example_to_count_is_0(weight: Tensor | None, label_smoothing: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    ignored = torch.full_like(LABELS, -100)
    value = nn.CrossEntropyLoss(weight=weight, label_smoothing=label_smoothing)(logits, ignored)
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert logits.grad.eq(0).all()
    assert F.cross_entropy(LOGITS, ignored).isnan()


@pytest.mark.parametrize("weighting", ["example", "torch"])
def test_with_a_normalizer_micro_batches_add_up(weighting: Any) -> None:
    loss = nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1, weighting=weighting)
    normalizer = WEIGHT[LABELS].sum()
    parts = [loss(LOGITS[rows], LABELS[rows], normalizer=normalizer) for rows in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(sum(parts), loss(LOGITS, LABELS), rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match="normalizer: None unless reduction='mean'; got 3"):
        nn.CrossEntropyLoss(reduction="sum", weighting=weighting)(LOGITS, LABELS, normalizer=3)


def test_the_convention_and_the_prior_of_smoothing() -> None:
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    value = nn.CrossEntropyLoss(label_smoothing=0.3, convention="others", prior=prior)(LOGITS, LABELS)
    made = targets.smooth(LABELS, 0.3 * K / (K - 1), prior=prior)
    torch.testing.assert_close(value, losses.cross_entropy(LOGITS, made).mean())
    (smoothed,) = nn.CrossEntropyLoss(label_smoothing=0.3, convention="others", reduction="none")(
        LOGITS[:1], LABELS[:1]
    )
    log_p = LOGITS[0].log_softmax(-1).tolist()
    expected = -sum((0.7 if k == int(LABELS[0]) else 0.1) * log_p[k] for k in range(K))
    assert float(smoothed) == pytest.approx(expected, rel=1e-12)


def test_smoothing_keeps_the_mass_of_a_soft_target() -> None:
    loss = nn.CrossEntropyLoss(label_smoothing=0.3)
    torch.testing.assert_close(loss(LOGITS, 3 * PROBS), 3 * loss(LOGITS, PROBS))
    torch.testing.assert_close(loss(LOGITS, PROBS), F.cross_entropy(LOGITS, PROBS, label_smoothing=0.3))


def test_where_the_classes_are() -> None:
    logits = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (2, 3), generator=generator)
    last = nn.CrossEntropyLoss(class_dim=-1)
    torch.testing.assert_close(last(logits, labels), F.cross_entropy(logits.movedim(-1, 1), labels))
    torch.testing.assert_close(last(logits[0, 0], labels[0, 0]), F.cross_entropy(logits[0, 0], labels[0, 0]))
    soft = logits.softmax(-1)
    torch.testing.assert_close(last(logits, soft), F.cross_entropy(logits.movedim(-1, 1), soft.movedim(-1, 1)))


# the class name is the whole migration


def trained(loss: torch.nn.Module, target: Tensor) -> list[Tensor]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, K)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    inputs = torch.randn(N, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for _ in range(3):
        optimizer.zero_grad()
        loss(model(inputs), target).backward()
        optimizer.step()
    return list(model.parameters())


@pytest.mark.parametrize("target", [LABELS, LABELS.masked_fill(LABELS == 3, -100), PROBS], ids=["all", "some", "soft"])
@pytest.mark.parametrize("keywords", [{}, {"label_smoothing": 0.2}, {"reduction": "sum"}], ids=str)
def test_changing_the_class_name_trains_the_same_network(keywords: dict[str, Any], target: Tensor) -> None:
    theirs = trained(torch.nn.CrossEntropyLoss(**keywords), target)
    for parameter, other in zip(trained(nn.CrossEntropyLoss(**keywords), target), theirs, strict=True):
        torch.testing.assert_close(parameter, other, rtol=0, atol=1e-13)


def test_it_is_a_module_as_torchs() -> None:
    loss, theirs = nn.CrossEntropyLoss(weight=WEIGHT), torch.nn.CrossEntropyLoss(weight=WEIGHT)
    assert loss.state_dict().keys() == theirs.state_dict().keys() == {"weight"}
    assert nn.CrossEntropyLoss().state_dict() == torch.nn.CrossEntropyLoss().state_dict() == {}
    loss.load_state_dict(theirs.state_dict())
    assert loss.to(torch.float32).get_buffer("weight").dtype == torch.float32
    assert loss.to("meta").get_buffer("weight").device.type == "meta"
    assert list(loss.parameters()) == []


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_give_the_same(copied: Any) -> None:
    loss = nn.CrossEntropyLoss(weight=WEIGHT, prior=WEIGHT / WEIGHT.sum(), label_smoothing=0.2, ignore_index=3)
    assert torch.equal(copied(loss)(LOGITS, LABELS), loss(LOGITS, LABELS))
    assert repr(copied(loss)) == repr(loss)


def test_a_network_in_half_precision_may_hold_it() -> None:
    prior = torch.rand(1000, generator=generator).softmax(-1)
    loss = nn.CrossEntropyLoss(prior=prior, label_smoothing=0.2).to(torch.bfloat16)
    assert loss(torch.zeros(3, 1000), torch.arange(3)).item() == pytest.approx(math.log(1000), rel=1e-3)


def test_it_prints_what_it_is() -> None:
    assert repr(nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1)) == (
        "CrossEntropyLoss(weight=(4,), ignore_index=-100, reduction='mean', label_smoothing=0.1, convention='all', "
        "prior=None, weighting='example', class_dim=1)"
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"reduction": "avg"}, "reduction: one of mean, sum, none; got 'avg'"),
    ({"weighting": "torche"}, r"weighting: one of example, torch; got 'torche'; did you mean 'torch'\?"),
    ({"convention": "other"}, r"convention: .*; got 'other'; did you mean 'others'\?"),
    ({"label_smoothing": -0.1}, r"label_smoothing: in \[0, 1\]; got -0.1"),
    ({"weight": torch.tensor([1.0, -2.0])}, "weight: finite weights of at least 0; got -2 at class 1"),
    ({"weight": torch.tensor([1.0, math.inf]), "weighting": "torch"}, "weight: finite weights; got inf at class 1"),
    ({"weight": torch.ones(2, 2)}, r"weight: shape \(K,\) with K >= 2; got \(2, 2\)"),
    ({"weight": torch.tensor([1, 2])}, "weight: a floating-point tensor; got dtype torch.int64"),
    ({"prior": torch.tensor([0.5, 0.6])}, "prior: a sum of 1; got 1.1"),
]


@pytest.mark.parametrize(("keywords", "message"), WRONG)
def test_what_the_constructor_refuses(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        nn.CrossEntropyLoss(**keywords)


WRONG_CALLS: list[tuple[dict[str, Any], Any, Any, str]] = [
    ({}, LABELS, LABELS, "logits: a floating-point tensor; got dtype torch.int64"),
    (
        {},
        LOGITS,
        LABELS.double(),
        r"targets: integer labels, or probabilities of shape \(5, 4\); got",
    ),
    ({}, LOGITS, LABELS.tolist(), "targets: labels or probabilities in a tensor; got list"),
    ({}, LOGITS, LABELS + 1, "targets: .* below 4, the number of classes; got 4 at row 2"),
    ({}, LOGITS, LABELS[:3], r"targets: shape \(5,\); got \(3,\); give one per example"),
    ({"ignore_index": -1}, LOGITS, LABELS - 3, "targets: labels of at least 0 .*; got -3 at row 1"),
    ({"ignore_index": 1}, LOGITS, PROBS, "ignore_index: negative if targets are probabilities; got 1"),
    ({"class_dim": 2}, LOGITS, LABELS, r"class_dim: a dimension of the logits, of shape \(5, 4\); got 2"),
    ({}, LOGITS[0, 0], LABELS[0], r"class_dim: a dimension of the logits, of shape \(\); got 1"),
    ({"weight": WEIGHT[:3]}, LOGITS, LABELS, r"weight: shape \(4,\), one number per class of the logits; got \(3,\)"),
    (
        {"prior": PROBS[0, :2] / PROBS[0, :2].sum(), "label_smoothing": 0.1},
        LOGITS,
        LABELS,
        r"prior: shape \(4,\), one number per class of the logits",
    ),
]


@pytest.mark.parametrize(("keywords", "logits", "target", "message"), WRONG_CALLS)
def test_what_a_call_refuses(keywords: dict[str, Any], logits: Any, target: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        nn.CrossEntropyLoss(**keywords)(logits, target)
