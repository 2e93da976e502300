"""Pseudo-labels: which predictions are taken, and what keeps them from favouring a few classes."""

import pytest
import torch
from torch import Tensor

from softtargets import losses
from softtargets.targets import align_distribution, class_thresholds, pseudo_labels

N, K = 40, 5
LOGITS = 3 * torch.randn(N, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PROBS = LOGITS.softmax(-1)
RUNNING, PRIOR = (torch.rand(K, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (1, 2))
RUNNING, PRIOR = RUNNING / RUNNING.sum(), PRIOR / PRIOR.sum()


def _loop(logits: Tensor, probs: Tensor, thresholds: list[float], kind: str) -> list[float]:
    """FixMatch's loss of each unlabelled row, written from its equation."""
    found = []
    for z, p in zip(logits.tolist(), probs.tolist(), strict=True):
        best = max(range(K), key=lambda k: p[k])
        log_p = torch.tensor(z, dtype=torch.float64).log_softmax(0).tolist()
        if p[best] < thresholds[best]:
            found.append(0.0)
        elif kind == "hard":
            found.append(-log_p[best])
        else:
            found.append(-sum(p[k] * log_p[k] for k in range(K)))
    return found


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("threshold", [0.0, 0.7, [0.9, 0.5, 0.1, 0.99, 1.0]])
def test_the_loss_of_confident_rows_is_cross_entropy_with_the_prediction(kind, threshold) -> None:
    student = LOGITS.flip(0)
    given = torch.tensor(threshold, dtype=torch.float64) if isinstance(threshold, list) else threshold
    made = pseudo_labels(PROBS, threshold=given, kind=kind)
    each = threshold if isinstance(threshold, list) else [threshold] * K
    expected = _loop(student, PROBS, each, kind)
    assert losses.cross_entropy(student, made).tolist() == pytest.approx(expected, rel=1e-9)
    assert made.ignored is not None
    assert [value == 0 for value in expected] == made.ignored.tolist()
    assert 0 <= int(made.ignored.sum()) < N


def test_a_threshold_is_reached_by_an_equal_probability() -> None:
    probs = torch.tensor([[0.75, 0.25], [0.74, 0.26]])
    made = pseudo_labels(probs, threshold=0.75)
    assert made.ignored is not None
    assert made.ignored.tolist() == [False, True]


def test_no_gradient_passes_through_the_prediction() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = losses.cross_entropy(LOGITS.flip(0), pseudo_labels(logits.softmax(-1), threshold=0.0, kind="soft"))
    assert not loss.requires_grad


def test_classes_may_be_in_another_dimension() -> None:
    a, b = pseudo_labels(PROBS, threshold=0.6), pseudo_labels(PROBS.T, threshold=0.6, class_dim=0)
    assert torch.equal(a.to_dense(K), b.to_dense(K))
    aligned = align_distribution(PROBS.T, RUNNING, class_dim=0)
    torch.testing.assert_close(aligned.T, align_distribution(PROBS, RUNNING))


@pytest.mark.parametrize("prior", [None, PRIOR])
def test_alignment_is_that_of_its_equation(prior) -> None:
    frequencies = [1 / K] * K if prior is None else prior.tolist()
    found = align_distribution(PROBS, RUNNING, prior=prior)
    for row, p in enumerate(PROBS.tolist()):
        scaled = [p[k] * frequencies[k] / float(RUNNING[k]) for k in range(K)]
        assert found[row].tolist() == pytest.approx([value / sum(scaled) for value in scaled], rel=1e-9)


def test_alignment_with_equal_frequencies_changes_nothing() -> None:
    torch.testing.assert_close(align_distribution(PROBS, PRIOR, prior=PRIOR), PROBS)
    uniform = torch.full((K,), 1 / K, dtype=torch.float64)
    torch.testing.assert_close(align_distribution(PROBS, uniform), PROBS)


def test_alignment_is_finite_where_a_class_was_never_predicted() -> None:
    running = torch.tensor([1.0, 0.0])
    found = align_distribution(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), running)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.sum(-1), torch.ones(2))


def test_thresholds_follow_the_equations_of_flexmatch() -> None:
    counts, undecided = [30, 10, 0, 20, 5], 12
    for rest in (0, undecided, 100):
        found = class_thresholds(torch.tensor(counts), maximum=0.95, undecided=rest).tolist()
        for k, count in enumerate(counts):
            beta = count / max(max(counts), rest)
            assert found[k] == pytest.approx(0.95 * beta / (2 - beta), rel=1e-6)
    assert class_thresholds(torch.tensor([7, 7])).tolist() == pytest.approx([0.95, 0.95])
    assert class_thresholds(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pseudo_labels(LOGITS), "probs: probabilities of at least 0; got"),
        (lambda: pseudo_labels(PROBS + 0.1), "probs: a sum of 1 over the classes; got"),
        (lambda: pseudo_labels(PROBS, threshold=1.5), "threshold"),
        (lambda: pseudo_labels(PROBS, threshold=torch.ones(3)), r"threshold: a number, or shape \(5,\)"),
        (lambda: pseudo_labels(PROBS, threshold=2 * torch.ones(K)), r"threshold: numbers in \[0, 1\]; got 2"),
        (lambda: pseudo_labels(PROBS, kind="sharp"), "kind"),  # pyright: ignore[reportArgumentType]
        (lambda: align_distribution(PROBS, RUNNING[:3] / RUNNING[:3].sum()), "running: 5 classes; got 3"),
        (lambda: align_distribution(PROBS, 2 * RUNNING), "running: a sum of 1"),
        (lambda: align_distribution(PROBS, RUNNING, prior=-PRIOR), "prior: probabilities; got"),
        (lambda: class_thresholds(torch.tensor([3.0, -1.0])), "counts: at least 0; got -1"),
        (lambda: class_thresholds(torch.tensor(3)), "counts: shape"),
        (lambda: class_thresholds(torch.ones(3), maximum=2.0), "maximum"),
        (lambda: class_thresholds(torch.ones(3), undecided=-1), "undecided"),
    ],
)
def test_bad_arguments_are_named(call, words) -> None:
    with pytest.raises(ValueError, match=words):
        call()
