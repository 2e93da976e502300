"""Predictions from files: what is read, and what is refused with its file and row."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from data.prediction_files import LABELS, LOGITS, PROBS, WRITERS, every_format, lists, npz, refused, written
from safetensors.torch import save_file

from softtargets._errors import InputError
from softtargets.data import open_predictions, read_predictions


@pytest.fixture
def tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder as it is named from within: files are named in errors as the user named them."""
    monkeypatch.chdir(tmp_path)
    return Path()


@every_format
def test_what_is_read(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"probs": PROBS, "labels": LABELS})
    found = read_predictions([path])
    assert (found.kind, len(found), found.num_classes, found.class_names) == ("probs", 4, 3, None)
    assert torch.equal(found.values, torch.from_numpy(PROBS).to(found.values.dtype))
    assert found.labels is not None
    assert (found.labels.dtype, found.labels.tolist()) == (torch.int64, LABELS.tolist())
    path = written(tmp_path, form, {"logits": LOGITS})
    found = read_predictions([path], num_classes=3)
    assert (found.kind, found.labels, found.values.dtype) == ("logits", None, torch.float64)
    assert found.values.tolist() == LOGITS.tolist()
    assert read_predictions([written(tmp_path, form, {"probs": PROBS, "labels": LABELS})], labels=None).labels is None


@every_format
def test_other_names(tmp_path: Path, form: str) -> None:
    arrays = {"scores": LOGITS, "chances": PROBS, "observed": LABELS}
    path = written(tmp_path, form, arrays)
    found = read_predictions([path], logits="scores", labels="observed")
    assert (found.kind, found.values.tolist()) == ("logits", LOGITS.tolist())
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    assert read_predictions([path], probs="chances").kind == "probs"
    refused("either logits or probabilities; got both 'scores' and 'chances'", path, logits="scores", probs="chances")
    refused("an array or columns named logits or probs; got ", path)
    with pytest.raises(
        InputError, match=rf"^predictions: 'chancse' in every file; got .* in {path.name}; did you mean"
    ):
        read_predictions([path], probs="chancse")
    refused("'label' in every file; got ", path, probs="chances", labels="label")
    both = written(tmp_path, form, {"logits": LOGITS, "probs": PROBS})
    refused(f"either logits or probs, or one of them named; got both in {both.name}; pass --logits logits or", both)
    assert read_predictions([both], logits="logits").kind == "logits"


@every_format
def test_shards_follow_one_another(tmp_path: Path, form: str) -> None:
    paths = []
    for index, rows in enumerate((slice(0, 3), slice(3, 4))):
        part = written(tmp_path, form, {"probs": PROBS[rows], "labels": LABELS[rows]})
        paths.append(part.rename(tmp_path / f"part{index}{part.suffix}"))
    found = read_predictions(paths)
    assert found.values.tolist() == PROBS.tolist()
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()
    other = written(tmp_path, form, {"probs": np.eye(2, dtype=np.float32), "labels": LABELS[:2]})
    refused(f"3 values in every row, as in {paths[0].name}; got 2 in {other.name}; give the same", paths[0], other)
    bare = written(tmp_path, form, {"probs": PROBS})
    refused("'labels' in every file; got probs", paths[0], bare)
    refused("'labels' in every file; got probs", bare, paths[0])


@every_format
def test_rows_that_are_no_probabilities(tmp_path: Path, form: str) -> None:
    def with_row(row: list[float]) -> Path:
        values = PROBS.copy()
        values[2] = row
        return written(tmp_path, form, {"probs": values})

    name = WRITERS[form][1]
    required = "probs of at least 0 whose rows sum to 1, to within 0.001; got"
    refused(f"{required} a sum of 1.0625 in {name}, row 2; divide each row by its sum", with_row([0, 0.0625, 1]))
    unclear = "fix that row, or pass --logits probs if these are logits"
    refused(f"{required} a sum of 1.3 in {name}, row 2; {unclear}", with_row([0.5, 0.5, 0.3]))
    refused(f"{required} a sum of 1 and a minimum of -1 in {name}, row 2; these look like logits", with_row([1, 1, -1]))
    assert len(read_predictions([with_row([0.3331, 0.3331, 0.333])])) == 4


