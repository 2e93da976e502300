"""The pages of docs/methods match the docstrings, cover every public name, and their examples run."""

import doctest
import re
import tomllib
from typing import Any, overload

import coverage_table
import generate
import public_names
import pytest
from cards import CARDS, GROUPS, TOPICS, Method
from docstrings import HEADINGS, paragraphs, parse, section

import softtargets
from softtargets.data import DataSpec
from softtargets.models import MODELS
from softtargets.objectives import OBJECTIVES
from softtargets.runs.optimization import OptimizerSpec
from softtargets.runs.training import TrainingSpec

METHODS = generate.methods()


def test_every_docstring_is_complete() -> None:
    assert not generate.faults()


def test_pages_are_up_to_date() -> None:
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


# methods of these groups that no objective minimises
NOT_MINIMISED = {
    "binary-cross-entropy": "labels of several classes per example",
    "divergences-of-distillation": "language models on cached teachers, which train in other loops",
    "equivalent-smoothing": "a number that describes a teacher",
    "hidden-states": "an objective is given logits",
    "linear-cross-entropy": "cross entropy without the logits, which the loop computes",
    "smoothing-conventions": "names of settings",
    "temperature": "a fixed factor of the logits",
    "vocabulary-padding": "a student and its teacher have the same classes in a run",
    "vocabulary-parallel-cross-entropy": "classes that are divided among devices",
}


def test_every_objective_is_on_a_page_and_every_loss_has_an_objective() -> None:
    described = {slug for kind in OBJECTIVES.values() for slug in kind.pages}
    assert described <= METHODS.keys()
    assert all(kind.pages for kind in OBJECTIVES.values())
    rooms = ("losses.", "targets.", "distill.", "nn.")
    minimised = {slug for slug, method in METHODS.items() if not method.code or method.code[0].startswith(rooms)}
    assert minimised - described == NOT_MINIMISED.keys()
    page = generate.page(METHODS["decoupled-distillation"])
    assert '**In a specification:** `objective = { name = "distillation", loss = "dkd", temperature = 4.0 }`' in page


@pytest.mark.parametrize(
    ("name", "settings"), [(name, text) for name, kind in OBJECTIVES.items() for text in kind.pages.values()]
)
def test_what_a_page_says_of_a_specification_is_valid(name, settings) -> None:
    assert (
        OBJECTIVES[name].parse({"name": name, **tomllib.loads(f"settings = {{ {settings} }}")["settings"]}).name == name
    )


def test_the_page_of_objectives_has_every_field() -> None:
    page = generate.pages()["objectives.md"]
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert sections.keys() == OBJECTIVES.keys()
    for name, kind in OBJECTIVES.items():
        fields = re.findall(r"^\| `(\w+)` \|", sections[name], re.MULTILINE)
        assert fields == [field for field in kind.model_fields if field != "name"]
        assert (
            re.sub(r"[`\\]", "", sections[name])
            .strip()
            .startswith(f"{kind.__doc__}".partition("\n")[0].replace("`", ""))
        )
    for name, row in (
        ("mixup", "| `loss` | an objective | none |"),
        ("mixup", "| `per_example` | `true` or `false` | none |"),
        ("cutmix", "| `probability` | number at least 0 and at most 1 | `1.0` |"),
        ("distillation", '| `source` | `"runs"`, `"average"` | `"runs"` |'),
        ("forward", "| `transition` | table with a `name`: `symmetric`, `known`, `file`, `estimated` | none |"),
        ("votes", '| `aggregation` | `"shares"`, `"majority"` | `"shares"` |'),
        ("class_table", "| `table` | path or list of lists of numbers | required |"),
        ("class_weights", "| `weights` | list of numbers at least 0 | none |"),
        ("hierarchical_smoothing", "| `hierarchy` | path or tables | none |"),
        ("localized_smoothing", "| `width` | whole number at least 1 | `1` |"),
    ):
        assert row in sections[name]
    assert page.count("path or tables") == 1, "a field of another type is described too"


