"""Metrics as `torchmetrics.Metric`: the same bits for every split over batches and processes."""

import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import pytest
import torch
import torchmetrics
from matplotlib import pyplot
from processes import run_on_processes
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from softtargets import metrics
from softtargets._errors import InputError
from softtargets.integrations.torchmetrics import (
    AccuracyMetric,
    BrierMetric,
    ECEMetric,
    NLLMetric,
    SelectiveRiskMetric,
    SmoothECEMetric,
    _packed,
)

N, K = 40, 5
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(N, K, generator=GENERATOR)
LABELS = torch.randint(0, K, (N,), generator=GENERATOR)
PROBS = LOGITS.softmax(-1)

MAKERS: dict[str, tuple[Callable[[], torchmetrics.Metric], metrics.Accumulator, Callable[..., Tensor] | None]] = {
    "accuracy": (lambda: AccuracyMetric(K), metrics.Accuracy(), metrics.accuracy),
    "top 2": (
        lambda: AccuracyMetric(K, top_k=2),
        metrics.Accuracy(top_k=2),
        lambda *rows, **named: metrics.accuracy(*rows, **named, top_k=2),
    ),
    "nll": (lambda: NLLMetric(K), metrics.NLL(), metrics.nll),
    "brier": (lambda: BrierMetric(K), metrics.Brier(), metrics.brier),
    "ece": (lambda: ECEMetric(K), metrics.ECE(), metrics.ece),
    "class-wise": (
        lambda: ECEMetric(K, n_bins=7, norm="l2", classwise=True, debiased=True),
        metrics.ECE(n_bins=7, norm="l2", classwise=True, debiased=True),
        lambda *rows, **named: metrics.ece(*rows, **named, n_bins=7, norm="l2", classwise=True, debiased=True),
    ),
    "mass": (lambda: ECEMetric(K, binning="mass"), metrics.ECE(binning="mass"), None),
    "smooth": (lambda: SmoothECEMetric(K), metrics.SmoothECE(), None),
    "selective risk": (lambda: SelectiveRiskMetric(K), metrics.SelectiveRisk(), None),
}
EVERY = pytest.mark.parametrize("name", MAKERS)


def of_all(name: str) -> Tensor:
    """Return the number of one pass over all examples."""
    _, accumulator, function = MAKERS[name]
    if function is not None:
        return function(PROBS, LABELS)
    return number(accumulator, probs=PROBS)


def number(accumulator: metrics.Accumulator, **predictions: Any) -> Tensor:
    accumulator.reset()
    computed = accumulator.update(**predictions, labels=LABELS).compute()
    return computed if computed.ndim == 0 else computed[0]  # AURC, of several


def batches(*sizes: int) -> Iterator[tuple[Tensor, Tensor]]:
    start = 0
    for size in sizes:
        yield PROBS[start : start + size], LABELS[start : start + size]
        start += size
    assert start == N


def state(metric: torchmetrics.Metric) -> Tensor:
    (only,) = metric.metric_state.values()
    assert isinstance(only, Tensor)
    return only


@EVERY
@pytest.mark.parametrize("sizes", [(N,), (13, 27), (1,) * N, (0, 39, 1)])
def test_any_batches_give_the_bits_of_the_function(name: str, sizes: tuple[int, ...]) -> None:
    whole, metric = MAKERS[name][0](), MAKERS[name][0]()
    whole.update(PROBS, LABELS)
    for part in batches(*sizes):
        metric.update(*part)
    assert torch.equal(metric.compute(), of_all(name))
    assert metric.compute().dtype == torch.float64
    assert torch.equal(state(metric), state(whole))


@EVERY
def test_forward_gives_the_value_of_the_batch_and_adds_it(name: str) -> None:
    metric, whole = MAKERS[name][0](), MAKERS[name][0]()
    whole.update(PROBS, LABELS)
    for part in batches(13, 1, 26):
        alone = MAKERS[name][0]()
        alone.update(*part)
        assert torch.equal(metric(*part), alone.compute())
    assert torch.equal(metric.compute(), of_all(name))
    # fractions are carried at each addition: however many batches, nothing overflows
    assert torch.equal(state(metric), state(whole))


@EVERY
def test_logits_are_passed_by_name(name: str) -> None:
    metric = MAKERS[name][0]()
    metric.update(logits=LOGITS, labels=LABELS)
    assert torch.equal(metric.compute(), number(MAKERS[name][1], logits=LOGITS))