@every_format
def test_sums_that_are_far_off_in_most_rows(tmp_path: Path, form: str) -> None:
    values = PROBS.copy()
    values[1:] *= 2.5
    path = written(tmp_path, form, {"probs": values})
    advice = "divide each row by its sum, or pass --logits probs if these are logits"
    with pytest.raises(InputError, match=f"a sum of 2.5 in {path.name}, row 1; {advice}"):
        read_predictions([path])
    values[2, 0] -= 3
    path = written(tmp_path, form, {"probs": values})
    with pytest.raises(InputError, match=rf"a sum of 2.5 in {path.name}, row 1; these look like logits: pass --logits"):
        read_predictions([path])


@every_format
def test_logits_called_probabilities(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"scores": LOGITS})
    text = "and a minimum of -2 in " + path.name + ", row 0; these look like logits: pass --logits scores"
    with pytest.raises(InputError, match=re.escape(text)):
        read_predictions([path], probs="scores")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("kind", ["logits", "probs"])
@every_format
def test_values_that_are_not_finite(tmp_path: Path, form: str, kind: str, value: str) -> None:
    values = PROBS.copy()
    values[3, 1] = float(value)
    path = written(tmp_path, form, {kind: values})
    refused(f"finite {kind}; got {value} in {path.name}, row 3, class 1; fix or drop that row", path)


@every_format
def test_labels_that_do_not_fit(tmp_path: Path, form: str) -> None:
    def with_label(label: float) -> Path:
        return written(tmp_path, form, {"probs": PROBS, "labels": np.array([0, 1, label, 2])})

    required = "labels that are whole numbers of at least 0 and below 3, the number of classes; got"
    name = WRITERS[form][1]
    refused(f"{required} 3 as 'labels' in {name}, row 2; fix or drop that row", with_label(3))
    refused(f"{required} -1 as 'labels' in {name}, row 2", with_label(-1))
    refused(f"{required} 1.5 as 'labels' in {name}, row 2", with_label(1.5))
    refused(f"{required} nan as 'labels' in {name}, row 2", with_label(float("nan")))
    found = read_predictions([with_label(2.0)])
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_labels_of_another_length(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"probs": PROBS, "labels": LABELS[:3]})
    refused(f"4 labels, one for each row of predictions; got shape (3,) as 'labels' in {path.name}; write one", path)
    path = written(tmp_path, form, {"probs": PROBS, "labels": LABELS[:, None]})
    refused("4 labels, one for each row of predictions; got shape (4, 1)", path)


@every_format
def test_the_number_of_classes(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"probs": PROBS})
    refused(f"4 values in every row, the number of classes; got 3 in {path.name}; give the same", path, num_classes=4)


@every_format
def test_a_file_without_rows(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"probs": PROBS[:0], "labels": LABELS[:0]})
    refused(f"at least one row in every file; got none in {path.name}; remove the file", path)


@every_format
def test_damaged_files(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"probs": np.tile(PROBS, (50, 1)), "labels": np.tile(LABELS, 50)})
    whole = path.read_bytes()
    for damaged in (whole[:-6], b"", b"neither of these"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"^predictions: .*{path.name}"):
            read_predictions([path])


@pytest.mark.parametrize("form", ["npz", "packed"])
def test_a_changed_byte_is_noticed(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"logits": np.random.default_rng(0).normal(size=(40, 3))})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused("a file that can be read; got p.npz: ", path)


def test_pickles_and_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    np.savez(path, probs=np.array([[object(), object()]]))
    refused("a file that can be read; got p.npz: Object arrays cannot be loaded when allow_pickle=False", path)
    np.savez(path, probs=PROBS, labels=np.array(["a", "b", "c", "a"]))
    refused("numbers; got <U1 as 'labels' in p.npz; save class indices and numbers", path)
    lists(tmp_path / "p.parquet", {"probs": PROBS})
    table = pq.read_table(tmp_path / "p.parquet")
    dates = table.append_column("labels", pa.array([0, 1, 2, 2], pa.date32()))
    pq.write_table(dates, tmp_path / "p.parquet")
    refused("numbers; got date32[day] as 'labels' in p.parquet; save class", tmp_path / "p.parquet")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    npz(tmp_path / "preds.npz", {"probs": PROBS})
    whole = tmp_path.absolute()
    refused(f"an existing file; got '{whole}/pred.npz'; did you mean '{whole}/preds.npz'?", whole / "pred.npz")
    refused(f"an existing file; got '{tmp_path}', a folder; give the path of a file", tmp_path)
    (tmp_path / "p.txt").write_text("")
    refused(
        "files of type .npz, .npy, .safetensors, .parquet, .csv, .tsv, .jsonl, .csv.gz, .tsv.gz, .jsonl.gz, .pt; got ",
        tmp_path / "p.txt",
    )
    refused("at least one file; got none")


