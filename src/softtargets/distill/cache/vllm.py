"""Reading the JSON of vLLM's log-probabilities."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets._storage import parse_json
from softtargets.distill.cache.imported import natural, paths_of, sequence_of
from softtargets.distill.cache.plan import Plan
from softtargets.distill.cache.sequences import Ragged

ASK = "ask the server for return_token_ids and return_tokens_as_token_ids"
TOKEN_ID = "token_id:"


def read_vllm(files: Any, plan: Plan, id_key: str | None) -> Iterator[Ragged]:
    """Yield the sequences of the requests in some files."""
    paths, count = paths_of(files), 0
    for path in paths:
        for place, record in _records(path):
            tokens, entries = _request(_body(record), place)
            number = count if id_key is None else _id(record, id_key, place)
            rows = [(position, *_classes(entry, f"{place}, position {position}")) for position, entry in entries]
            yield sequence_of(number, tokens, rows, plan, place)
            count += 1


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the requests of a file, and where each is."""
    if path.suffix == ".jsonl":
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    place = f"{path}: line {number}"
                    yield place, _parsed(line, place)
        return
    content = _parsed(path.read_bytes(), str(path))
    several = content if isinstance(content, list) else [content]
    yield from ((f"{path}: request {number}", record) for number, record in enumerate(several))


def _parsed(text: bytes, place: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        remedy = "write one request per line to a file .jsonl, or a list of requests to a file .json"
        raise fail(place, "JSON", f"{error}", remedy) from None


def _body(record: Any) -> Any:
    """Return the response within a line of a batch, or the record itself."""
    if isinstance(record, dict) and isinstance(record.get("response"), dict):
        return record["response"].get("body", record["response"])
    return record


def _id(record: Any, key: str, place: str) -> int:
    try:
        return int(record[key])
    except (KeyError, TypeError, ValueError):
        got = repr(record.get(key)) if isinstance(record, dict) else type(record).__name__
        raise fail(
            place, f"an integer '{key}'", got, "write the id of the example into it, or use id_key=None"
        ) from None


def _request(record: Any, place: str) -> tuple[list[int], list[tuple[int, Any]]]:
    """Return the tokens of a request, and the position and the log-probabilities of those that have any."""
    answers = None
    if isinstance(record, dict):
        answers = record.get("outputs", record.get("choices"))
    if not isinstance(answers, list) or len(answers) != 1 or not isinstance(answers[0], dict):
        got = "none" if not isinstance(answers, list) else f"{len(answers)}"
        raise fail(place, "a request of vLLM with one output ('outputs' or 'choices')", got, "ask for n=1")
    answer = answers[0]
    prompt = _either(record, answer, "prompt_token_ids")
    before = _either(record, answer, "prompt_logprobs")
    if not isinstance(prompt, list):
        raise fail(place, "prompt_token_ids", "none", ASK)
    tokens, entries = list(prompt), []
    if isinstance(before, list):
        if len(before) != len(prompt):
            remedy = "write the whole response to the file"
            raise fail(place, f"prompt_logprobs of {len(prompt)} tokens", f"{len(before)}: it is cut short", remedy)
        entries += [(position, entry) for position, entry in enumerate(before) if entry is not None]
    after = _after(answer.get("logprobs"))
    if after:
        generated = answer.get("token_ids")
        if not isinstance(generated, list) or len(generated) != len(after):
            got = "none" if not isinstance(generated, list) else f"{len(generated)}: it is cut short"
            raise fail(place, f"token_ids of {len(after)} log-probabilities", got, ASK)
        entries += [(len(prompt) + number, entry) for number, entry in enumerate(after)]
        tokens += generated
    return tokens, entries


def _either(record: dict[str, Any], answer: dict[str, Any], key: str) -> Any:
    """Return what the request or its only answer has: completions and chat completions differ."""
    found = record.get(key)
    return answer.get(key) if found is None else found


def _after(logprobs: Any) -> list[Any]:
    """Return the log-probabilities of the generated tokens: of `generate`, completions or chat completions."""
    if isinstance(logprobs, dict) and logprobs.get("content") is not None:
        return [{e["token"]: e["logprob"] for e in one.get("top_logprobs", [])} for one in logprobs["content"]]
    if isinstance(logprobs, dict):
        return logprobs.get("top_logprobs") or []
    return logprobs or []


def _classes(entry: Any, place: str) -> tuple[Tensor, Tensor]:
    """Return the classes and the log-probabilities of one position."""
    try:
        classes = [int(key.removeprefix(TOKEN_ID)) for key in entry]
        values = [value["logprob"] if isinstance(value, dict) else value for value in entry.values()]
        return torch.tensor(classes, dtype=torch.int64), natural(values)
    except (AttributeError, KeyError, TypeError, ValueError):
        text = repr(entry)
        got = text if len(text) <= 60 else f"{text[:57]}..."
        raise fail(place, "log-probabilities by token id", got, ASK) from None
