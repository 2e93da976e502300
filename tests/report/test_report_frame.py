"""What all pages share."""

import pytest

from softtargets.report.frame import code_spans


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the setting `images`, not `a`", "the setting <code>images</code>, not <code>a</code>"),
        ("`<b>` is escaped, <i> too", "<code>&lt;b&gt;</code> is escaped, &lt;i&gt; too"),
        ("one ` alone & two", "one ` alone &amp; two"),
        ("", ""),
    ],
)
def test_text_between_backticks_is_code_and_all_of_it_is_escaped(text: str, expected: str) -> None:
    assert code_spans(text) == expected
