"""Greedy and beam search, against searches over all outputs and against a slow beam search."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from softtargets.models.decoding import Decoding, Hypothesis, Search, search

BOS, EOS, SIZE, MANY = 0, 1, 4, 12
ENDS = {"start": BOS, "eos": EOS}


class Table(Decoding):
    """Random logits that depend on the source and on all tokens before."""

    def __init__(self, sources: list[int], size: int = SIZE) -> None:
        self.size = size
        self.prefixes: list[tuple[int, tuple[int, ...]]] = [(source, ()) for source in sources]
        self.steps = 0

    def step(self, ids: Tensor) -> Tensor:
        self.steps += 1
        pairs = zip(self.prefixes, ids.tolist(), strict=True)
        self.prefixes = [(source, (*prefix, token)) for (source, prefix), token in pairs]
        return torch.stack([logits(source, prefix, self.size) for source, prefix in self.prefixes])

    def reorder(self, rows: Tensor) -> None:
        assert [self.prefixes[row][0] for row in rows.tolist()] == [source for source, _ in self.prefixes]
        self.keep(rows)

    def keep(self, rows: Tensor) -> None:
        self.prefixes = [self.prefixes[row] for row in rows.tolist()]


def logits(source: int, prefix: tuple[int, ...], size: int = SIZE) -> Tensor:
    seed = source
    for token in prefix:
        seed = (seed * 31 + token + 1) % 2**40
    return 2 * torch.randn(size, generator=torch.Generator().manual_seed(seed))


def log_prob(source: int, tokens: tuple[int, ...], temperature: float = 1.0) -> float:
    total = 0.0
    for place, token in enumerate(tokens):
        total += float((logits(source, (BOS, *tokens[:place])) / temperature).log_softmax(0)[token])
    return total


def penalty(length: int, alpha: float) -> float:
    return ((5 + length) / 6) ** alpha


def best_of_all(source: int, limit: int, alpha: float, temperature: float) -> tuple[int, ...]:
    """Return the finished output of at most `limit` tokens with the best score, among all."""
    others = [token for token in range(SIZE) if token != EOS]
    outputs = [(*body, EOS) for length in range(limit) for body in itertools.product(others, repeat=length)]
    return max(outputs, key=lambda tokens: log_prob(source, tokens, temperature) / penalty(len(tokens), alpha))[:-1]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_beam_that_holds_every_output_finds_the_best_of_all(alpha: float, temperature: float) -> None:
    sources, limits = list(range(12)), torch.tensor([1, 2, 3, 4] * 3)
    found = search(Table(sources), limits, Search(3**4, alpha, temperature), **ENDS)
    for source, limit, hypothesis in zip(sources, limits.tolist(), found, strict=True):
        expected = best_of_all(source, limit, alpha, temperature)
        assert hypothesis.ids == expected
        assert hypothesis.finished
        assert hypothesis.log_prob == pytest.approx(log_prob(source, (*expected, EOS), temperature), abs=1e-5)


def slow_beam_search(source: int, limit: int, beam: int, alpha: float) -> Hypothesis:
    """Search as tensor2tensor does, for one source, `MANY` tokens and without stopping early."""
    alive: list[tuple[tuple[int, ...], float]] = [((BOS,), 0.0)]
    finished: list[tuple[tuple[int, ...], float]] = []
    for length in range(1, limit + 1):
        grown = [
            ((*tokens, token), total + float(logits(source, tokens, MANY).log_softmax(0)[token]))
            for tokens, total in alive
            for token in range(MANY)
        ]
        grown = sorted(grown, key=lambda each: -each[1])[: 2 * beam]
        finished += [(tokens, total / penalty(length, alpha)) for tokens, total in grown if tokens[-1] == EOS]
        finished = sorted(finished, key=lambda each: -each[1])[:beam]
        alive = [each for each in grown if each[0][-1] != EOS][:beam]
    if not finished:
        return Hypothesis(alive[0][0][1:], alive[0][1], finished=False)
    tokens, score = finished[0]
    return Hypothesis(tokens[1:-1], score * penalty(len(tokens) - 1, alpha), finished=True)


@pytest.mark.parametrize("beam", [2, 3, 5])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 3.0])
def test_small_beams_agree_with_a_slow_search(beam: int, alpha: float) -> None:
    sources, limits = list(range(40)), torch.tensor([1, 3, 7, 12] * 10)
    found = search(Table(sources, MANY), limits, Search(beam, alpha), **ENDS)
    for source, limit, hypothesis in zip(sources, limits.tolist(), found, strict=True):
        expected = slow_beam_search(source, limit, beam, alpha)
        assert (hypothesis.ids, hypothesis.finished) == (expected.ids, expected.finished)
        assert hypothesis.log_prob == pytest.approx(expected.log_prob, abs=1e-4)
    # some end at their limit, and some before it
    assert {hypothesis.finished for hypothesis in found} == {True, False}
    assert any(len(hypothesis.ids) + 1 < limit for hypothesis, limit in zip(found, limits.tolist(), strict=True))


def test_greedy_search_takes_the_most_probable_token_and_ends_with_the_first_eos() -> None:
    sources, limits = list(range(20)), torch.tensor([2, 9] * 10)
    for source, limit, hypothesis in zip(
        sources, limits.tolist(), search(Table(sources), limits, Search(1), **ENDS), strict=True
    ):
        tokens: tuple[int, ...] = ()
        while len(tokens) < limit and EOS not in tokens:
            tokens = (*tokens, int(logits(source, (BOS, *tokens)).argmax()))
        assert hypothesis.finished == (EOS in tokens)
        assert hypothesis.ids == tuple(token for token in tokens if token != EOS)
        assert hypothesis.log_prob == pytest.approx(log_prob(source, tokens), abs=1e-5)


@pytest.mark.parametrize("beam", [1, 4])
def test_the_result_of_a_source_does_not_depend_on_the_batch(beam: int) -> None:
    sources, limits = list(range(10)), torch.arange(1, 11)
    together = search(Table(sources), limits, Search(beam), **ENDS)
    alone = [search(Table([source]), limits[source : source + 1], Search(beam), **ENDS)[0] for source in sources]
    assert together == alone


def test_the_search_stops_when_nothing_can_be_better() -> None:
    decoding = Table(list(range(10)))
    search(decoding, torch.full((10,), 200), Search(4), **ENDS)
    assert decoding.steps < 100


def test_a_larger_length_penalty_gives_longer_outputs() -> None:
    limits = torch.full((30,), 12)
    lengths = [
        sum(len(found.ids) for found in search(Table(list(range(30))), limits, Search(4, alpha), **ENDS))
        for alpha in (0.0, 1.0, 4.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_no_sources_give_no_outputs() -> None:
    assert search(Table([]), torch.zeros(0, dtype=torch.int64), Search(), **ENDS) == []


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"beam": 0}, "beam"),
        ({"length_penalty": -1.0}, "length_penalty"),
        ({"length_penalty": math.nan}, "length_penalty"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], argument: str) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        Search(**settings)  # pyright: ignore[reportArgumentType]


def test_a_limit_below_one_token_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^limits: at least 1 token; got 0 at 1"):
        search(Table([0, 1]), torch.tensor([3, 0]), Search(), **ENDS)
