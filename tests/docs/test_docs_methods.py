"""The pages of docs/methods say what the docstrings say, name every method, and what is on them runs."""

import doctest
import re

import generate
import pytest
from cards import CARDS, GROUPS, TOPICS, Method
from docstrings import parse, section

import softtargets

METHODS = generate.methods()


def test_every_docstring_of_a_method_is_complete() -> None:
    assert not generate.faults()


def test_pages_are_what_the_docstrings_make() -> None:
    assert not generate.out_of_date(generate.pages()), "run `make docs`"


def test_every_public_name_of_every_room_has_a_page() -> None:
    pages = generate.pages()
    described = {name for method in METHODS.values() for name in method.code}
    referenced = [name for names in generate.references().values() for name in names]
    assert len(referenced) == len(set(referenced))
    assert described | set(referenced) == set(generate.public())
    assert {name.split(".")[0] for name in generate.public()} == {*softtargets.__all__} - {"synchronising_checks"}
    for slug, names in generate.references().items():
        assert all(f"## `{name}`" in pages[f"{slug}.md"] for name in names)
        assert f"]({slug}.md)" in pages["README.md"]


def test_the_page_of_a_class_shows_its_methods_in_full() -> None:
    page = generate.reference(("nn.Loss",))
    assert "### `forward(logits, " in page
    assert "`normalizer`: " in page


def test_a_docstring_with_references_is_a_method_without_a_card() -> None:
    doc = parse(
        "losses.f", COMPLETE.replace("Say what it computes, in one line.", "Some loss: what it computes.") + FACTS
    )
    assert generate._described("losses.f", doc) == Method(
        title="Some loss",
        source="Author 2020, *A Title: With a Colon*, NeurIPS",
        code=("losses.f",),
        also=("SL", "L loss, in short"),
        topics=("soft labels", "many classes"),
    )
    assert generate.slug_of("Label smoothing of Zipf & co.") == "label-smoothing-of-zipf-co"
    assert set(generate.described()) == {
        name for (name,) in (m.code for m in METHODS.values() if m not in CARDS.values())
    }


def test_every_group_has_a_method_and_every_method_a_group() -> None:
    assert {generate.group_of(method) for method in METHODS.values()} == set(GROUPS)
    modules = {generate.public()[name].__module__ for method in METHODS.values() for name in method.code}
    for prefix in (prefix for prefixes in GROUPS.values() for prefix in prefixes):
        assert any(f"{module}.".startswith(f"softtargets.{prefix}.") for module in modules), f"no method in {prefix}"


def test_titles_and_topics_that_do_not_fit_are_named(monkeypatch) -> None:
    made = {"losses.focal_loss": Method("What focal computes.", "", ("losses.focal_loss",), topics=("soft label",))}
    monkeypatch.setattr(
        generate, "described", lambda: {**made, "losses.peer_loss": Method("CutMix", "", ("losses.peer_loss",))}
    )
    monkeypatch.setattr(generate, "methods", lambda: {"focal": made["losses.focal_loss"]})
    monkeypatch.setattr(
        generate,
        "doc_of",
        lambda name: parse(name, COMPLETE.replace("Say what it computes, in one line.", "What focal computes.")),
    )
    assert generate.faults() == [
        "losses.focal_loss: a first line 'Title: what it computes.' with a title of its own; write it there",
        "losses.peer_loss: a first line 'Title: what it computes.' with a title of its own; write it there",
        "focal: topics of cards.TOPICS; got soft label; correct them",
    ]


def test_the_index_leads_from_a_name_to_its_code() -> None:
    """One row for each method, which links its page and the file of each function."""
    rows = generate.index().splitlines()
    for slug, method in METHODS.items():
        (row,) = (row for row in rows if row.startswith(f"| [{method.title}]({slug}.md)"))
        assert all(generate.code_link(name) in row for name in method.code)
        assert all(name in row for name in method.also)


def test_every_question_has_an_answer_and_every_answer_a_question() -> None:
    assert {topic for method in METHODS.values() for topic in method.topics} == set(TOPICS)


def text_of(page: str) -> str:
    return (generate.PAGES / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README", *METHODS, *generate.references()])
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL))
    assert targets
    for target in targets:
        assert (generate.PAGES / target).exists(), target