def test_trap_29_logits_in_the_place_of_probabilities_are_refused_and_nothing_is_kept() -> None:
    metric = ECEMetric(K)
    metric.update(PROBS, LABELS)
    before = state(metric).clone()
    with pytest.raises(InputError, match=r"probs: rows of probabilities.*; got .* at row 0; pass logits= for logits"):
        metric.update(LOGITS, LABELS)
    with pytest.raises(InputError, match="probs: 5 classes, as before; got 4"):
        metric.update(PROBS[:, :4].softmax(-1), LABELS.clamp(max=3))
    assert torch.equal(state(metric), before)


def test_the_sketches_are_within_their_bound_of_the_function() -> None:
    for metric, gathered, expected in (
        (ECEMetric(K, binning="mass"), metrics.ECE(binning="mass"), metrics.ece(PROBS, LABELS, binning="mass")),
        (SmoothECEMetric(K), metrics.SmoothECE(), metrics.smooth_ece(PROBS, LABELS)),
        (SelectiveRiskMetric(K), metrics.SelectiveRisk(), metrics.aurc(PROBS, LABELS)),
    ):
        metric.update(PROBS, LABELS)
        bound = float(gathered.update(PROBS, LABELS).bound().flatten()[0])
        assert abs(float(metric.compute() - expected)) <= bound + 1e-12 < 0.1


def test_masked_rows_do_not_count_and_a_batch_of_padding_is_nan() -> None:
    metric = NLLMetric(2)
    probs = torch.tensor([[[0.5, 0.5], [torch.nan, torch.nan]]])
    labels, mask = torch.tensor([[0, -1]]), torch.tensor([[True, False]])
    assert float(metric(probs, labels, mask=mask)) == pytest.approx(0.6931471805599453, abs=1e-12)
    assert metric(probs, labels, mask=mask & False).isnan()
    assert float(metric.compute()) == pytest.approx(0.6931471805599453, abs=1e-12)


@EVERY
def test_reset_clone_pickle(name: str) -> None:
    metric = MAKERS[name][0]()
    metric.update(PROBS[:13], LABELS[:13])
    for copied in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        copied.update(PROBS[13:], LABELS[13:])
        assert torch.equal(copied.compute(), of_all(name))
        copied(PROBS, LABELS)  # adds by the copy's own function
        copied.reset()
        copied.update(PROBS, LABELS)
        assert torch.equal(copied.compute(), of_all(name))
    metric.update(PROBS[13:], LABELS[13:])
    assert torch.equal(metric.compute(), of_all(name))


def test_a_checkpoint_continues_and_requires_the_same_settings() -> None:
    metric, other, finer = ECEMetric(K), ECEMetric(K), ECEMetric(K, n_bins=20)
    for one in (metric, other, finer):
        one.persistent(True)
    metric.update(PROBS[:13], LABELS[:13])
    other.load_state_dict(metric.state_dict())
    other.update(PROBS[13:], LABELS[13:])
    assert torch.equal(other.compute(), of_all("ece"))
    with pytest.raises(RuntimeError, match="ECE_n_bins_15"):
        finer.load_state_dict(metric.state_dict())


def test_states_merge_as_torchmetrics_merges_them() -> None:
    first, second = NLLMetric(K), NLLMetric(K)
    first.update(PROBS[:13], LABELS[:13])
    second.update(PROBS[13:], LABELS[13:])
    first.merge_state(second)
    assert torch.equal(first.compute(), of_all("nll"))


def test_a_metric_collection_mixes_our_metrics_and_theirs() -> None:
    collection = torchmetrics.MetricCollection(
        {
            **{name: maker() for name, (maker, _, _) in MAKERS.items()},
            "theirs": MulticlassAccuracy(K, average="micro"),
        }
    )
    for probs, labels in batches(13, 27):
        # of the names, each takes its own
        collection.update(probs=probs, labels=labels, preds=probs, target=labels)
    values = collection.compute()
    assert {name: float(values[name]) for name in MAKERS} == {name: float(of_all(name)) for name in MAKERS}
    assert float(values["theirs"]) == pytest.approx(float(values["accuracy"]))


def test_metrics_that_agree_on_the_first_batch_stay_apart() -> None:
    """A collection lets metrics share their state from the first batch on, where the states are equal."""
    collection = torchmetrics.MetricCollection({"first": AccuracyMetric(3), "second": AccuracyMetric(3, top_k=2)})
    probs = torch.tensor([[0.5, 0.3, 0.2]])
    collection.update(probs, torch.tensor([0]))
    collection.update(probs, torch.tensor([1]))
    assert {name: float(value) for name, value in collection.compute().items()} == {"first": 0.5, "second": 1.0}


