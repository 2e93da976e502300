"""The table of the laws: for every public name of the library, how to call it and what kind of thing it is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets import analysis, losses, metrics, targets

ROOMS = ("targets", "losses", "noise", "metrics", "analysis")
N, K = 7, 4

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator, dtype=torch.float64) * 2
PROBS = LOGITS.softmax(-1)
LABELS = torch.tensor([3, 0, 1, 2, 3, 3, 0])
RATES = torch.linspace(0, 1, N, dtype=torch.float64)
ASYMMETRIC = 0.5 * torch.eye(K, dtype=torch.float64) + 0.5 * PROBS[:K]


@dataclass(frozen=True)
class Loss:
    """(logits, rows) -> one value per example, from the logits of those rows and arguments indexed by them."""

    value: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Rule:
    """(rows) -> Targets of those rows."""

    targets: Callable[[Tensor], targets.Targets]


@dataclass(frozen=True)
class Metric:
    """(probs, labels) -> a number of the whole."""

    value: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Other:
    """What has laws of its own, which stand in the named test file."""

    tests: str


TABLE: dict[str, Loss | Rule | Metric | Other] = {
    "targets.Targets": Other("targets/test_targets_type.py"),
    "targets.OnlineSmoothing": Rule(lambda rows: targets.OnlineSmoothing(K).targets(LABELS[rows])),
    "targets.RunningTargets": Other("targets/test_targets_online.py"),
    "targets.backward": Rule(lambda rows: targets.backward(LABELS[rows], ASYMMETRIC)),
    "targets.convert_smoothing": Other("targets/test_targets_convention.py"),
    "targets.dense": Rule(lambda rows: targets.dense(2 * PROBS[rows] - 0.1)),
    "targets.from_table": Rule(lambda rows: targets.from_table(ASYMMETRIC, LABELS[rows])),
    "targets.hard": Rule(lambda rows: targets.hard(LABELS[rows], ignore_index=2)),
    "targets.mix": Rule(
        lambda rows: targets.mix(targets.hard(LABELS[rows]), targets.smooth(LABELS.flip(0)[rows], 0.1), RATES[rows])
    ),
    "targets.smooth": Rule(lambda rows: targets.smooth(LABELS[rows], RATES[rows])),
    "losses.backward_corrected_cross_entropy": Loss(
        lambda z, rows: losses.backward_corrected_cross_entropy(z, LABELS[rows], ASYMMETRIC)
    ),
    "losses.cross_entropy": Loss(lambda z, rows: losses.cross_entropy(z, targets.smooth(LABELS[rows], RATES[rows]))),
    "losses.early_learning_penalty": Loss(lambda z, rows: losses.early_learning_penalty(z, PROBS.flip(0)[rows])),
    "losses.forward_corrected_cross_entropy": Loss(
        lambda z, rows: losses.forward_corrected_cross_entropy(z, LABELS[rows], ASYMMETRIC)
    ),
    "losses.reduce": Other("losses/test_losses_reduce.py"),
    "noise.Corrupted": Other("noise/test_noise_corrupt.py"),
    "noise.Transition": Other("test_matrices.py"),
    "noise.corrupt": Other("noise/test_noise_corrupt.py"),
    "noise.symmetric": Other("noise/test_noise_transitions.py"),
    "metrics.Bins": Other("metrics/test_metrics_calibration_error.py"),
    "metrics.accuracy": Metric(metrics.accuracy),
    "metrics.ece": Metric(metrics.ece),
    "metrics.nll": Metric(lambda probs, labels: metrics.nll(probs.log(), labels)),
    "metrics.reliability_bins": Metric(
        lambda probs, labels: torch.stack(
            [
                getattr(metrics.reliability_bins(probs, labels), name).double() / len(labels)
                for name in ("count", "confidence", "correct")
            ]
        )
    ),
    "analysis.logit_gap": Loss(lambda z, rows: analysis.logit_gap(z, LABELS[rows])),
}
