"""Greedy search and beam search for networks that predict one token after the other."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.data.tokens import TokenRows, to_device

# Tokens of an output beyond those of its source (Vaswani et al. 2017, Sec. 6.1).
EXTRA_LENGTH = 50
LENGTH_PENALTY = 0.6
# Sources that are translated together.
_TOGETHER = 64


class Decoding(ABC):
    """The outputs of a batch of sources in the making. Each row continues one source."""

    @abstractmethod
    def step(self, ids: Tensor) -> Tensor:
        """Return the (n, V) logits of the tokens that follow `ids`, (n,) int64, the newest token of each row."""

    @abstractmethod
    def reorder(self, rows: Tensor) -> None:
        """Continue row `rows[i]` in row i, (n,) int64. Both rows have the same source."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Keep these rows only, (m,) int64."""


@dataclass(frozen=True)
class Search:
    """Settings of a search.

    Args:
        beam: number of outputs that are continued; 1 is greedy search, which the length penalty does not affect.
        length_penalty: alpha of ((5 + length) / 6) ** alpha, which log-probabilities are divided by.
        temperature: what logits are divided by.

    Raises:
        ValueError: a beam below 1, a penalty below 0, or a temperature that is not positive.
    """

    beam: int = 4
    length_penalty: float = LENGTH_PENALTY
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise fail("beam", "at least 1", self.beam, "use 1 for greedy search, or 4")
        if not self.length_penalty >= 0:
            raise fail("length_penalty", "at least 0", self.length_penalty, "use 0 for no penalty, or 0.6")
        if not self.temperature > 0:
            raise fail("temperature", "above 0", self.temperature, "use 1 for the network's own probabilities")


@dataclass(frozen=True)
class Hypothesis:
    """One output.

    Args:
        ids: its tokens, without the first token and without `eos`.
        log_prob: its log-probability in nats, with that of `eos` if it is finished.
        finished: whether it ended with `eos`, and not because it was as long as allowed.
    """

    ids: tuple[int, ...]
    log_prob: float
    finished: bool


def translate_rows(network: Any, sources: TokenRows, pad: int, settings: Search) -> list[Hypothesis]:
    """Translate any number of sentences, those of similar length together.

    Args:
        network: in evaluation mode, with a method `translate` such as that of :class:`MarianNetwork`.
        sources: N rows of tokens.
        pad: the id that fills padded positions.
        settings: of the search.

    Returns:
        N outputs, in the order of the sources.
    """
    device = next(network.parameters()).device
    found: dict[int, Hypothesis] = {}
    for places in sources.lengths.argsort(stable=True).split(_TOGETHER):
        outputs = network.translate(to_device(sources.padded(places, pad), device), settings)
        found.update(zip(places.tolist(), outputs, strict=True))
    return [found[place] for place in range(len(sources))]


@torch.no_grad()
def search(decoding: Decoding, limits: Tensor, settings: Search, *, start: int, eos: int) -> list[Hypothesis]:
    """Greedy search or beam search: the output of each source that the search finds best.

    score(output) = log p(output | source) / ((5 + length) / 6) ** length_penalty      # Wu et al. 2016, Eq. 14

    `length` counts the tokens with `eos`. This is the score, and the search, of Vaswani et al. 2017 and of Müller et
    al. 2019, as in tensor2tensor's `beam_search.py`: at every step the best 2 * beam continuations are considered.
    Those that end with `eos` compete for the best finished output, and the best `beam` others are continued. A source
    is done when its best finished output has a better score than any continuation can reach, or at its limit. If
    nothing has finished by then, the best output that is being continued is returned. The `generate` method of
    transformers divides by length ** length_penalty instead, and stops by other rules.

    The result for a source does not depend on the other sources of the batch, except for rounding.

    Args:
        decoding: started, with a row for each source.
        limits: (n,) int64 >= 1, the largest number of tokens of each output, counting `eos`; on the network's device.
        settings: of the search.
        start: the token that every output starts with.
        eos: the token that ends an output.

    Returns:
        One output for each source, in order.

    Special cases:
        beam = 1 takes the most probable token at every step, and ends with the first `eos`.
    """
    if len(limits) == 0:
        return []
    if int(limits.min()) < 1:
        place = int(limits.argmin())
        raise fail("limits", "at least 1 token", f"{int(limits[place])} at {place}", "allow a token")
    method = _greedy if settings.beam == 1 else _beam_search
    return method(decoding, limits, settings, start, eos)


def _log_probs(decoding: Decoding, ids: Tensor, settings: Search) -> Tensor:
    return (decoding.step(ids).float() / settings.temperature).log_softmax(-1)