def test_names_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,probs_dog,probs_cat,labels\n7,0.25,0.75,1\n8,1,0,0\n")
    found = read_predictions([path])
    assert found.class_names == ("dog", "cat")
    assert found.values.tolist() == [[0.25, 0.75], [1, 0]]
    (tmp_path / "q.csv").write_text("id,probs_cat,probs_dog,labels\n7,0.25,0.75,1\n8,1,0,0\n")
    refused(
        "the classes in the order of p.csv; got probs_cat, probs_dog in q.csv; write them in one order",
        path,
        tmp_path / "q.csv",
    )
    path.write_text("probs_1,probs_0,probs_10\n0.25,0.75,0\n")
    refused("columns probs_0 to probs_2, or one for each class by its name; got probs_1, probs_0, probs_10 in", path)
    head = ",".join(f"probs_{k}" for k in reversed(range(11)))
    path.write_text(f"{head}\n1{',0' * 10}\n")
    assert read_predictions([path]).values.argmax().item() == 10
    path.write_text("probs_0,probs_0\n1,0\n")
    refused("columns with different names; got p.csv: probs_0, probs_0; rename one", path)


def test_cells_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbfprobs_0,probs_1\r\n 0.25,0.75\r\n1e0,0\r\n")
    assert read_predictions([path]).values.tolist() == [[0.25, 0.75], [1, 0]]
    path.write_text("probs_0,probs_1\n1,0\n0,one\n")
    refused("a number in every row; got 'one' in p.csv, row 1, column 'probs_1'; fix that row", path)
    path.write_text("probs_0,probs_1\n1,0\n,1\n")
    refused("a number in every row; got nothing in p.csv, row 1, column 'probs_0'; fix that row", path)
    path.write_text('probs\n"[1, 0]"\n"[1, 0, 0]"\n')
    refused("as many numbers in every row as in the first, 2; got 3 in p.csv, row 1; fix that row", path)
    path.write_text('probs\n"[1, 0]"\n"[1, null]"\n')
    refused("a number in every row; got '[1, null]' in p.csv, row 1, column 'probs'", path)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 2)])
def test_lists_of_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"probs": pa.array([[0.25, 0.75], [1, 0]], kind)}), path)
    assert read_predictions([path]).values.tolist() == [[0.25, 0.75], [1, 0]]
    pq.write_table(pa.table({"probs": pa.array([[0.25, 0.75], None], kind)}), path)
    refused("as many numbers in every row as in the first, 2; got 0 in p.parquet, row 1; fix that row", path)
    pq.write_table(pa.table({"probs": pa.array([[0.25, 0.75], [None, 1]], kind)}), path)
    refused("finite probs; got nan in p.parquet, row 1, class 0", path)


