"""The Transformer for translation: logits of target tokens, decoding with cached keys, weights."""

from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch.nn.utils.rnn import pad_sequence

from softtargets._errors import InputError
from softtargets.data.tokens import Pairs, Tokens, TokenShape
from softtargets.models import MODELS
from softtargets.models.decoding import Search
from softtargets.models.marian import MarianNetwork, MarianSpec
from softtargets.models.sequences import token_counts, token_labels

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SIZE, PAD, BOS, EOS = 13, 0, 1, 2
SHAPE = TokenShape(32, SIZE, PAD, BOS, EOS)
SMALL = {"layers": 2, "width": 16, "heads": 2, "positions": 32}


def tokens(*rows: list[int]) -> Tokens:
    lengths = torch.tensor([len(row) for row in rows])
    padded = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)
    return Tokens(padded, torch.arange(padded.shape[1]) < lengths[:, None])


def network(**settings: Any) -> MarianNetwork:
    torch.manual_seed(0)
    built = MarianSpec.parse({**SMALL, **settings}).build(SHAPE, SIZE)
    assert isinstance(built, MarianNetwork)
    return built.eval()


PAIRS = Pairs(tokens([5, 6, 7, EOS], [8, EOS], [9, 3, EOS]), tokens([4, EOS], [3, 3, 5, EOS], [EOS]))


def on_one(pairs: Pairs, row: int) -> Pairs:
    """Return one pair without padding."""
    sides = (Tokens(side.ids[row][side.mask[row]][None], side.mask[row][side.mask[row]][None]) for side in pairs)
    return Pairs(*sides)


def reference(model: MarianNetwork) -> Any:
    """Return transformers' own network with the same weights."""
    settings = {**model.network.config.to_dict(), "pad_token_id": PAD, "eos_token_id": EOS}
    settings |= {"decoder_start_token_id": BOS, "forced_eos_token_id": None}
    full = transformers.MarianMTModel(transformers.MarianConfig(**settings)).eval()
    full.model.load_state_dict(model.network.state_dict())
    full.tie_weights()
    return full


def test_the_logits_are_those_of_every_target_token_without_padding() -> None:
    model = network()
    assert token_labels(PAIRS).tolist() == [4, EOS, 3, 3, 5, EOS, EOS]
    assert token_counts(PAIRS).tolist() == [2, 4, 1]
    logits = model(PAIRS)
    assert logits.shape == (7, SIZE)
    torch.testing.assert_close(logits, model.head(model.features(PAIRS)))
    alone = torch.cat([model(on_one(PAIRS, row)) for row in range(3)])
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)


def test_the_logits_are_those_of_transformers() -> None:
    model = network()
    for row in range(3):
        pair = on_one(PAIRS, row)
        read = torch.cat([torch.tensor([[BOS]]), pair.target.ids[:, :-1]], dim=1)
        own = reference(model)(input_ids=pair.source.ids, decoder_input_ids=read).logits[0]
        torch.testing.assert_close(model(pair), own, rtol=1e-4, atol=1e-5)


def test_a_token_does_not_depend_on_those_after_it() -> None:
    model = network()
    source = tokens([5, 6, EOS])
    one, other = (model(Pairs(source, tokens([4, last, EOS]))) for last in (7, 9))
    torch.testing.assert_close(one[:2], other[:2])
    assert not torch.allclose(one[2], other[2])


def test_decoding_with_cached_keys_gives_the_same_logits() -> None:
    model = network()
    read = tokens([BOS, 4, 5], [BOS, 7, 8], [BOS, 3, 4])
    expected = model(Pairs(PAIRS.source, tokens([4, 5, 6], [7, 8, 9], [3, 4, 3]))).view(3, 3, SIZE)
    decoding = model.begin(PAIRS.source)
    decoding.keep(torch.tensor([2, 0, 0, 1]))
    first = decoding.step(read.ids[[2, 0, 0, 1], 0])
    torch.testing.assert_close(first, expected[[2, 0, 0, 1], 0], rtol=1e-4, atol=1e-5)
    decoding.reorder(torch.tensor([0, 2, 1, 3]))
    second = decoding.step(read.ids[[2, 0, 0, 1], 1])
    torch.testing.assert_close(second, expected[[2, 0, 0, 1], 1], rtol=1e-4, atol=1e-5)
    decoding.keep(torch.tensor([3, 0]))
    third = decoding.step(read.ids[[1, 2], 2])
    torch.testing.assert_close(third, expected[[1, 2], 2], rtol=1e-4, atol=1e-5)