# negative smoothing says of itself that it is unbounded
@pytest.mark.filterwarnings("ignore:smoothing.*is negative:UserWarning")
@pytest.mark.parametrize("slug", [*METHODS, *generate.references()])
def test_examples_run_as_they_are_pasted(slug: str) -> None:
    blocks = re.findall(r"```pycon\n(.*?)```", text_of(slug), re.DOTALL)
    assert blocks or slug not in METHODS
    for block in blocks:
        example = doctest.DocTestParser().get_doctest(block, {}, slug, None, None)
        report: list[str] = []
        assert not doctest.DocTestRunner().run(example, out=report.append).failed, "".join(report)


COMPLETE = """Say what it computes, in one line.

    -log(p)        # Author 2020, Eq. 1

Further words.

Args:
    logits: (N, K) float,
        and more of it.
    a, b: numbers.

Returns:
    (N,) nats.

Special cases:
    a=0 gives this; a=1 gives
    that.
    b=0 gives nothing.

Notes:
    ``a`` is *their* alpha * 2.

Complexity:
    O(N K).

When to use:
    always.

Limitations:
    nothing.

Example:
    >>> 1 + 1
    2
"""

FACTS = """
Aliases:
    SL; L loss, in short

Topics:
    soft labels, many classes

References:
    Author 2020, *A Title: With a
    Colon*, NeurIPS
"""


def test_a_docstring_in_its_parts() -> None:
    doc = parse("losses.f", COMPLETE)
    assert doc.summary == "Say what it computes, in one line."
    assert doc.formula == "-log(p)        # Author 2020, Eq. 1"
    assert doc.paragraphs == ["Further words."]
    assert not generate.lacks("losses.f", doc, is_function=True)
    assert section("Special cases", doc.sections["Special cases"]) == (
        "**Special cases:**\n\n- a=0 gives this\n- a=1 gives that\n- b=0 gives nothing"
    )
    assert section("Notes", doc.sections["Notes"]) == r"**Notes:** `a` is *their* alpha \* 2."
    assert section("Args", doc.sections["Args"]).endswith(
        "- `logits`: (N, K) float, and more of it.\n- `a`, `b`: numbers."
    )


@pytest.mark.parametrize(
    "part", ["Args", "Returns", "Special cases", "Notes", "Complexity", "When to use", "Limitations", "Example"]
)
def test_a_missing_section_is_named(part: str) -> None:
    doc = parse("losses.f", re.sub(rf"^{part}:\n(    .*\n)+", "", COMPLETE, flags=re.MULTILINE))
    assert generate.lacks("losses.f", doc, is_function=True) == [f"{part}:"]


def test_a_missing_formula_and_an_unknown_section_are_named() -> None:
    doc = parse("losses.f", COMPLETE.replace("    -log(p)        # Author 2020, Eq. 1\n\n", ""))
    assert generate.lacks("losses.f", doc, is_function=True) == ["a formula after the first line"]
    with pytest.raises(ValueError, match=r"^losses\.f: docstring sections .*; got 'Complexities:'; rename it$"):
        parse("losses.f", COMPLETE.replace("Complexity:", "Complexities:"))


def test_the_generator_says_what_to_write(monkeypatch) -> None:
    monkeypatch.setattr(generate, "doc_of", lambda name: parse(name, "Only a line."))
    with pytest.raises(ValueError, match=r"losses\.cross_entropy: .*; lacks .*Complexity:.*; write it there"):
        generate.pages()


def test_check_names_stale_pages_and_writing_mends_them(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(generate, "PAGES", tmp_path)
    monkeypatch.setattr(generate, "pages", lambda: {"a.md": "new", "b.md": "same"})
    for name in ("b.md", "stray.md"):
        (tmp_path / name).write_text("same")
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit, match=r"out of date: a\.md, stray\.md; run `make docs`"):
        generate.main()
    monkeypatch.setattr("sys.argv", ["generate.py"])
    generate.main()
    assert capsys.readouterr().out == "docs/methods: 2 pages, 2 changed\n"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.md": "new", "b.md": "same"}
