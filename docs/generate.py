"""Make the pages of docs/methods from the docstrings and from cards.py: `make docs`.

A public name whose docstring has a References section is a method: its page is named after its title and says what the
method is for. Every other public name has a page of its reference. Neither is listed anywhere by hand.

With --check nothing is written; pages that are out of date are named and the exit code is 1.
"""

import ast
import builtins
import doctest
import importlib
import inspect
import os
import re
import sys
import textwrap
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from cards import CARDS, GROUPS, NO_END_POINTS, TOPICS, Method
from docstrings import FACTS, HEADINGS, Doc, fence, paragraphs, parse, prose, section

from softtargets import integrations
from softtargets._errors import fail

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "methods"
ROOMS = ("targets", "losses", "distill", "nn", "noise", "metrics", "calibration", "analysis", "matrices")
MADE = "<!-- Made by `make docs` from the docstrings and docs/cards.py: change those. -->\n"
REQUIRED = ("Args", "Special cases", "Notes", "Complexity", "When to use", "Limitations")


@cache
def public() -> dict[str, Any]:
    """Every public name of the rooms, as `room.name`."""
    rooms = {room: importlib.import_module(f"softtargets.{room}") for room in ROOMS}
    places = ((room, name, getattr(module, name)) for room, module in rooms.items() for name in module.__all__)
    # a name that a room passes on from another has its page in the room that defines it
    own = {f"{room}.{name}": thing for room, name, thing in places if thing.__module__.split(".")[1] == room}
    modules = [importlib.import_module(f"softtargets.integrations.{name}") for name in integrations.__all__]
    found = {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in module.__all__}
    return own | {name.removeprefix("softtargets."): thing for name, thing in found.items()}


@cache
def doc_of(name: str) -> Doc:
    return parse(name, inspect.getdoc(public()[name]) or "")


@cache
def described() -> dict[str, Method]:
    """Return the methods that a docstring describes, by public name; the title is the first line up to its colon."""
    return {name: _described(name, doc_of(name)) for name in public() if "References" in doc_of(name).sections}


def _described(name: str, doc: Doc) -> Method:
    also, topics, source = (" ".join(doc.sections.get(part, "").split()).removesuffix(".") for part in FACTS)
    return Method(
        title=doc.summary.partition(":")[0],
        source=source,
        code=(name,),
        also=tuple(filter(None, also.split("; "))),
        topics=tuple(filter(None, topics.split(", "))),
    )


# sections of a docstring that a card may say itself -> its field
CARD_FIELDS = {"When to use": "when", "Limitations": "limitations"}


@cache
def methods() -> dict[str, Method]:
    """Return every method, by the name of its page, in the order of their titles."""
    found = {**{slug_of(method.title): method for method in described().values()}, **CARDS}
    return dict(sorted(found.items(), key=lambda item: item[1].title.lower()))


@cache
def references() -> dict[str, tuple[str, ...]]:
    """Return the names that no method's page describes, by the name of their page: a function beside its class."""
    of_methods = {name for method in methods().values() for name in method.code}
    pages: dict[str, list[str]] = {}
    for name in sorted(set(public()) - of_methods, key=lambda name: (name.replace("_", "").lower(), name.isupper())):
        pages.setdefault(name.replace("_", "").lower(), []).append(name)
    return {
        slug_of(max(names, key=lambda name: (name.count("_"), name.islower()))): tuple(names)
        for names in pages.values()
    }