def _greedy(decoding: Decoding, limits: Tensor, settings: Search, start: int, eos: int) -> list[Hypothesis]:
    sources = torch.arange(len(limits), device=limits.device)  # of each row that is not done
    outputs, totals = [[] for _ in limits], [0.0] * len(limits)
    finished = [False] * len(limits)
    ids = torch.full_like(limits, start)
    for length in range(1, int(limits.max()) + 1):
        values, ids = _log_probs(decoding, ids, settings).max(-1)
        for source, value, token in zip(sources.tolist(), values.tolist(), ids.tolist(), strict=True):
            totals[source] += value
            finished[source] = token == eos
            if not finished[source]:
                outputs[source].append(token)
        left = torch.nonzero((ids != eos) & (limits[sources] > length)).flatten()
        if len(left) == 0:
            break
        if len(left) < len(ids):
            decoding.keep(left)
        sources, ids = sources[left], ids[left]
    found = zip(outputs, totals, finished, strict=True)
    return [Hypothesis(tuple(tokens), total, done) for tokens, total, done in found]


def _beam_search(decoding: Decoding, limits: Tensor, settings: Search, start: int, eos: int) -> list[Hypothesis]:
    return _Beams(decoding, limits, settings, eos).run(start)


@dataclass
class _Beams:
    """A beam search over the sources that are not done. Row b of source s is row s * beam + b of the decoding."""

    decoding: Decoding
    limits: Tensor
    settings: Search
    eos: int
    sources: Tensor = field(init=False)
    alive: Tensor = field(init=False)  # (S, beam, length + 1) tokens
    log_probs: Tensor = field(init=False)  # (S, beam) in descending order
    finished: Tensor = field(init=False)  # (S, length + 1) tokens of the best finished output
    scores: Tensor = field(init=False)  # (S,) of that output; -inf: none has finished

    def run(self, start: int) -> list[Hypothesis]:
        beam, count = self.settings.beam, len(self.limits)
        self.sources = torch.arange(count, device=self.limits.device)
        self.decoding.keep(self.sources.repeat_interleave(beam))
        self.alive = self.limits.new_full((count, beam, 1), start)
        # the first step has one output to continue, and not `beam` equal ones
        self.log_probs = torch.full((count, beam), -torch.inf, device=self.limits.device)
        self.log_probs[:, 0] = 0.0
        self.finished, self.scores = self.alive[:, 0], self.log_probs[:, 1].clone()
        outputs: dict[int, Hypothesis] = {}
        length = 0
        while len(self.sources):
            length += 1
            self._grow(length)
            done = self._done(length)
            for place in torch.nonzero(done).flatten().tolist():
                outputs[int(self.sources[place])] = self._best(place)
            if bool(done.any()):
                self._drop(done)
        return [outputs[source] for source in range(count)]

    def _penalty(self, length: Any) -> Any:
        return ((5.0 + length) / 6.0) ** self.settings.length_penalty

    def _grow(self, length: int) -> None:
        """Continue all outputs by one token, to `length` tokens."""
        beam, (count, _, width) = self.settings.beam, self.alive.shape
        step = _log_probs(self.decoding, self.alive[:, :, -1].flatten(), self.settings)
        size = step.shape[-1]
        totals = (self.log_probs[:, :, None] + step.view(count, beam, size)).flatten(1)
        candidates, places = totals.topk(min(2 * beam, totals.shape[1]), dim=1)
        rows, tokens = places // size, places % size
        grown = torch.cat([self.alive.gather(1, rows[..., None].expand(-1, -1, width)), tokens[..., None]], dim=2)
        ended = tokens == self.eos
        # the best of the outputs that have ended now, and the best one until now
        newest, best = (torch.where(ended, candidates, -torch.inf) / self._penalty(length)).max(1)
        better = newest > self.scores
        self.scores = torch.where(better, newest, self.scores)
        longer = torch.cat([self.finished, self.finished.new_full((count, 1), self.eos)], dim=1)
        self.finished = torch.where(better[:, None], grown[torch.arange(count, device=best.device), best], longer)
        # the best of the others are continued
        self.log_probs, best = torch.where(ended, -torch.inf, candidates).topk(beam, dim=1)
        self.alive = grown.gather(1, best[..., None].expand(-1, -1, width + 1))
        first = torch.arange(count, device=best.device)[:, None] * beam
        self.decoding.reorder((first + rows.gather(1, best)).flatten())

    def _done(self, length: int) -> Tensor:
        """Return the sources whose result cannot change any more, (S,) bool."""
        limits = self.limits[self.sources]
        # log-probabilities fall with every token, and no output has a larger penalty than one at the limit
        reachable = self.log_probs[:, 0] / self._penalty(limits)
        return (self.scores > reachable) | (limits <= length)

    def _best(self, place: int) -> Hypothesis:
        score = float(self.scores[place])
        if score == -torch.inf:
            return Hypothesis(tuple(self.alive[place, 0, 1:].tolist()), float(self.log_probs[place, 0]), finished=False)
        tokens = self.finished[place, 1:].tolist()
        tokens = tokens[: tokens.index(self.eos)]
        return Hypothesis(tuple(tokens), score * float(self._penalty(len(tokens) + 1)), finished=True)

    def _drop(self, done: Tensor) -> None:
        left = torch.nonzero(~done).flatten()
        rows = left[:, None] * self.settings.beam + torch.arange(self.settings.beam, device=left.device)
        self.decoding.keep(rows.flatten())
        for name in ("sources", "alive", "log_probs", "finished", "scores"):
            setattr(self, name, getattr(self, name)[left])