def test_rows_are_counted_across_batches(tmp_path: Path) -> None:
    # The reader of Parquet takes 65,536 rows at a time, and the check of 3 classes 1,398,101.
    count = 1_398_101 + 70_000
    values = torch.zeros(count, 3)
    values[:, 1] = 1
    values[count - 1, 0] = 0.5
    pq.write_table(pa.table({f"probs_{k}": values[:, k].numpy() for k in range(3)}), tmp_path / "p.parquet")
    refused(
        f"probs of at least 0 whose rows sum to 1, to within 0.001; got a sum of 1.5 in p.parquet, row {count - 1}",
        tmp_path / "p.parquet",
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types_are_kept_and_their_rounding_allowed(tmp_path: Path, dtype: torch.dtype) -> None:
    probs = torch.rand(1000, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).softmax(1).to(dtype)
    save_file({"probs": probs}, tmp_path / "p.safetensors")
    found = read_predictions([tmp_path / "p.safetensors"])
    assert found.values.dtype == dtype
    assert torch.equal(found.values, probs)
    rows = found.probs(slice(10, 20))
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.double().sum(1), torch.ones(10, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(rows, (probs.double() / probs.double().sum(1, keepdim=True))[10:20].float())


def test_probs_of_logits() -> None:
    from softtargets.data import Predictions

    logits = torch.tensor([[0.0, 1.0], [1000.0, 0.0], [2.0, 2.0]])
    found = Predictions(logits, "logits", None)
    expected = torch.tensor([[1 / (1 + np.e), np.e / (1 + np.e)], [1, 0], [0.5, 0.5]])
    torch.testing.assert_close(found.probs(slice(None)), expected.float())
    torch.testing.assert_close(found.probs(torch.tensor([2, 0])), expected.float()[[2, 0]])


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_whole_numbers_and_orders_of_bytes(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form, {"probs": np.eye(3, dtype=np.int8), "labels": np.arange(3, dtype=np.uint8)})
    found = read_predictions([path])
    assert found.values.tolist() == np.eye(3).tolist()
    assert found.values.is_floating_point()
    npz(tmp_path / "p.npz", {"logits": np.asfortranarray(LOGITS.astype(">f8")), "labels": LABELS.astype(">i4")})
    assert read_predictions([tmp_path / "p.npz"]).values.tolist() == LOGITS.tolist()
    npz(tmp_path / "p.npz", {"logits": np.asfortranarray(LOGITS)})
    assert read_predictions([tmp_path / "p.npz"]).values.tolist() == LOGITS.tolist()


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_one_file_is_mapped_and_a_change_stays_in_memory(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, form, {"logits": LOGITS})
    before = path.read_bytes()
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        pytest.skip("needs /proc/self/maps to see what is mapped")
    found = read_predictions([path])
    assert str(path) in maps.read_text()
    found.values[0] = 7
    assert path.read_bytes() == before


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    npz(path, {"logits": LOGITS, "labels": LABELS})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["logits.npy"] = members["logits.npy"].replace(b"(4, 3)", b"(5, 3)")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refused("a file that can be read; got p.npz: 96 bytes of 'logits', but its header says 120; check", path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_labels_without_a_sign(tmp_path: Path, dtype: type) -> None:
    found = read_predictions([written(tmp_path, "npz", {"probs": PROBS, "labels": LABELS.astype(dtype)})])
    assert found.labels is not None
    assert found.labels.tolist() == LABELS.tolist()


def test_an_array_without_rows_or_axes(tmp_path: Path) -> None:
    refused("probs of shape (N, K)", written(tmp_path, "npz", {"probs": np.array(0.5, dtype=np.float32)}))


def test_a_hair_below_0_is_rounding_and_no_logit(tmp_path: Path) -> None:
    values = PROBS.astype(np.float64)
    values[1] = [-1e-7, 0.5, 0.5 + 1e-7]
    with pytest.raises(InputError, match="row 1; divide each row by its sum"):
        read_predictions([written(tmp_path, "npz", {"probs": values})])


def test_a_blank_line_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("probs_0,probs_1\n0.5,0.5\n\n0.5,0.6\n")
    with pytest.raises(InputError, match="row 1"):
        read_predictions([path])


def test_an_npy_file_holds_one_array_that_is_named_as_the_file(tmp_path: Path) -> None:
    path, labels = tmp_path / "probs.npy", tmp_path / "labels.npy"
    np.save(path, np.asfortranarray(np.array(PROBS, dtype=">f8")))
    np.save(labels, np.array([0, 1, 2, 2]))
    read = read_predictions([path])
    assert read.kind == "probs"
    assert torch.equal(read.values, torch.tensor(PROBS, dtype=torch.float64))
    files = open_predictions([path], labels_from=(labels, "labels"))
    for rows in (1, 3, 10):
        chunks = list(files.chunks(rows))
        assert torch.cat([chunk.values for chunk in chunks]).tolist() == np.array(PROBS).tolist()
        assert [label for chunk in chunks if chunk.labels is not None for label in chunk.labels.tolist()] == [
            0,
            1,
            2,
            2,
        ]
    path.write_bytes(path.read_bytes()[:-9])
    refused(f"a file that can be read; got {path.name}: ", path)
    np.save(path, np.array([[object()]]))
    refused(f"a file that can be read; got {path.name}: Object arrays cannot be loaded when allow_pickle=False", path)
    np.save(path, np.array([["a", "b"]]))
    refused(f"numbers; got <U1 in {path.name}; save class indices and numbers", path)
