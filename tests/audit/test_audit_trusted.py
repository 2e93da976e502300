"""Labels that were checked by hand correct the noise rate; files that hold no such labels are refused."""

from pathlib import Path

import numpy as np
import pytest
from audit.simulated_audits import simulate

from softtargets._errors import InputError
from softtargets.audit import AuditOptions, audit_labels
from softtargets.audit.trusted import read_trusted


def write(path: Path, rows: list[tuple[object, object]], header: str = "row,label") -> Path:
    path.write_text("\n".join([header, *(f"{row},{label}" for row, label in rows)]) + "\n")
    return path


def test_checked_labels_correct_the_rate_and_narrow_the_range(tmp_path):
    content = simulate(sharpness=1.5)
    wrong = content["labels"] != content["clean"]
    rows = np.random.default_rng(0).permutation(len(wrong))[:400]
    path = write(tmp_path / "checked.csv", [(row, content["clean"][row]) for row in rows])
    before = audit_labels(content["labels"], content["probs"])
    after = audit_labels(content["labels"], content["probs"], options=AuditOptions(trusted=path))
    assert not before.noise.told
    assert after.noise.told
    assert after.noise.rate.low <= wrong.mean() <= after.noise.rate.high
    assert after.noise.rate.high - after.noise.rate.low < before.noise.rate.high - before.noise.rate.low
    assert abs(after.noise.rate.estimate - wrong.mean()) < 0.04
    assert after.noise.principles["trusted"] == after.noise.rate.estimate
    # everything else follows the rate
    assert after.ranking.cutoffs[-1].wrong.estimate == pytest.approx(len(wrong) * after.noise.rate.estimate)
    assert after.noise.estimate.noise_rate == after.noise.rate.estimate


def test_classes_are_written_by_name_or_index(tmp_path):
    path = write(tmp_path / "checked.csv", [(row, ["cat", "1"][row % 2]) for row in range(30)])
    found = read_trusted(path, ("cat", "dog"))
    assert found.rows.tolist() == list(range(30))
    assert found.labels.tolist() == [0, 1] * 15


ENOUGH = [(row, 0) for row in range(20)]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ENOUGH, "row,class", "trusted: the columns row and label; got row, class"),
        ([], "row,label", "trusted: the columns row and label; got no rows"),
        (ENOUGH[:19], "row,label", "trusted: at least 20 rows; got 19"),
        ([*ENOUGH, (3, 0)], "row,label", "trusted: a row, counted from 0, that occurs once in line 22; got '3'"),
        ([*ENOUGH, (-1, 0)], "row,label", "in line 22; got '-1'"),
        ([*ENOUGH, (30, "owl")], "row,label", "trusted: a class in line 22; got 'owl'"),
        ([*ENOUGH, (30, 2)], "row,label", "trusted: a class in line 22; got '2'"),
    ],
)
def test_files_without_checked_labels_are_refused(tmp_path, rows, header, message):
    with pytest.raises(InputError, match=message):
        read_trusted(write(tmp_path / "checked.csv", rows, header), ("cat", "dog"))


def test_a_missing_file_and_rows_that_there_are_not_are_refused(tmp_path):
    with pytest.raises(InputError, match="trusted: a CSV file; got"):
        read_trusted(tmp_path / "none.csv", ("cat", "dog"))
    content = simulate(300)
    path = write(tmp_path / "checked.csv", [(row, 0) for row in range(290, 320)])
    with pytest.raises(InputError, match="trusted: rows below 300, the number of labels; got 319"):
        audit_labels(content["labels"], content["probs"], options=AuditOptions(trusted=path))
