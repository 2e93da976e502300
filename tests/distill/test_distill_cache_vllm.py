"""vLLM's log-probabilities: its four layouts, the tail, and what is wrong with a record."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softtargets.distill import CacheSource, TeacherCache, TopK

K = 9
GENERATOR = torch.Generator().manual_seed(0)
TOKENS = [[1, 4, 8, 2], [3, 0, 5]]
LOG_PROBS = [torch.randn(3, K, generator=GENERATOR).mul(2).log_softmax(-1) for _ in TOKENS]
SOURCE = CacheSource("t", "d", K, tokenizer="letters")


def entry(log_probs: torch.Tensor, token: int, k: int = 3, name: str = "{}") -> dict[str, Any]:
    """Return what vLLM does: the k largest, and the token that was there."""
    classes = list(dict.fromkeys([token, *log_probs.topk(k).indices.tolist()]))
    return {name.format(c): {"logprob": float(log_probs[c]), "rank": 1, "decoded_token": "x"} for c in classes}


def request(row: int, prompt: int = 9) -> dict[str, Any]:
    """Return a RequestOutput whose prompt has some of the tokens."""
    tokens, log_probs = TOKENS[row], LOG_PROBS[row]
    entries = [None, *(entry(log_probs[t - 1], token) for t, token in enumerate(tokens) if t)]
    return {
        "request_id": "0",
        "prompt_token_ids": tokens[:prompt],
        "prompt_logprobs": entries[:prompt],
        "outputs": [{"token_ids": tokens[prompt:], "logprobs": entries[prompt:]}],
    }


def completion(row: int) -> dict[str, Any]:
    made = request(row, 2)
    output = made["outputs"][0]
    top = [{f"token_id:{c}": v["logprob"] for c, v in one.items()} for one in output["logprobs"]]
    choice = {"token_ids": output["token_ids"], "logprobs": {"tokens": [], "top_logprobs": top}}
    return {"choices": [{**choice, **{key: made[key] for key in ("prompt_token_ids", "prompt_logprobs")}}]}


def chat(row: int) -> dict[str, Any]:
    made = request(row, 2)
    output = made["outputs"][0]
    content = [
        {"token": "x", "top_logprobs": [{"token": f"token_id:{c}", "logprob": v["logprob"]} for c, v in one.items()]}
        for one in output["logprobs"]
    ]
    choice = {"token_ids": output["token_ids"], "logprobs": {"content": content}}
    return {"choices": [choice], **{key: made[key] for key in ("prompt_token_ids", "prompt_logprobs")}}


def batched(row: int) -> dict[str, Any]:
    return {"custom_id": str(row + 70), "response": {"status_code": 200, "body": chat(row)}}


def saved(path: Path, records: list[Any]) -> Path:
    lines = path.suffix == ".jsonl"
    path.write_text("\n".join(map(json.dumps, records)) + "\n" if lines else json.dumps(records))
    return path


@pytest.mark.parametrize("layout", [request, completion, chat, batched, lambda row: request(row, 2)])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_every_layout_gives_the_largest_classes_and_the_mass_of_the_others(
    tmp_path: Path, layout: Any, name: str
) -> None:
    file = saved(tmp_path / name, [layout(row) for row in range(2)])
    key = "custom_id" if layout is batched else None
    cache = TeacherCache.from_vllm(tmp_path / "c", file, SOURCE, keep=TopK(2, dtype="float32"), id_key=key)
    assert cache.ids.tolist() == ([70, 71] if key else [0, 1])
    found = cache.sequences(cache.ids)
    assert found.tokens.tolist() == [*TOKENS[0], *TOKENS[1]]
    assert found.positions.tolist() == [1, 2, 3, 1, 2]
    expected = torch.cat([LOG_PROBS[0], LOG_PROBS[1][:2]])
    top, classes = expected.topk(2)
    assert torch.equal(found.rows.classes, classes)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(found.rows.log_probs, top, rtol=0, atol=1e-6)
    assert found.rows.log_tail is not None
    tail = expected.scatter(-1, classes, -torch.inf).logsumexp(-1)
    torch.testing.assert_close(found.rows.log_tail, tail, rtol=0, atol=1e-5)


def test_only_generated_tokens_have_rows_without_prompt_logprobs(tmp_path: Path) -> None:
    record = request(0, 2)
    record["prompt_logprobs"] = None
    file = saved(tmp_path / "a.jsonl", [record])
    found = TeacherCache.from_vllm(tmp_path / "c", file, SOURCE, keep=TopK(2)).sequences(torch.tensor([0]))
    assert found.tokens.tolist() == TOKENS[0]
    assert found.positions.tolist() == [2, 3]


def test_all_classes_and_a_mass_that_rounding_hides(tmp_path: Path) -> None:
    full = {str(c): float(LOG_PROBS[0][0, c]) for c in range(K)}
    record = {"prompt_token_ids": [1, 2], "prompt_logprobs": [None, full], "outputs": [{}]}
    file = saved(tmp_path / "a.json", [record])
    cache = TeacherCache.from_vllm(tmp_path / "c", file, SOURCE, keep=TopK(dtype="float32"))
    torch.testing.assert_close(cache.sequences(torch.tensor([0])).rows.log_probs[0], LOG_PROBS[0][0])
    record["prompt_logprobs"] = [None, {"3": 0.0, "4": -9999.0}]
    cache = TeacherCache.from_vllm(tmp_path / "d", saved(tmp_path / "b.json", [record]), SOURCE, keep=TopK(1))
    rows = cache.sequences(torch.tensor([0])).rows
    assert rows.log_tail is not None
    assert float(rows.log_tail[0].exp()) == pytest.approx(1e-6, rel=0.02)


def test_several_files_are_one_cache_and_a_finished_one_reads_none(tmp_path: Path) -> None:
    several = [saved(tmp_path / f"{row}.jsonl", [request(row)]) for row in range(2)]
    cache = TeacherCache.from_vllm(tmp_path / "c", several, SOURCE, keep=TopK(2))
    assert cache.ids.tolist() == [0, 1]
    for file in several:
        file.write_text("")
    assert len(TeacherCache.from_vllm(tmp_path / "c", several, SOURCE, keep=TopK(2))) == 2


def broken(**changes: Any) -> dict[str, Any]:
    return {**request(1), **changes}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            broken(prompt_logprobs=request(1)["prompt_logprobs"][:2]),
            r"prompt_logprobs of 3 tokens; got 2: it is cut short",
        ),
        (broken(prompt_token_ids=None), r"prompt_token_ids; got none; ask the server for return_token_ids"),
        (broken(outputs=[{}, {}]), r"a request of vLLM with one output .*; got 2; ask for n=1"),
        (broken(outputs=[{"logprobs": [{"1": -0.1}]}]), r"token_ids of 1 log-probabilities; got none;"),
        (
            broken(prompt_logprobs=[None, {" the": -0.1}, {"1": -1}]),
            r", position 1: log-probabilities by token id; got",
        ),
        (
            broken(prompt_logprobs=[None, {"1": -0.1}, {"1": -1, "2": -3}]),
            r"2 log-probabilities, k; got 1 at position 1; ask the teacher for 2",
        ),
        (
            broken(prompt_logprobs=[None, {"1": 0.1, "2": 0.2}, {"1": -1, "2": -3}]),
            r"logarithms of probabilities whose sum is at most 1; got a sum of 2.3\d* at position 1",
        ),
        (broken(prompt_token_ids=[3, 0, 9]), r"tokens below 9, num_classes; got 9 at position 2; set num_classes"),
        (
            broken(prompt_logprobs=[None, {"1": -1, "20": -2}, {"1": -1, "2": -3}]),
            r"tokens below 9, num_classes; got 20 at position 1",
        ),
        (broken(prompt_logprobs=[None] * 3), r"tokens and log-probabilities; got 3 tokens and 0 rows"),
        ([1], r"a request of vLLM with one output"),
    ],
)
def test_a_bad_record_is_named_with_its_file_and_line(tmp_path: Path, record: Any, message: str) -> None:
    file = saved(tmp_path / "a.jsonl", [request(0), record])
    with pytest.raises(ValueError, match=rf"a.jsonl: line 2{message if message[0] == ',' else ': ' + message}"):
        TeacherCache.from_vllm(tmp_path / "c", file, SOURCE, keep=TopK(2))
    saved(file, [request(0), request(1)])
    assert len(TeacherCache.from_vllm(tmp_path / "c", file, SOURCE, keep=TopK(2))) == 2, "the folder is still usable"


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.jsonl", [request(0)])
    for changed, message in (
        ({"files": tmp_path / "none"}, r"^files: files that exist; got '.*none'"),
        ({"files": 3}, r"^files: a path or a list of paths; got int"),
        ({"source": CacheSource("t", "d", K)}, r"^source: a CacheSource with a tokenizer"),
        ({"keep": None}, r"^keep: TopK; got NoneType"),
        ({"id_key": "custom_id"}, r"a.jsonl: line 1: an integer 'custom_id'; got None; write the id"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            TeacherCache.from_vllm(
                **{"folder": tmp_path / "c", "files": file, "source": SOURCE, "keep": TopK(2), **changed}
            )
    file.write_text('{"a": 1}\n{"a"')
    with pytest.raises(ValueError, match=r"a.jsonl: line 1: a request of vLLM"):
        TeacherCache.from_vllm(tmp_path / "d", file, SOURCE, keep=TopK(2))
    for name, place in (("b.jsonl", "b.jsonl: line 1"), ("b.json", "b.json")):
        (tmp_path / name).write_text('{"a"')
        with pytest.raises(ValueError, match=rf"{place}: JSON; got .*; write one request per line"):
            TeacherCache.from_vllm(tmp_path / "d", tmp_path / name, SOURCE, keep=TopK(2))
