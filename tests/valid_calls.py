"""A valid call of every public function, from the names of its arguments."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import softtargets
from softtargets import metrics, noise, targets

N, K, D = 6, 3, 4
ARRAY_ROOMS = ("metrics", "noise", "calibration", "analysis")
ROOMS = tuple(room for room in softtargets.__all__ if room not in ("synchronising_checks", "integrations"))

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, K, generator=generator)
PROBS = LOGITS.softmax(-1)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
MATRIX = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]])
FEATURES = torch.randn(N, D, generator=generator)
SCORES = torch.rand(N, generator=generator)

# what stands for an argument of this name, in any function
ARGUMENTS: dict[str, Callable[[], Any]] = {
    "logits": LOGITS.clone,
    "student_logits": LOGITS.clone,
    "teacher_logits": lambda: LOGITS.flip(0).clone(),
    "teacher_log_probs": lambda: LOGITS.log_softmax(-1),
    "probs": PROBS.clone,
    "labels": LABELS.clone,
    "clean_labels": LABELS.clone,
    "targets": LABELS.clone,
    "hidden": FEATURES.clone,
    "student_hidden": FEATURES.clone,
    "teacher_hidden": lambda: FEATURES.flip(0).clone(),
    "features": FEATURES.clone,
    "inputs": FEATURES.clone,
    "weight": lambda: torch.ones(K, D),
    "scores": SCORES.clone,
    "quality": SCORES.clone,
    "losses": SCORES.clone,
    "positives": lambda: LABELS > 0,
    "sets": lambda: PROBS > 0.3,
    "alpha": lambda: 0.1,
    "calibration_rows": lambda: 20,
    "test_rows": lambda: 30,
    "transition": MATRIX.clone,
    "confusion": lambda: MATRIX * 10,
    "counts": lambda: torch.ones(N, K),
    "table": MATRIX.clone,
    "values": PROBS.clone,
    "class_weight": lambda: torch.ones(K),
    "running_targets": PROBS.clone,
    "distance": lambda: 1 - torch.eye(K),
    "num_classes": lambda: K,
    "smoothing": lambda: 0.1,
    "rate": lambda: 0.2,
    "maximum": lambda: 0.2,
    "margin": lambda: 1.0,
}


def _joint() -> Any:
    return noise.confident_joint(PROBS, LABELS)


def _accumulator() -> Any:
    one = metrics.NLL(groups=3)
    one.update(PROBS, LABELS)
    return one


# where a name means something else, or nothing stands for it
CALLS: dict[str, dict[str, Callable[[], Any]]] = {
    "analysis.cluster_distances": {"similar": lambda: (0, 1), "different": lambda: 2},
    "analysis.epochs_to": {"values": lambda: [0.1, 0.5, 0.9], "level": lambda: 0.4},
    "analysis.linear_probe": {
        "train_features": FEATURES.clone,
        "train_labels": LABELS.clone,
        "test_features": FEATURES.clone,
        "test_labels": LABELS.clone,
    },
    "analysis.mutual_information": {"differences": lambda: torch.randn(50, 4, generator=generator)},
    "analysis.projection": {"classes": lambda: (0, 1, 2), "weight": lambda: torch.eye(K, D)},
    "calibration.logit_normalized": {"p": lambda: 2.0},
    "distill.ensemble": {"logits": lambda: [LOGITS, LOGITS.flip(0)]},
    "distill.standardized_kd_loss": {"labels": LABELS.clone},
    "distill.pad_vocabulary": {"num_classes": lambda: K + 2},
    "losses.binary_cross_entropy": {
        "labels": lambda: torch.nn.functional.one_hot(LABELS, K),
        "targets": lambda: torch.nn.functional.one_hot(LABELS, K),
    },
    "losses.cores_loss": {"weight": lambda: 0.5},
    "losses.loss_bound": {"bound": lambda: 0.1},
    "losses.learned_smoothing_cross_entropy": {"table": lambda: torch.full((K, K), 1 / K)},
    "losses.reduce": {},
    "metrics.coverage_at_risk": {"risk": lambda: 0.1},
    "metrics.interval": {"accumulator": _accumulator},
    "metrics.label_entropy": {"labels": lambda: torch.tensor([[2, 1, 0]] * N)},
    "metrics.label_uncertainty": {"labels": lambda: torch.tensor([[2, 1, 0]] * N)},
    "metrics.paired_difference": {"first": _accumulator, "second": _accumulator},
    "noise.annotator_agreement": {"labels": lambda: torch.stack([LABELS, LABELS, LABELS.flip(0)], 1)},
    "noise.dawid_skene": {"labels": lambda: torch.stack([LABELS, LABELS, LABELS.flip(0)], 1)},
    "noise.bootstrap_transition": {"estimator": lambda: "confident_joint", "method": lambda: "confident_joint"},
    "noise.confident_suspects": {"joint": _joint},
    "noise.find_multilabel_issues": {
        "labels": lambda: torch.nn.functional.one_hot(LABELS, K),
        "probs": lambda: torch.nn.functional.one_hot(LABELS, K) * 0.5 + 0.25,
    },
    "noise.find_token_issues": {
        "labels": lambda: LABELS[None],
        "probs": lambda: (torch.nn.functional.one_hot(LABELS, K) * 0.5 + 0.5 / K)[None],
    },
    "noise.pad_tokens": {
        "labels": lambda: LABELS[None],
        "probs": lambda: (torch.nn.functional.one_hot(LABELS, K) * 0.5 + 0.5 / K)[None],
    },
    "noise.pool_label_scores": {"scores": lambda: SCORES[:, None].repeat(1, 2)},
    "noise.expected_wrong": {"wrong": SCORES.clone, "order": lambda: torch.arange(N)},
    "noise.trusted_noise_rate": {
        "wrong_probability": lambda: torch.linspace(0.01, 0.4, 30),
        "rows": lambda: torch.arange(20),
        "wrong": lambda: torch.arange(20) < 3,
    },
    "noise.superclass_flip": {"superclasses": lambda: [0, 0, 1]},
    "targets.align_distribution": {"running": lambda: PROBS[0].clone()},
    "targets.class_thresholds": {"counts": lambda: torch.tensor([3.0, 2.0, 1.0])},
    "targets.confusion_table": {"counts": lambda: MATRIX * 10},
    "targets.convert_smoothing": {},
    "targets.example_weights": {"targets": lambda: targets.hard(LABELS)},
    "targets.hierarchical_table": {"sharpness": lambda: 1.0},
    "targets.localized_table": {"width": lambda: 1},
    "targets.mix": {
        "a": lambda: targets.hard(LABELS),
        "b": lambda: targets.hard(LABELS.flip(0)),
        "weight": lambda: 0.3,
    },
    "targets.reweight": {"targets": lambda: targets.smooth(LABELS, 0.1)},
    "targets.sample": {"n_draws": lambda: 4},
    "targets.smooth": {"labels_or_targets": LABELS.clone},
    "targets.smooth_by_scores": {"scores": PROBS.clone},
    "targets.tfidf_table": {"texts": lambda: ["a b", "b c", "c d", "d", "e a", "f"]},
    "targets.top_k": {"k": lambda: 2},
}

# functions of modules, files or processes, whose misuse their own tests try
ELSEWHERE = {
    "analysis.activations",
    "calibration.load",
    "calibration.save",
    "calibration.cross_fit",
    "distill.write_cache",
    "losses.linear_loss",
    "losses.vocab_parallel_cross_entropy",
    "noise.load_transition",
}


@dataclass(frozen=True)
class Call:
    """A valid call: the function, and the values of the arguments that it needs."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]

    @property
    def room(self) -> str:
        return self.name.split(".")[0]

    def run(self, **changed: Any) -> Any:
        """Call the function with some arguments changed."""
        given = self.arguments | changed
        parameters = inspect.signature(self.function).parameters
        first = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD and n in given]
        return self.function(*(given[n] for n in first), **{n: v for n, v in given.items() if n not in first})

    def tensors(self) -> list[str]:
        """Return the names of the arguments that are tensors."""
        return [name for name, value in self.arguments.items() if isinstance(value, Tensor)]


def public_functions() -> dict[str, Callable[..., Any]]:
    """Return every public function of the rooms, as `room.name`."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"softtargets.{room}")
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) and thing.__module__.split(".")[1] == room:
                found[f"{room}.{name}"] = thing
    return found


def valid_call(name: str) -> Call:
    """Return a valid call of a public function."""
    function, special = public_functions()[name], CALLS.get(name, {})
    made = {}
    for parameter in inspect.signature(function).parameters.values():
        optional = parameter.default is not parameter.empty and not _is_required(parameter.default)
        if (optional and parameter.name not in special) or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        if parameter.name != "logits" or parameter.default is parameter.empty:  # a metric takes either probs or logits
            made[parameter.name] = (special.get(parameter.name) or ARGUMENTS[parameter.name])()
    return Call(name, function, made)


def _is_required(default: object) -> bool:
    """Say whether a default only marks an argument that one of two overloads requires."""
    return "required" in repr(default)