def test_the_page_of_specifications_has_every_table_and_field() -> None:
    page = generate.pages()["specification.md"]
    sections = dict(re.findall(r"^## (`\[[^\n]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    tables: dict[str, Any] = {
        "`[data]`": DataSpec,
        "`[training]`": TrainingSpec,
        "`[optimizer]`": OptimizerSpec,
        **{f'`[model]` with `name = "{name}"`': kind for name, kind in MODELS.items()},
    }
    for title, kind in tables.items():
        fields = re.findall(r"^\| `(\w+)` \|", sections[title], re.MULTILINE)
        assert fields == [field for field in kind.model_fields if "with" not in title or field != "name"], title
    assert "| `batch_size` | whole number above 0 and at most 2^20 | `128` |" in sections["`[training]`"]
    assert re.search(r"^\| `teachers` \| list of run specifications \| none \|$", page, re.MULTILINE)


def test_the_page_of_a_class_describes_its_methods() -> None:
    page = generate.reference(("nn.Loss",))
    assert "### `forward`\n\n```python\nforward(input, " in page
    assert "`normalizer`: " in page
    assert "extra_repr" not in page  # its docstring is inherited from torch


@overload
def overloaded(probs: int, *, bins: int = ..., **options: int) -> int: ...
@overload
def overloaded(*, logits: str, bins: int = ..., **options: int) -> str: ...
def overloaded(probs: Any = None, *, logits: Any = None, mask: Any = None, bins: Any = 15) -> Any:  # pyright: ignore
    return (probs, logits, mask, bins)


def test_a_signature_has_a_line_for_each_overload() -> None:
    assert generate.signature("f", overloaded).splitlines() == [
        "f(probs, *, bins=15, mask=None)",
        "f(*, logits, bins=15, mask=None)",
    ]
    assert generate.signature("fit", lambda self, logits, *, mask=None: None) == "fit(logits, *, mask=None)"


def test_a_function_and_its_class_share_a_page() -> None:
    assert generate.references()["metrics-smooth-ece"] == ("metrics.smooth_ece", "metrics.SmoothECE")
    assert public_names.slug_of_name("distill.CacheSource") == "distill-cache-source"
    assert public_names.slug_of_name("integrations.torchmetrics.ECEMetric") == "integrations-torchmetrics-ece-metric"


def test_a_docstring_with_references_is_a_method_without_a_card() -> None:
    doc = parse(
        "losses.f", COMPLETE.replace("Say what it computes, in one line.", "Some loss: what it computes.") + FACTS
    )
    assert public_names._described("losses.f", doc) == Method(
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


def test_every_method_has_a_group_and_every_group_a_module() -> None:
    assert {generate.group_of(method) for method in METHODS.values()} <= set(GROUPS)
    modules = {thing.__module__ for thing in generate.public().values()}
    for prefix in (prefix for prefixes in GROUPS.values() for prefix in prefixes):
        assert any(f"{module}.".startswith(f"softtargets.{prefix}.") for module in modules), f"no name in {prefix}"
    index = generate.index()
    assert all(f"## {title}\n" in index and f"(#{generate.slug_of(title)})" in index for title in generate.groups())


def test_a_method_of_any_room_has_a_group() -> None:
    for room in generate.ROOMS:
        name = next(name for name in generate.public() if name.startswith(f"{room}."))
        assert generate.group_of(Method("", "", (name,))) in GROUPS


def test_invalid_titles_and_topics_are_reported(monkeypatch) -> None:
    made = {"losses.focal_loss": Method("What focal computes.", "", ("losses.focal_loss",), topics=("soft label",))}
    monkeypatch.setattr(
        generate, "described", lambda: {**made, "losses.peer_loss": Method("CutMix", "", ("losses.peer_loss",))}
    )
    monkeypatch.setattr(generate, "methods", lambda: {"focal": made["losses.focal_loss"]})
    monkeypatch.setattr(generate, "references", dict)
    monkeypatch.setattr(
        generate,
        "doc_of",
        lambda name: parse(name, COMPLETE.replace("Say what it computes, in one line.", "What focal computes.")),
    )
    assert generate.faults() == [
        "losses.focal_loss: the docstring must start with 'Title: what it computes.' and a unique title; add it",
        "losses.peer_loss: the docstring must start with 'Title: what it computes.' and a unique title; add it",
        "focal: topics must be keys of cards.TOPICS; got soft label; correct them",
    ]


def test_the_index_links_every_method_to_its_page_and_code() -> None:
    rows = generate.index().splitlines()
    for slug, method in METHODS.items():
        (row,) = (row for row in rows if row.startswith(f"| [{method.title}]({slug}.md)"))
        assert all(generate.code_link(name) in row for name in method.code)
        assert all(name in row for name in method.also)


def test_every_topic_is_used() -> None:
    assert {topic for method in METHODS.values() for topic in method.topics} == set(TOPICS)


def text_of(page: str) -> str:
    return (generate.PAGES / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README", *METHODS, *generate.references()])
def test_links_exist(page: str) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL))
    assert targets
    for target in targets:
        assert target.startswith("#") or (generate.PAGES / target).exists(), target


# negative smoothing warns that its loss is unbounded
@pytest.mark.filterwarnings("ignore:smoothing.*is negative:UserWarning")
@pytest.mark.parametrize("slug", [*METHODS, *generate.references()])
def test_examples_run_when_pasted(slug: str) -> None:
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


def test_a_docstring_is_parsed_and_rendered() -> None:
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
def test_a_missing_section_is_reported(part: str) -> None:
    doc = parse("losses.f", re.sub(rf"^{part}:\n(    .*\n)+", "", COMPLETE, flags=re.MULTILINE))
    assert generate.lacks("losses.f", doc, is_function=True) == [f"{part}:"]


def test_a_missing_formula_and_an_unknown_section_are_reported() -> None:
    doc = parse("losses.f", COMPLETE.replace("    -log(p)        # Author 2020, Eq. 1\n\n", ""))
    assert generate.lacks("losses.f", doc, is_function=True) == ["a formula after the first line"]
    with pytest.raises(
        ValueError, match=r"^losses\.f: a docstring with the sections .*; got 'Complexities:'; rename it$"
    ):
        parse("losses.f", COMPLETE.replace("Complexity:", "Complexities:"))


def test_lists_and_references_keep_their_markdown() -> None:
    assert list(paragraphs(["- one *a* b\n  more.\n- two"])) == ["- one *a* b more.\n- two"]
    assert list(paragraphs(["a: x = 1\nb: x = 2", "A sentence."])) == [
        "```text\na: x = 1\nb: x = 2\n```",
        "A sentence.",
    ]
    assert (
        section("References", "Author 2020, *A Long\nTitle*, ICML")
        == "**References:** Author 2020, *A Long Title*, ICML"
    )


def test_the_order_of_the_sections() -> None:
    assert list(HEADINGS)[-6:] == ["Notes", "When to use", "Limitations", "Complexity", "References", "Example"]
    page = generate.page(generate.described()["losses.focal_loss"])
    shown = re.findall(r"^\*\*([\w ]+):\*\*", page[page.index("\n## ") :], re.MULTILINE)
    assert shown == [heading for heading in HEADINGS.values() if heading in shown]


def test_an_example_gets_the_imports_it_needs() -> None:
    example = generate.with_imports(">>> losses.focal_loss(torch.zeros(1, 2), hard, gamma=math.e)", "targets")
    assert example.splitlines()[:-1] == [
        ">>> import math",
        ">>> import torch",
        ">>> from softtargets import losses",
        ">>> from softtargets.targets import hard",
    ]


def test_the_generator_lists_what_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(generate, "doc_of", lambda name: parse(name, "Only a line."))
    with pytest.raises(ValueError, match=r"losses\.cross_entropy: .*; it lacks .*Complexity:.*; add it"):
        generate.pages()


def test_check_reports_stale_pages_and_writing_updates_them(monkeypatch, tmp_path, capsys) -> None:
    readme, whole = tmp_path / "README.md", generate.README.read_text(encoding="utf-8")
    begin, end = whole.index("| of | item"), whole.index(coverage_table.END)
    readme.write_text(whole[:begin] + whole[end:], encoding="utf-8")
    monkeypatch.setattr(generate, "README", readme)
    tmp_path = tmp_path / "methods"
    tmp_path.mkdir()
    monkeypatch.setattr(generate, "PAGES", tmp_path)
    monkeypatch.setattr(generate, "pages", lambda: {"a.md": "new", "b.md": "same"})
    for name in ("b.md", "stray.md"):
        (tmp_path / name).write_text("same")
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit, match=r"out of date: a\.md, stray\.md, the README's table; run `make docs`"):
        generate.main()
    monkeypatch.setattr("sys.argv", ["generate.py"])
    generate.main()
    assert capsys.readouterr().out == "docs/methods: 2 pages, 2 changed\n"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.md": "new", "b.md": "same"}
    assert readme.read_text(encoding="utf-8") == whole