def slug_of(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def group_of(method: Method) -> str:
    """Return the heading under which the index lists a method: that of its module, by the longest prefix."""
    if not method.code:
        return method.group
    module = public()[method.code[0]].__module__.removeprefix("softtargets.")
    fitting = {prefix: title for title, prefixes in GROUPS.items() for prefix in prefixes}
    return fitting[max((prefix for prefix in fitting if f"{module}.".startswith(f"{prefix}.")), key=len)]


def source_of(name: str) -> Path:
    return Path(inspect.getfile(public()[name]))


def tests_of(name: str) -> Path:
    """The file of tests that mirrors the source of a name."""
    place = source_of(name).relative_to(ROOT / "src" / "softtargets").with_suffix("")
    return ROOT / "tests" / place.parts[0] / f"test_{'_'.join(part.strip('_') for part in place.parts)}.py"


def lacks(name: str, doc: Doc, *, is_function: bool, has_example: bool = False) -> list[str]:
    """List what the docstring of a method must say and does not; a table may take the formula's place."""
    shows = doc.formula or any(paragraph.startswith(" ") for paragraph in doc.paragraphs)
    needed = [part for part in REQUIRED if not (part == "Special cases" and name in NO_END_POINTS)]
    needed += ["Returns"] * is_function + ["Example"] * (is_function and not has_example)
    return ["a formula after the first line"] * (not shows) + [
        f"{part}:" for part in needed if not doc.sections.get(part)
    ]


def faults() -> list[str]:
    """Say what the pages cannot be made for want of, one sentence each."""
    found = []
    for name, method in described().items():
        if method.title == doc_of(name).summary or slug_of(method.title) in CARDS:
            found.append(f"{name}: a first line 'Title: what it computes.' with a title of its own; write it there")
    for slug, method in methods().items():
        if unknown := set(method.topics) - TOPICS.keys():
            found.append(f"{slug}: topics of cards.TOPICS; got {', '.join(sorted(unknown))}; correct them")
        if not method.code and not (method.formula and method.when and method.limitations and method.example):
            found.append(
                f"{slug}: formula, when, limitations and example where it has no code; complete it in cards.py"
            )
        for name in method.code:
            if name not in public():
                found.append(f"{name}: a public name, for the method '{slug}'; got no such name; fix cards.py")
                continue
            example, is_function = bool(method.example), inspect.isfunction(public()[name])
            if wanting := lacks(name, doc_of(name), is_function=is_function, has_example=example):
                found.append(f"{name}: all that a method's docstring says; lacks {', '.join(wanting)}; write it there")
            if not tests_of(name).exists():
                found.append(f"{name}: tests in {tests_of(name).relative_to(ROOT)}; got no such file; write them")
    for name in (name for names in references().values() for name in names):
        needed = ("Args", "Returns", "Raises", "Example") if inspect.isfunction(public()[name]) else ()
        if wanting := [part for part in needed if not doc_of(name).sections.get(part)]:
            found.append(f"{name}: a docstring with {', '.join(wanting)}; write it there")
    return list(dict.fromkeys(found))


def link(text: str, path: Path) -> str:
    return f"[{text}]({Path(os.path.relpath(path, PAGES)).as_posix()})"


def code_link(name: str) -> str:
    return link(f"`{name}`", source_of(name))


def arguments(function: Any) -> str:
    plain = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in plain.parameters.values() if p.name != "self"]
    text = str(plain.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<function (\w+) at \w+>", r"\1", text)


def signature(name: str) -> str:
    text = f"{name}{arguments(public()[name])}"
    return textwrap.fill(text, 100, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def with_imports(example: str, room: str) -> str:
    """Put the imports that an example needs before it, so that it runs as it is pasted."""
    tree = ast.parse("".join(part.source for part in doctest.DocTestParser().get_examples(example)))
    nodes = list(ast.walk(tree))
    loaded = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {alias.asname or alias.name for node in nodes for alias in getattr(node, "names", [])}
    rooms, names = [], {}
    for used in sorted(loaded - bound - {"torch", *dir(builtins)}):
        home = next((home for home in (room, *ROOMS) if f"{home}.{used}" in public()), None)
        if used in ROOMS:
            rooms.append(used)
        elif home is not None:
            names.setdefault(home, []).append(used)
        else:
            raise fail("Example", "public names, or what it imports", f"'{used}' in {example!r}", "import it there")
    lines = ["import torch"] * ("torch" in loaded - bound)
    lines += [f"from softtargets import {', '.join(rooms)}"] * bool(rooms)
    lines += [f"from softtargets.{home} import {', '.join(found)}" for home, found in sorted(names.items())]
    return "\n".join([*(f">>> {line}" for line in lines), example])


def block(name: str, method: Method) -> str:
    """What the docstring of one name says; what the card says of the method itself is not said again."""
    doc = doc_of(name)
    parts = [f"## `{name}`", fence(signature(name), "python"), prose(doc.summary)]
    parts += [fence(doc.formula)] * bool(doc.formula)
    parts += paragraphs(doc.paragraphs)
    for part in HEADINGS:
        if part in doc.sections and not (getattr(method, CARD_FIELDS.get(part, ""), "")):
            body = doc.sections[part]
            parts.append(section(part, with_imports(body, name.split(".")[0]) if part == "Example" else body))
    return "\n\n".join([*parts, *(member(name, *found) for found in members(name))])


def members(name: str) -> list[tuple[str, Any]]:
    """Return the documented public methods and properties of a class and of its bases in this package."""
    thing = public()[name]
    if not inspect.isclass(thing):
        return []
    found: dict[str, Any] = {}
    for base in reversed([base for base in thing.__mro__ if base.__module__.startswith("softtargets.")]):
        found |= {key: value for key, value in vars(base).items() if not key.startswith("_")}
    functions = (property, classmethod, staticmethod, cached_property)
    return [
        (k, v) for k, v in found.items() if (inspect.isfunction(v) or isinstance(v, functions)) and inspect.getdoc(v)
    ]


def member(name: str, key: str, value: Any) -> str:
    """Return what the docstring of one method or property says."""
    doc = parse(f"{name}.{key}", inspect.getdoc(value) or "")
    called = "" if isinstance(value, property | cached_property) else arguments(getattr(value, "__func__", value))
    parts = [f"### `{key}{called}`", prose(doc.summary)]
    parts += [fence(doc.formula)] * bool(doc.formula)
    parts += paragraphs(doc.paragraphs)
    for part, body in doc.sections.items():
        parts.append(section(part, with_imports(body, name.split(".")[0]) if part == "Example" else body))
    return "\n\n".join(parts)


def reference(names: tuple[str, ...]) -> str:
    """Return the page of the names that are no method by themselves."""
    tests = sorted({tests_of(name) for name in names if tests_of(name).exists()})
    facts = [f"**Code:** {', '.join(map(code_link, names))}"]
    facts += [f"**Tests:** {', '.join(link(f'`{path.name}`', path) for path in tests)}"] * bool(tests)
    also = "; ".join(text for name in names if (text := doc_of(name).sections.get("Aliases")))
    parts = [f"{MADE}# {' and '.join(f'`{name}`' for name in names)}"]
    parts += [f"Also: {prose(also).replace(';', ',')}."] * bool(also)
    parts += ["  \n".join(facts), *(block(name, Method("", "")) for name in names)]
    return "\n\n".join([*parts, "[All methods](README.md)"]) + "\n"


def page(method: Method) -> str:
    tests = sorted({tests_of(name) for name in method.code})
    facts = {
        "Source": method.source,
        "Code": ", ".join(map(code_link, method.code)),
        "As this method": method.settings,
        "Tests": ", ".join(link(f"`{path.name}`", path) for path in tests),
    }
    parts = [f"{MADE}# {method.title}"]
    parts += [f"Also: {', '.join(method.also)}."] * bool(method.also)
    parts += ["  \n".join(f"**{fact}:** {text}" for fact, text in facts.items() if text)]
    parts += [fence(method.formula)] * bool(method.formula)
    parts += [method.note] * bool(method.note)
    parts += [
        section(part, text)
        for part, text in (("When to use", method.when), ("Limitations", method.limitations))
        if text
    ]
    if method.example:
        parts.append(section("Example", with_imports(textwrap.dedent(method.example).strip(), "")))
    parts += [block(name, method) for name in method.code]
    return "\n\n".join([*parts, "[All methods](README.md)"]) + "\n"


def index() -> str:
    """One row for each method, from its name to its code; then the methods by question."""
    parts = [f"{MADE}# Methods", f"{len(methods())} methods, each with its code, its source and a page of its own."]
    for title in GROUPS:
        rows = ["| method | also | code | source |", "|---|---|---|---|"]
        for slug, method in methods().items():
            if group_of(method) != title:
                continue
            code = ", ".join(map(code_link, method.code)) or method.settings
            cells = (f"[{method.title}]({slug}.md)", ", ".join(method.also), code, method.source)
            rows.append(f"| {' | '.join(cells)} |")
        parts += [f"## {title}", "\n".join(rows)]
    parts.append("## By question")
    for topic, text in TOPICS.items():
        found = [f"[{method.title}]({slug}.md)" for slug, method in methods().items() if topic in method.topics]
        parts.append(f"**{text}** {', '.join(found)}.")
    parts.append("## Reference of every other public name")
    for room in (*ROOMS, "integrations"):
        lines = [
            f"- {', '.join(f'[`{name}`]({slug}.md)' for name in names)}: {prose(doc_of(names[0]).summary)}"
            for slug, names in references().items()
            if names[0].startswith(f"{room}.")
        ]
        parts += [f"### `{room}`", "\n".join(lines)] * bool(lines)
    return "\n\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """Return every file of docs/methods as it should be.

    Raises:
        ValueError: where a docstring lacks what its page needs.
    """
    if found := faults():
        raise ValueError("\n".join(found))
    made = {f"{slug}.md": page(method) for slug, method in methods().items()}
    made |= {f"{slug}.md": reference(names) for slug, names in references().items()}
    return {"README.md": index(), **made}


def out_of_date(made: dict[str, str]) -> list[str]:
    """Name the files of docs/methods that are missing, stale or nobody's."""
    there = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main() -> None:
    try:
        made = pages()
    except ValueError as error:
        sys.exit(str(error))
    stale = out_of_date(made)
    if "--check" in sys.argv[1:]:
        named = ", ".join(stale)
        sys.exit(f"docs/methods: as the docstrings say; out of date: {named}; run `make docs`" if stale else 0)
    PAGES.mkdir(exist_ok=True)
    for name in stale:
        (PAGES / name).write_text(made[name], encoding="utf-8") if name in made else (PAGES / name).unlink()
    print(f"docs/methods: {len(made)} pages, {len(stale)} changed")


if __name__ == "__main__":
    main()
