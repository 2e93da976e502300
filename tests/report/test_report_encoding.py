"""Names and paths as text that a terminal, a page and a JSON file can hold."""

import pytest

from softtargets.report.encoding import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain → é 猫 👩‍🔬.npz", "plain → é 猫 👩‍🔬.npz"),
        ("a\x1b[31mred\x1b[0m", r"a\x1b[31mred\x1b[0m"),
        ("two\nlines\tand\rmore", r"two\nlines\tand\rmore"),
        ("c1\x9b2J\x7f", r"c1\x9b2J\x7f"),
        ("byte\udce9", r"byte\udce9"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown
    printable(name).encode()
