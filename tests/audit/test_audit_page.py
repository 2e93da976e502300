"""The page of an audit and its files: numbers, pictures, escaping, determinism, and what fits on a screen."""

from dataclasses import replace

import pytest
import torch
from audit.audit_examples import HOSTILE, make, named, ranked
from pages import Reader, words_of

from softtargets.audit.page import page_files, write_page
from softtargets.audit.results import ExamplePreview, IntervalEstimate, RankCutoff

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def built() -> dict[str, bytes]:
    return page_files(make())


def test_numbers_on_the_page_are_those_of_the_results(built):
    results, shown = make(), Reader(built["index.html"].decode()).values
    assert set(results.noise.estimate.transition.to_dense().flatten().tolist()) <= shown
    assert results.noise.reference is not None
    assert set(results.noise.reference.transition.to_dense().flatten().tolist()) <= shown
    assert {estimate.noise_rate for estimate in results.noise.estimates} <= shown
    assert {0.01, 0.02, 0.03, 0.9312, 0.875, 0.5, 41.0} <= shown
    # on the page stand the cuts that are round and the last
    assert {0.9 * first for first in (10, 20, 50, 100, 1000)} <= shown
    assert not {0.9, 0.9 * 64} & shown


def test_the_page_says_what_a_reader_must_know(built):
    text = words_of(built["index.html"])
    for said in (
        "15.0 % estimated wrong",
        "range 14.0 % to 17.0 %",
        "estimated accuracy on clean labels is 92.5 %",
        "Anchors: labels of the most confident predictions of each class",
        "70 suspects",
        "Compare corrections.",
        "The reason.",
        "According to the reference labels, 12.3 % are wrong",
        "The first 50 of 70 are shown",
        "10 more suspects",
        "They must be held out",
        "class 0 → class 1",
        "over 99 % likely wrong",
        "wrong according to the reference",
        "right according to the reference",
        "above 10,000",
        "Rows are counted from 0 without a header, in the order of the predictions.",
        "Number of wrong labels",
        "The estimate is often too high for the first labels, because the model is over-confident there.",
        "The rule.",
        "A note.",
        "softtargets audit --predictions held.npz",
    ):
        assert said in text, said


def test_without_a_reference_nothing_is_judged():
    text = words_of(page_files(make(judged=False))["index.html"])
    for said in ("to the reference", "AUROC", "istance"):
        assert said not in text, said
    assert "5 models were trained (a model, 8 epochs)" in text


def test_none_of_the_suspects_shown_is_said():
    text = words_of(page_files(ranked(make(), previews=()))["index.html"])
    assert "None of the 70 is shown; suspects.csv" in text
    assert "the first 0" not in text


def test_a_prediction_that_knows_nothing_is_the_headline():
    results = make()
    advice = replace(results.recommendation, action="get better predictions")
    text = words_of(page_files(replace(results, recommendation=advice))["index.html"])
    assert "No finding · the held-out predictions are not significantly better than guessing" in text
    assert "15.0 % estimated wrong" not in text
    assert "No finding" not in words_of(page_files(results)["index.html"])


def test_a_rate_that_cannot_be_told_is_the_headline():
    results = make()
    html = page_files(replace(results, noise=replace(results.noise, told=False)))["index.html"]
    text = words_of(html)
    assert b'<span class="tally inconclusive"><b>The noise rate cannot be told' in html
    assert "The noise rate cannot be told · between 14.0 % and 17.0 % are wrong" in text
    assert "about 200 labels that are checked by hand, can show it" in text
    assert "15.0 % estimated wrong" not in text


def test_classes_that_the_heat_map_leaves_out_are_said():
    text = words_of(page_files(make(classes=80))["index.html"])
    assert "Only the 30 classes with the most estimated errors are shown" in text


def test_equal_results_give_equal_files(built):
    assert page_files(make()) == built