def test_greedy_translations_are_those_of_transformers() -> None:
    # trained for a few steps, so that outputs have several lengths
    model = trained(network())
    source = tokens(*([token, other, EOS] for token in range(3, SIZE) for other in range(3, SIZE)))
    found = model.translate(source, Search(beam=1))
    limit = int(source.mask.sum(1).max()) + 25
    generated = reference(model).generate(
        input_ids=source.ids,
        attention_mask=source.mask.long(),
        do_sample=False,
        num_beams=1,
        max_new_tokens=limit,
        bad_words_ids=None,
    )
    for hypothesis, row in zip(found, generated[:, 1:].tolist(), strict=True):
        end = row.index(EOS) if EOS in row else limit
        assert list(hypothesis.ids)[:limit] == row[:end]
    assert len({len(hypothesis.ids) for hypothesis in found}) > 1


def trained(model: MarianNetwork) -> MarianNetwork:
    """Train a network to repeat the first token of the source a few times."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        rows = torch.randint(3, SIZE, (16, 2)).tolist()
        pairs = Pairs(
            tokens(*([*row, EOS] for row in rows)), tokens(*([*[row[0]] * (row[1] % 4 + 1), EOS] for row in rows))
        )
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(pairs), token_labels(pairs)).backward()
        optimizer.step()
    return model


def test_beam_search_finds_more_probable_outputs_than_greedy_search() -> None:
    model = trained(network())
    source = tokens(*([token, other, EOS] for token in range(3, SIZE) for other in range(3, SIZE)))
    greedy = model.translate(source, Search(beam=1))
    beam = model.translate(source, Search(beam=4, length_penalty=0.0))
    better = [one.log_prob - other.log_prob for one, other in zip(beam, greedy, strict=True)]
    assert min(better) > -1e-4
    assert max(better) > 0.01
    # the log-probabilities are those of the network for these outputs
    for row in range(0, 100, 9):
        pair = Pairs(tokens(source.ids[row].tolist()), tokens([*beam[row].ids, EOS]))
        with torch.no_grad():
            picked = model(pair).log_softmax(1).gather(1, token_labels(pair)[:, None]).sum()
        assert beam[row].log_prob == pytest.approx(float(picked), abs=1e-3)


def test_translations_are_at_most_as_long_as_the_network_takes() -> None:
    model = network()
    for hypothesis in model.translate(tokens([5] * 30, [6, 7]), Search(beam=1)):
        assert len(hypothesis.ids) <= 32


def test_a_file_of_weights_has_the_embedding_once() -> None:
    model, other = network(), network(width=16)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    content = load(save({name: value.contiguous() for name, value in model.state_dict().items()}))
    other.load_state_dict(content)
    torch.testing.assert_close(other(PAIRS), model(PAIRS))
    assert other.head.weight is other.network.shared.weight
    with pytest.raises(RuntimeError, match=r"network\.shared\.weight"):
        other.load_state_dict({name: value for name, value in content.items() if "shared" not in name})


def test_parameters_are_counted_without_building_the_network() -> None:
    spec = MarianSpec.parse(SMALL)
    assert spec.parameters(SHAPE, SIZE) == sum(parameter.numel() for parameter in network().parameters())
    # Vaswani et al. 2017, Table 3: 65 million with 37,000 tokens, without the constant positions
    base = MarianSpec().parameters(TokenShape(256, 37_000, 0, 1, 2), 37_000) - 2 * 256 * 512
    assert base == pytest.approx(65e6, rel=0.05)


def test_dropout_acts_in_training_alone() -> None:
    model = network(dropout=0.5)
    torch.testing.assert_close(model(PAIRS), model(PAIRS))
    model.train()
    assert not torch.allclose(model(PAIRS), model(PAIRS))


@pytest.mark.parametrize(
    ("settings", "shape", "size", "argument"),
    [
        ({"heads": 3}, SHAPE, SIZE, "heads"),
        ({"positions": 16}, SHAPE, SIZE, "model.positions"),
        ({}, (1, 8, 8), SIZE, "input_shape"),
        ({}, SHAPE, SIZE + 1, "model"),
        ({"activation": "rellu"}, SHAPE, SIZE, "activation"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], shape: Any, size: int, argument: str) -> None:
    with pytest.raises(InputError, match=rf"{argument}"):
        MODELS["marian"].parse({**SMALL, **settings}).build(shape, size)


def test_a_sentence_that_is_longer_than_the_network_takes_is_refused() -> None:
    model, long = network(), tokens([5] * 33)
    with pytest.raises(InputError, match=r"^source: sentences of at most 32 tokens; got 33"):
        model(Pairs(long, tokens([EOS])))
    with pytest.raises(InputError, match=r"^target: "):
        model(Pairs(tokens([5]), long))
    with pytest.raises(InputError, match=r"^source: "):
        model.begin(long)
