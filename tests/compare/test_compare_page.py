"""The page of a comparison and its files: numbers, escaping, determinism, and what fits on a screen."""

import json
from pathlib import Path

import pytest
from compare.result_examples import HOSTILE, make
from pages import Reader, words_of

from softtargets.compare.figures import _calibration
from softtargets.compare.page import page_files, write_page


@pytest.fixture(scope="module")
def built() -> dict[str, bytes]:
    return page_files(make())


def test_the_page_begins_with_the_recommendation_and_says_what_a_reader_must_know(built):
    text = words_of(built["index.html"])
    assert text.index("Use label smoothing 0.1: 1.30 points better.") < text.index("Accuracy, %")
    for said in (
        "Which method for my table?",
        "3,000 train, 700 validation, 900 test",
        "12.0 % of the labels, range 9.0 % to 14.0 %",
        "Another sentence.",
        "Means over 5 repetitions on 900 test rows",
        "82.53 +1.30 (+0.90 to +1.70)",
        "recommended",
        "1.50 to 2.25",
        "CutMix It needs images.",
        "Label smoothing 0.1 other",
        "chosen",
        "The protocol.",
        "A limit.",
        "softtargets compare table.csv",
        "took 1 min 24 s of training in total",
        'name = "mlp"',
        "The probability of any wrong recommendation is at most 5 %",
    ):
        assert said in text, said


def test_numbers_on_the_page_are_those_of_the_results(built):
    shown, results = Reader(built["index.html"].decode()).values, make()
    for method in results.methods:
        assert set(method.values.values()) <= shown
        assert method.cost in shown


def test_a_note_on_noisy_labels_is_at_the_top_if_labels_are_noisy(built):
    noisy = words_of(page_files(make(noisy=True))["index.html"])
    assert noisy.count("Of noise.") == 2
    assert noisy.index("Of noise.") < noisy.index("Means over")
    assert words_of(built["index.html"]).count("Of noise.") == 1


def test_nothing_better_is_the_headline():
    text = words_of(page_files(make(better=False))["index.html"])
    assert "Use cross entropy: no method is better." in text
    assert "recommended " not in text.split("Accuracy, %")[1].split("A method is recommended")[0]


def test_equal_results_give_equal_files(built):
    assert page_files(make()) == built


def test_files_hold_the_specification_and_all_numbers(built):
    assert built["recommended.toml"].decode() == make().specification
    kept = json.loads(built["compare.json"])
    assert [method["values"] for method in kept["methods"]] == [dict(method.values) for method in make().methods]
    assert kept["skipped"] == [{"name": "cutmix", "label": "CutMix", "reason": "it needs images"}]


def test_names_of_the_user_are_text_and_never_markup():
    html = page_files(make(hostile=True))["index.html"]
    reader = Reader(html.decode())
    assert not [one for one in reader.attributes if one[1].startswith("on")]
    assert HOSTILE in reader.text
    assert b"<img src=x onerror" not in html


def test_nothing_on_the_page_leads_to_a_request(built):
    for tag, name, value in Reader(built["index.html"].decode()).attributes:
        if name in ("src", "href", "srcset", "poster", "action") and not str(value).startswith("#"):
            assert str(value).startswith("data:"), (tag, name, value)


@pytest.mark.browser
@pytest.mark.parametrize("methods", [3, 13])
def test_the_page_fits_screens_and_draws_its_charts(tmp_path: Path, check_page, methods):
    check_page(write_page(make(methods=methods), tmp_path))


@pytest.mark.parametrize("values", [(0.0830, 0.0838), (0.001, 0.002), (0.05, 0.05), (0.05, 0.4)])
def test_the_axis_of_ece_does_not_magnify_small_differences(values):
    low, high = _calibration([{"x": value} for value in values])
    assert 0 <= low <= min(values) <= max(values) < high
    assert high - low > max(0.01, max(values) - min(values))
