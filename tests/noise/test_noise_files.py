"""Transitions in CSV files."""

import numpy as np
import pytest
import torch

from softtargets import noise

TEXT = "clean,cat,dog,'=owl\ncat,0.9,0.1,0\n'=owl,0.2,0.2,0.6\ndog,0,0.5,0.5\n"


def write(folder, text: str):
    path = folder / "transition.csv"
    path.write_text(text)
    return path


def test_lines_are_read_by_the_names_of_their_classes(tmp_path):
    path = write(tmp_path, TEXT)
    found = noise.load_transition(path).to_dense()
    np.testing.assert_allclose(found, [[0.9, 0.1, 0], [0, 0.5, 0.5], [0.2, 0.2, 0.6]])
    turned = noise.load_transition(str(path), class_names=["=owl", "cat", "dog"]).to_dense()
    np.testing.assert_allclose(turned, [[0.6, 0.2, 0.2], [0, 0.9, 0.1], [0.5, 0, 0.5]])


def test_rounding_of_rows_is_undone(tmp_path):
    path = write(tmp_path, "clean,a,b\na,0.3333,0.6666\nb,0,1\n")
    torch.testing.assert_close(noise.load_transition(path).to_dense().sum(1), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a first line of 'clean' and K different class names"),
        ("clean,a\na,1\n", "a first line"),
        ("clean,a,a\na,1,0\n", "a first line"),
        ("clean,a,b\na,1,0\n", "one line for each class; got none for 'b'"),
        ("clean,a,b\na,1,0\na,1,0\n", "one line for each class; got 'a' twice in .*, line 3"),
        ("clean,a,b\na,1,0\nc,1,0\n", "one line for each class; got 'c' in .*, line 3"),
        ("clean,a,b\na,1,0\nb,0.5\n", r"2 numbers in \[0, 1\] that sum to 1; got 0.5 in .*, line 3"),
        ("clean,a,b\na,1,x\nb,0,1\n", "'x' in .*, line 2"),
        ("clean,a,b\na,1.5,-0.5\nb,0,1\n", "got 1.5, -0.5 in .*, line 2"),
        ("clean,a,b\na,0.5,0.2\nb,0,1\n", "a sum of 0.7 in .*, line 2"),
        ("clean,a,b\na,nan,0.2\nb,0,1\n", "got nan, 0.2 in .*, line 2"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path, text, said):
    with pytest.raises(ValueError, match=f"^path: .*{said}"):
        noise.load_transition(write(tmp_path, text))


def test_other_classes_and_absent_files_are_refused(tmp_path):
    path = write(tmp_path, TEXT)
    with pytest.raises(ValueError, match=r"^path: the 2 classes cat, dog; got no column for '=owl'"):
        noise.load_transition(path, class_names=["cat", "dog"])
    with pytest.raises(ValueError, match=r"^path: the 3 classes .*; got a column for 'dogs' .*did you mean 'dog'\?"):
        noise.load_transition(path, class_names=["cat", "dogs", "=owl"])
    with pytest.raises(ValueError, match=r"^path: a CSV file that can be read; got .*absent.csv"):
        noise.load_transition(tmp_path / "absent.csv")
