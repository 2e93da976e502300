"""Log-probabilities in Parquet files."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from softtargets.distill import CacheSource, TeacherCache, TopK

K = 9
SOURCE = CacheSource("t", "d", K, tokenizer="letters")
LOG_PROBS = torch.randn(3, K, generator=torch.Generator().manual_seed(0)).mul(2).log_softmax(-1)
TOP, CLASSES = LOG_PROBS.topk(4)
ROW: dict[str, Any] = {"id": 12, "tokens": [1, 4, 8, 2], "classes": CLASSES.tolist(), "log_probs": TOP.tolist()}


def saved(path: Path, *rows: dict[str, Any]) -> Path:
    parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_a_row_is_a_sequence(tmp_path: Path) -> None:
    answer = {"id": 5, "tokens": [7, 6, 5], "positions": [2], "classes": [[3, 0]], "log_probs": [[-2.0, -0.5]]}
    file = saved(tmp_path / "a.parquet", {**ROW, "positions": [1, 2, 3]}, answer)
    cache = TeacherCache.from_parquet(tmp_path / "c", file, SOURCE, keep=TopK(2, dtype="float32"))
    found = cache.sequences(torch.tensor([5, 12]))
    assert found.tokens.tolist() == [7, 6, 5, 1, 4, 8, 2]
    assert found.positions.tolist() == [2, 1, 2, 3]
    assert found.rows.classes is not None
    assert found.rows.classes.tolist() == [[0, 3], *CLASSES[:, :2].tolist()]
    torch.testing.assert_close(found.rows.log_probs[1:], TOP[:, :2], rtol=0, atol=1e-6)
    masses = torch.cat([found.rows.log_probs, found.rows.log_tail[:, None]], -1).exp()  # pyright: ignore[reportOptionalSubscript]
    torch.testing.assert_close(masses.sum(-1), torch.ones(4))


def test_without_positions_every_token_but_the_first_has_a_row(tmp_path: Path) -> None:
    cache = TeacherCache.from_parquet(tmp_path / "c", saved(tmp_path / "a.parquet", ROW), SOURCE, keep=TopK(4))
    assert cache.sequences(torch.tensor([12])).positions.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"log_probs": TOP[:2].tolist()},
            r"row 1: a row of classes and log_probs for each position; got 3 positions, 3",
        ),
        (
            {"classes": [[0], [1], [2]], "log_probs": [[-1.0]] * 3},
            r"row 1: 2 log-probabilities, k; got 1 at position 1",
        ),
        ({"classes": [[0, 1], [0], [0, 1]]}, r"row 1: as many classes as log_probs; got 2 and 4 at position 1"),
        ({"tokens": None}, r"row 1: a value of tokens; got null"),
        ({"tokens": [1, 4, 8, 20]}, r"row 1: tokens below 9, num_classes; got 20 at position 3"),
        ({"positions": [1, 2, 4]}, r"row 1: positions below 4, the number of tokens; got 4"),
        ({"positions": [2, 1, 3]}, r"row 1: positions in ascending order, each once; got \[2, 1, 3\]"),
    ],
)
def test_a_bad_row_is_named_with_its_file(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    first = {**ROW, "id": 1, **({"positions": [1, 2, 3]} if "positions" in changed else {})}
    file = saved(tmp_path / "a.parquet", first, {**ROW, **changed})
    with pytest.raises(ValueError, match=rf"a.parquet: {message}"):
        TeacherCache.from_parquet(tmp_path / "c", file, SOURCE, keep=TopK(2))


def test_a_file_that_is_none_or_lacks_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("text")
    with pytest.raises(ValueError, match=r"a.parquet: a Parquet file; got"):
        TeacherCache.from_parquet(tmp_path / "c", tmp_path / "a.parquet", SOURCE, keep=TopK(2))
    file = saved(tmp_path / "b.parquet", {"id": 1, "tokens": [1]})
    with pytest.raises(
        ValueError, match=r"b.parquet: columns id, tokens, classes, log_probs; got columns id, tokens; add"
    ):
        TeacherCache.from_parquet(tmp_path / "c", file, SOURCE, keep=TopK(2))