def test_the_state_stays_integers_whatever_the_model_becomes() -> None:
    metric = ECEMetric(K)
    metric.update(PROBS[:13], LABELS[:13])
    metric.half().bfloat16().to(torch.float16).set_dtype(torch.float16)
    assert state(metric).dtype == torch.int64
    metric.to("cpu").update(PROBS[13:], LABELS[13:])
    assert torch.equal(metric.compute(), of_all("ece"))


def test_the_state_is_one_tensor_on_the_device_of_its_sums() -> None:
    accumulator = metrics.NLL()
    accumulator.prepare(K, "meta")
    assert _packed(accumulator).device.type == "meta"


def test_the_result_requires_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    assert not NLLMetric(K)(logits=logits, labels=LABELS).requires_grad


def test_what_torchmetrics_asks_of_a_class() -> None:
    for cls in (ECEMetric, NLLMetric, AccuracyMetric, BrierMetric, SelectiveRiskMetric, SmoothECEMetric):
        assert issubclass(cls, torchmetrics.Metric)
        assert (cls.is_differentiable, cls.full_state_update) == (False, False)
        assert cls.higher_is_better == (cls is AccuracyMetric)
    assert repr(ECEMetric(3, n_bins=4)) == (
        "ECEMetric(num_classes=3, n_bins=4, norm='l1', binning='width', classwise=False, debiased=False)"
    )


def test_arguments_are_checked_when_the_metric_is_made() -> None:
    with pytest.raises(InputError, match="num_classes: at least 2; got 1"):
        NLLMetric(1)
    with pytest.raises(InputError, match="top_k: at most 3, the number of classes; got 4"):
        AccuracyMetric(3, top_k=4)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: `bin`"):
        ECEMetric(3, bin=15)


def gathers(rank: int) -> None:
    """Every metric, over parts of uneven size; a process without batches; one whose batches are empty."""
    for name, (maker, _, _) in MAKERS.items():
        for parts in ((slice(0, 13), slice(13, N)), (slice(0, N), None), (slice(0, 0), slice(0, N))):
            metric, mine = maker(), parts[rank]
            if mine is not None:
                metric.update(PROBS[mine], LABELS[mine])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The ``compute`` method", UserWarning)
                value = metric.compute()
            assert torch.equal(value, of_all(name)), (name, parts, value, of_all(name))


def goes_on(rank: int) -> None:
    """A computed metric gathers on, with its own examples; forward can see all processes' batch."""
    metric, seen = NLLMetric(K), NLLMetric(K, dist_sync_on_step=True)
    parts = (slice(0, 13), slice(13, N))
    metric.update(PROBS[parts[rank]][:5], LABELS[parts[rank]][:5])
    metric.compute()
    metric.update(PROBS[parts[rank]][5:], LABELS[parts[rank]][5:])
    assert torch.equal(metric.compute(), of_all("nll"))
    assert torch.equal(seen(PROBS[parts[rank]], LABELS[parts[rank]]), of_all("nll"))
    assert torch.equal(seen.compute(), of_all("nll"))


def as_one(rank: int) -> None:
    gathers(rank)
    goes_on(rank)


def test_two_processes_give_the_bits_of_one() -> None:
    run_on_processes(2, as_one)


def test_values_are_plotted_as_those_of_torchmetrics() -> None:
    matplotlib.use("Agg")
    metric = AccuracyMetric(num_classes=2)
    history = [metric(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, k])) for k in (0, 1)]
    figure, axes = metric.plot(history)
    assert axes.figure is figure
    assert axes.lines[0].get_ydata().tolist() == [0.5, 1.0]
    assert axes.get_ylim()[0] <= 0
    figure, axes = metric.plot()
    assert axes.lines[0].get_ydata().tolist() == [0.75]
    collection = torchmetrics.MetricCollection([NLLMetric(num_classes=2), BrierMetric(num_classes=2)])
    collection.update(torch.tensor([[0.5, 0.5]]), torch.tensor([0]))
    assert len(collection.plot()) == 2
    pyplot.close("all")


def test_the_reliability_diagram_is_that_of_all_examples() -> None:
    metric = ECEMetric(num_classes=3, n_bins=5)
    with pytest.raises(ValueError, match="at least one example"):
        metric.reliability()
    probs, labels = torch.rand(40, 3, generator=torch.manual_seed(0)).softmax(-1), torch.arange(40) % 3
    for rows in (slice(0, 7), slice(7, 40)):
        metric.update(probs[rows], labels[rows])
    bins, whole = metric.reliability(), metrics.reliability_bins(probs, labels, n_bins=5)
    assert torch.equal(bins.count, whole.count)
    torch.testing.assert_close(bins.confidence, whole.confidence)
    assert torch.equal(bins.correct, whole.correct)