@pytest.mark.parametrize(
    "preview", [ExamplePreview(text=f"a text {HOSTILE}"), ExamplePreview(PIXEL, 1), ExamplePreview()]
)
def test_names_and_texts_of_the_user_are_text_and_never_markup(preview):
    for judged in (True, False):
        html = page_files(make(hostile=True, judged=judged, preview=preview))["index.html"].decode()
        reader = Reader(html)
        assert not [a for a in reader.attributes if a[1].startswith("on")]
        sources = [str(value) for tag, name, value in reader.attributes if tag == "img" and name == "src"]
        assert all(source.startswith("data:image/") for source in sources)
        assert HOSTILE in reader.text
        assert HOSTILE not in html.replace("&lt;", "").replace("&gt;", "")


def test_suspects_are_shown_as_what_they_are():
    def page(preview: ExamplePreview) -> str:
        return page_files(make(preview=preview))["index.html"].decode()

    small, large = page(ExamplePreview(PIXEL, 64)), page(ExamplePreview(PIXEL, 65))
    assert small.count('class="pixels"') == 50
    assert large.count("data:image/png;base64,") == 50
    assert 'class="pixels"' not in large
    assert 'alt="Row 7, labelled class 1"' in small
    assert page(ExamplePreview(text="a text")).count("<blockquote>a text</blockquote>") == 50
    assert page(ExamplePreview(numbers=(0.5, -2.0))).count("0.5 · -2") == 50


def test_nothing_on_the_page_leads_to_a_request(built):
    reader = Reader(built["index.html"].decode())
    for tag, name, value in reader.attributes:
        if name in ("src", "href", "srcset", "poster", "action") and not str(value).startswith("#"):
            assert str(value).startswith("data:"), (tag, name, value)


@pytest.mark.browser
def test_labels_without_noise_have_a_page_too(tmp_path, check_page):
    results = make(judged=False)
    cutoffs = tuple(RankCutoff(cutoff.first, IntervalEstimate(0.0, 0.0, 0.0)) for cutoff in results.ranking.cutoffs)
    check_page(
        write_page(
            replace(
                ranked(results, cutoffs=cutoffs), noise=replace(results.noise, rate=IntervalEstimate(0.0, 0.0, 0.0))
            ),
            tmp_path,
        )
    )


def test_files_are_replaced_and_others_are_left_alone(tmp_path, built):
    (tmp_path / "mine.txt").write_text("mine")
    page = write_page(make(judged=False), tmp_path)
    write_page(make(), tmp_path)
    assert page == tmp_path / "index.html"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "mine.txt"} == built
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_no_suspect_is_said():
    results = make()
    none = {name: values[:0] for name, values in results.ranking.suspects.scores.items()}
    empty = torch.zeros(0, dtype=torch.int64)
    nobody = replace(
        results.ranking.suspects, rows=empty, given=empty, suggested=empty, wrong=torch.zeros(0), scores=none
    )
    nobody = replace(nobody, reference=empty)
    files = page_files(
        replace(ranked(results, suspects=nobody, previews=()), noise=replace(results.noise, confusions=()))
    )
    text = words_of(files["index.html"])
    assert "No suspects: less than half a wrong label is expected" in text
    assert "No confused classes were found." in text
    assert len(files["suspects.csv"].decode().splitlines()) == 1


@pytest.mark.browser
def test_the_page_without_a_finding_fits(tmp_path, check_page):
    results = make()
    advice = replace(results.recommendation, action="get better predictions")
    check_page(write_page(replace(results, recommendation=advice), tmp_path))


@pytest.mark.browser
@pytest.mark.parametrize(
    "preview",
    [ExamplePreview(PIXEL, 1), ExamplePreview(text="A text without end " * 40), ExamplePreview(numbers=(0.125,) * 8)],
)
def test_the_page_fits_screens_and_paper(tmp_path, check_page, preview):
    check_page(write_page(make(preview=preview), tmp_path / "few"))


@pytest.mark.browser
def test_the_page_of_many_classes_with_long_names_fits(tmp_path, check_page):
    results = make(classes=80, preview=ExamplePreview(text="Unbroken" * 60))
    names = tuple(f"{'very_long_' * 6}{k}" for k in range(80))
    check_page(write_page(named(results, names), tmp_path / "many"))
