"""The choice of hyper-parameters by the validation split, with seeds of its own, by successive halving."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import torch

from softtargets.compare.methods import BASELINE, METHODS, MethodCandidate
from softtargets.compare.scores import validation_nll
from softtargets.compare.training import SELECTION, Trainings
from softtargets.noise import estimate_noise_range

# Lower end of the range of the noise rate, above which label noise is assumed.
NOISE = 0.01


@dataclass(frozen=True)
class CandidateScore:
    """A candidate on the validation split.

    Args:
        candidate: the setting of a method.
        nll: NLL on the validation labels in nats, after a temperature, mean over the seeds; infinity after a failure.
        seeds: number of selection seeds.
    """

    candidate: MethodCandidate
    nll: float
    seeds: int


@dataclass(frozen=True)
class ChosenSettings:
    """The chosen candidates.

    Args:
        chosen: by name of the method.
        scores: of every candidate that was trained, in the order of the methods.
        failed: why a method has no candidate, by name.
        noise: why no label noise can be assumed, as a clause; empty text if it was estimated.
        noise_found: the estimate in words.
    """

    chosen: dict[str, MethodCandidate]
    scores: tuple[CandidateScore, ...]
    failed: dict[str, str]
    noise: str
    noise_found: str


def rungs(size: int) -> tuple[int, ...]:
    """Return the number of candidates that are trained with each selection seed: half of them remain each time.

    Example:
        >>> rungs(4), rungs(3), rungs(1)
        ((4, 2), (3, 2), ())
    """
    found = []
    while size > 1:
        found.append(size)
        size = math.ceil(size / 2)
    return tuple(found)


def select(trainings: Trainings, methods: Sequence[str], *, usual: bool, ranked: bool) -> ChosenSettings:
    """Choose the hyper-parameters of each method, and estimate whether labels are wrong.

    With each selection seed the candidates that remain are trained, and the better half of each method, by the mean
    NLL so far, goes on. The seeds are not those of the verdict, and the test split is not read.

    Args:
        trainings: trains the runs.
        methods: names, without the baseline.
        usual: whether the usual setting of each method is taken, without training.
        ranked: whether methods without a choice are trained as well, so that all can be ranked.
    """
    baseline = METHODS[BASELINE].candidates()[0]
    trainings.train([(baseline, SELECTION)], "estimating label noise")
    alive = {name: list(METHODS[name].candidates())[: 1 if usual else None] for name in methods}
    found: dict[MethodCandidate, list[float]] = {}
    failed: dict[str, str] = {}
    for seed in count(SELECTION):
        first = ranked and seed == SELECTION
        single = [name for name in methods if METHODS[name].trains and METHODS[name].members == 1]
        open_ = [one for name in single if len(alive[name]) > 1 or first for one in alive[name]]
        if not open_:
            break
        trainings.train([(one, seed) for one in open_], f"choosing hyper-parameters, {len(open_)} candidates")
        for one in open_:
            message = trainings.failure(one, seed)
            found.setdefault(one, []).append(math.inf if message else validation_nll(trainings.outputs(one, seed)))
            failed.update({one.method: message} if message else {})
        for name in dict.fromkeys(one.method for one in open_):
            order = sorted(alive[name], key=lambda one: _mean(found[one]))
            alive[name] = [one for one in order if math.isfinite(_mean(found[one]))][: math.ceil(len(order) / 2)]
    noise, said = _noise(trainings, baseline)
    scores = tuple(CandidateScore(one, _mean(values), len(values)) for one, values in found.items())
    chosen = {name: candidates[0] for name, candidates in alive.items() if candidates}
    return ChosenSettings(chosen, scores, {n: m for n, m in failed.items() if n not in chosen}, noise, said)


def finalists_of(selection: ChosenSettings, methods: Sequence[str], most: int | None) -> tuple[str, ...]:
    """Return the methods that go on to the verdict, in their order: those with the lowest NLL on the validation split.

    A method that trains no network of its own always goes on. One that needs several networks is the last.
    """
    if most is None:
        return tuple(methods)
    known = {
        score.candidate.method: score.nll for score in selection.scores if score.candidate in selection.chosen.values()
    }
    trained = [name for name in methods if METHODS[name].trains]
    best = sorted(trained, key=lambda name: known.get(name, math.inf))[:most]
    return tuple(name for name in methods if name in best or not METHODS[name].trains)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _noise(trainings: Trainings, baseline: MethodCandidate) -> tuple[str, str]:
    """Return why no label noise can be assumed (empty text if it can), and the estimate in words."""
    if trainings.failure(baseline, SELECTION) is not None:
        return "the network that estimates it could not be trained", "not estimated"
    outputs = trainings.outputs(baseline, SELECTION)
    if outputs.validation_labels.ndim > 1:
        return "labels are votes, whose disagreement is not label noise", "not estimated, as labels are votes"
    probs = torch.softmax(outputs.validation_logits.double(), dim=-1)
    found = estimate_noise_range(probs, outputs.validation_labels)
    span = f"{100 * found.low:.1f} % to {100 * found.high:.1f} %"
    said = f"{100 * found.estimate:.1f} % of the labels, range {span}"
    if found.low >= NOISE:
        return "", said
    why = f"the estimate on the validation split is {said}, and errors of the network can explain all of it"
    return why, said
