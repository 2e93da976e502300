"""Every public loss, target rule and distillation loss is trainable by name, or is listed here with the reason why not.

The list is derived: the objectives take a step each, and the public names whose code ran are trainable.
"""

import inspect
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_specs import BASE, CLASSES, K, N, batch_of, context, parse, specification

from softtargets import distill, losses, nn, targets
from softtargets.objectives import OBJECTIVES
from softtargets.targets import Targets

# settings that use other public names than the defaults
VARIANTS: list[dict[str, Any]] = [
    {"name": "class_weights", "weights": [1.0, 2.0, 3.0, 4.0], "smoothing": 0.1, "weighting": "torch"},
    {"name": "cross_entropy", "smoothing": 0.1, "convention": "others"},
    {"name": "cores", "sieve_from": 0.0},
    *({"name": "distillation", "source": "average", "loss": loss} for loss in ("mse", "dkd", "dist")),
    {"name": "distillation", "source": "average", "standardized": True},
    {"name": "distillation", "cache": {"k": 1, "residual": "ghost"}},
    *({"name": "pseudo_labels", "balance": balance} for balance in ("alignment", "thresholds")),
]
# names that no step of an objective runs, and why
ELSEWHERE = {
    "losses.backward_corrected_cross_entropy": "'backward' minimises the same loss, and inverts T once",
    "losses.binary_cross_entropy": "labels of several classes per example, which the lab's data sets do not have",
    "losses.cores_loss": "'cores' minimises the same loss, with a floor",
    "losses.linear_cross_entropy": "cross entropy without the logits, which the loop computes",
    "losses.linear_loss": "any loss without the logits, which the loop computes",
    "losses.vocab_parallel_cross_entropy": "cross entropy of classes that are divided among devices",
    "targets.backward_corrected": "'backward' makes the same targets, and inverts T once",
    "targets.sample": "the cache of teacher outputs keeps samples; tests/train/test_train_teachers.py",
    "targets.top_k": "the cache of teacher outputs keeps the k most probable classes; as above",
    "distill.CacheCollator": "joins the batches of a language model with a cache",
    "distill.CacheSource": "describes a cache of teacher outputs",
    "distill.MovingAverage": "the loop averages the weights for objectives that it teaches",
    "distill.Sampled": "describes a cache of teacher outputs",
    "distill.TeacherCache": "a cache of teacher outputs, which the loop reads",
    "distill.SequenceBatch": "holds what a cache is written from",
    "distill.TeacherRows": "holds rows of a cache",
    "distill.TopK": "describes a cache of teacher outputs",
    "distill.divergence_loss": "divergences of language models from cached teachers, for loops of one's own",
    "distill.equivalent_smoothing": "a number that describes a teacher",
    "distill.hidden_state_loss": "compares activations; an objective is given logits",
    "distill.linear_divergence_loss": "the same without the logits",
    "distill.pad_vocabulary": "a student and its teacher have the same classes in a run",
    "distill.standardized_kd_loss": "'distillation' with standardized = true minimises the same loss",
    "distill.write_cache": "writes a cache of teacher outputs",
    "nn.Loss": "makes a module of any loss, for training loops that take modules",
}


def _codes(rooms: dict[str, Any]) -> dict[str, Any]:
    """Return the code of every public name: of a function, or of the constructor of a class."""
    found = {}
    for room, module in rooms.items():
        for name in module.__all__:
            thing = getattr(module, name)
            function = thing.__init__ if inspect.isclass(thing) else inspect.unwrap(thing)
            found[f"{room}.{name}"] = function.__code__
    return found


def _step(spec: dict[str, Any]) -> None:
    draw = torch.Generator().manual_seed(0)
    changes: dict[str, Any] = {}
    kept = Targets(index=torch.zeros(N, 1, dtype=torch.int64), value=torch.full((N, 1), 0.5), size=K)
    if "cache" in spec:
        changes["teacher"] = lambda ids, inputs: (kept,)
    parsed = parse(spec, **({"teachers": [{**BASE, "seeds": 1}]} if "cache" in spec else {}))
    trained = parsed.started(context(2, **changes))
    labelled = torch.arange(N) > 1 if trained.uses_unlabelled else None
    logits = torch.randn(N, K, generator=draw, requires_grad=True)
    batch = trained.prepare(replace(batch_of(draw), labelled=labelled), draw)
    trained.observe(batch, logits.detach())
    trained.batch_loss(logits, batch)
    trained.risk(trained.losses(logits, batch)).backward()
    trained.end_epoch(0)


def test_every_public_method_is_trainable_by_name() -> None:
    rooms = {"losses": losses, "targets": targets, "distill": distill, "nn": nn}
    codes = _codes(rooms)
    ran: set[Any] = set()

    def record(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            ran.add(frame.f_code)

    specs = [specification(name, CLASSES) for name in OBJECTIVES]
    sys.setprofile(record)
    try:
        for spec in (*specs, *VARIANTS):
            _step(spec)
    finally:
        sys.setprofile(None)
    not_run = {name for name, code in codes.items() if code not in ran}
    assert not_run == set(ELSEWHERE)


@pytest.mark.parametrize("name", ["backward_corrected_cross_entropy", "cores_loss", "standardized_kd_loss"])
def test_a_loss_that_is_said_to_be_minimised_otherwise_is(name) -> None:
    draw = torch.Generator().manual_seed(0)
    batch, logits, given = batch_of(draw), torch.randn(N, K, generator=draw), context()
    assert given.transition is not None
    assert given.teacher is not None
    labels, answer = batch.labels, given.teacher(batch.ids, batch.inputs)
    assert isinstance(answer, torch.Tensor)
    spec, expected = {
        "backward_corrected_cross_entropy": (
            {"name": "backward", "transition": {"name": "known"}},
            losses.backward_corrected_cross_entropy(logits, labels, given.transition),
        ),
        "cores_loss": (
            {"name": "cores", "floor": 0.0, "ramp_from": 0.0, "ramp_to": 0.0},
            losses.cores_loss(logits, labels, weight=2.0),
        ),
        "standardized_kd_loss": (
            {
                "name": "distillation",
                "source": "average",
                "standardized": True,
                "temperature": 2.0,
                "weight": 9.0,
                "label_weight": 0.1,
            },
            distill.standardized_kd_loss(logits, answer[0], labels),
        ),
    }[name]
    trained = parse(spec).started(given)
    batch = trained.prepare(batch, draw)
    torch.testing.assert_close(trained.losses(logits, batch), expected, rtol=1e-5, atol=1e-5)
