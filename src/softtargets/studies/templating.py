"""The templates of study files: one entry that stands for many, and parts that are written once.

A study file is TOML as :class:`~softtargets.studies.schema.Study` has it. Claims are written as tables under their id,
as arms and outputs are. Beyond that there are five words:

``include = "claims.toml"``
    At the top of a file: another file, or a list of files, from the same folder, whose text stands before this one's.
``[shared]``
    Values and tables to be used by name, in all files of the study. Each may use those that are written before it.
``{name}``
    In any text: a value of `for` or of `shared`; ``{case.label}`` is a key of a table. A text that is nothing but a
    placeholder becomes the value itself, of any type. Within text, 2.0 becomes "2". Braces are doubled: ``{{`` ``}}``.
``for.name = [...]``
    In an entry of a table or list: the entry is repeated for each value; with several names, for each combination. A
    list may use the names before it. The name of the entry needs a placeholder, so that all of them differ.
``extends = "name"``
    In any table: the table of that name beside it, or else in `shared`. What is written here is laid over it, table by
    table; a table with another `name` (another objective, say) replaces the whole.

``term``, in a claim, is what its `terms` have in common.

Example:
    >>> import tomllib
    >>> study = expand_templates(tomllib.loads('''
    ... [arms."{arm.name}"]
    ... for.arm = [{ name = "CE", smoothing = 0.0 }, { name = "LS", smoothing = 0.1 }]
    ... objective = { name = "cross_entropy", smoothing = "{arm.smoothing}" }
    ...
    ... [shared.accuracy]
    ... output = "table1"
    ... term = { metric = "test.accuracy", weight = 1.0 }
    ...
    ... [claims."helps-{rate}"]
    ... for.rate = [20, 40]
    ... extends = "accuracy"
    ... terms = [{ arm = "LS", noise = "n{rate}" }, { arm = "CE", noise = "n{rate}", weight = -1.0 }]
    ... '''), Path("study.toml"))
    >>> study["arms"]["LS"]
    {'objective': {'name': 'cross_entropy', 'smoothing': 0.1}}
    >>> [claim["id"] for claim in study["claims"]]
    ['helps-20', 'helps-40']
    >>> study["claims"][1]["output"], study["claims"][1]["terms"][1]
    ('table1', {'metric': 'test.accuracy', 'weight': -1.0, 'arm': 'CE', 'noise': 'n40'})
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softtargets._errors import InputError, fail, unknown
from softtargets._spec import merged, read_toml

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
Table = dict[str, Any]


def expand_templates(data: Table, path: Path) -> Table:
    """Return a study without templates: the included files joined to it, and every entry written out.

    Args:
        data: the content of the study file, as tomllib reads it.
        path: the study file; `include` is looked up from its folder.

    Raises:
        InputError: naming the file and the entry, for a placeholder or a base that does not exist (with the nearest
            name), a `for` without values, a file that does not exist or includes itself, and whatever is written twice.
    """
    files = _included(data, path, ())
    shared: Table = {}
    for file, content in files.items():
        with _naming(file):
            for name, value in _table(content.pop("shared", {}), "shared").items():
                filled = _filled({name: value}, shared, "shared")
                shared = _joined(shared, _laid(filled, {**shared, **filled}, shared, "shared"), "shared")
    for file, content in files.items():
        with _naming(file):
            files[file] = _filled(content, shared, "")
    whole = _whole(files)
    for file, content in files.items():
        with _naming(file):
            files[file] = _with_terms(_laid(content, whole, shared, ""))
    study = _whole(files)
    if isinstance(study.get("claims"), dict):
        study["claims"] = [{"id": name, **claim} for name, claim in study["claims"].items()]
    return study


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _table(value: Any, place: str) -> Table:
    if not isinstance(value, dict):
        raise fail(place, "a table", repr(value), "write keys and values under its name")
    return value


def _path(place: str, entry: Any) -> str:
    return f"{place}.{entry}".lstrip(".")


def _title(index: int, entry: Any) -> Any:
    """Return what an entry of a list is called in messages: its id or label, as written, or else its number."""
    return (entry.get("id") or entry.get("label") or index) if isinstance(entry, dict) else index


# ------------------------------------------------------------------------------------------------- several files


def _included(data: Table, path: Path, chain: tuple[Path, ...]) -> dict[Path, Table]:
    """Return the content of a file and of all that it includes, theirs first; each file is read once."""
    names = data.get("include", [])
    files: dict[Path, Table] = {}
    for name in [names] if isinstance(names, str) else names:
        other = path.parent / str(name)
        with _naming(path):
            if other.resolve() in (file.resolve() for file in (*chain, path)):
                raise fail("include", "files that do not include this one", f"'{name}'", "break the circle")
            if not other.is_file():
                beside = sorted(file.name for file in other.parent.glob("*.toml") if file.name != path.name)
                raise unknown("include", str(name), beside)
        if other not in files:
            files.update(_included(read_toml(other), other, (*chain, path)))
    files[path] = {key: value for key, value in data.items() if key != "include"}
    return files


def _whole(files: dict[Path, Table]) -> Table:
    whole: Table = {}
    for file, content in files.items():
        with _naming(file):
            whole = _joined(whole, content, "")
    return whole


def _joined(first: Table, second: Table, place: str) -> Table:
    """Return both tables as one; of tables of the same name the content is joined."""
    result = dict(first)
    for key, value in second.items():
        old = result.get(key)
        if key not in result:
            result[key] = value
        elif isinstance(old, dict) and isinstance(value, dict):
            result[key] = _joined(old, value, _path(place, key))
        else:
            raise fail(_path(place, key), "given once in all files of a study", "a second one", "drop one of the two")
    return result


# ------------------------------------------------------------------------------------------ `for` and placeholders


def _filled(value: Any, values: Table, place: str) -> Any:
    """Return `value` with its entries repeated as their `for` says, and placeholders replaced by `values`."""
    if isinstance(value, str):
        return _replaced(value, values, place)
    if isinstance(value, list):
        result: list[Any] = []
        for index, written in enumerate(value):
            here = _path(place, _title(index, written))
            result += [_filled(entry, bound, here) for bound, entry in _repeated(written, values, here)]
        return result
    if not isinstance(value, dict):
        return value
    table: Table = {}
    for pattern, written in value.items():
        here = _path(place, pattern)
        for bound, entry in _repeated(written, values, here):
            name = _text(_replaced(pattern, bound, here), here)
            if name in table:
                remedy = "put a placeholder of its `for` into the name"
                raise fail(_path(place, name), "a name that no other entry has", "a second one", remedy)
            table[name] = _filled(entry, bound, here)
    return table


def _repeated(entry: Any, values: Table, place: str) -> Iterator[tuple[Table, Any]]:
    """Yield the values, and the entry without its `for`, of each of its repetitions."""
    if not isinstance(entry, dict) or "for" not in entry:
        yield values, entry
        return
    lists = list(_table(entry["for"], f"{place}.for").items())
    rest = {key: value for key, value in entry.items() if key != "for"}
    for bound in _combinations(lists, values, f"{place}.for"):
        yield bound, rest


def _combinations(lists: list[tuple[str, Any]], values: Table, place: str) -> Iterator[Table]:
    """Yield `values` with every combination of the lists' items; a list may have placeholders of those before it."""
    if not lists:
        yield values
        return
    (name, written), *others = lists
    items = _filled(written, values, f"{place}.{name}")
    if not isinstance(items, list) or not items:
        raise fail(f"{place}.{name}", "a list of at least one value", repr(items), "write the values in brackets")
    for item in items:
        yield from _combinations(others, {**values, name: item}, place)


def _replaced(text: str, values: Table, place: str) -> Any:
    """Return a text with its placeholders replaced, or the value of a text that is one placeholder."""
    alone = PLACEHOLDER.fullmatch(text)
    if alone is not None and alone[1] is not None:
        return _value(alone[1], values, place)

    def replacement(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] is None:
            raise fail(place, "braces around a name", f"'{found[0]}' in '{text}'", "double a brace that is text")
        return _text(_value(found[1], values, place), f"{place}: placeholder {found[0]}")

    return PLACEHOLDER.sub(replacement, text)


def _value(name: str, values: Table, place: str) -> Any:
    """Return the value of a placeholder; `a.b` is the key b of the table a."""
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            raise unknown(f"{place}: placeholder {{{name}}}", part, found if isinstance(found, dict) else ())
        found = found[part]
    return found


def _text(value: Any, place: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fail(place, "text or a number", repr(value), "name a key of it, or leave no text beside the placeholder")
    return str(value).removesuffix(".0")


# ---------------------------------------------------------------------------------------------- `extends` and `term`


def _laid(value: Any, whole: Any, shared: Table, place: str) -> Any:
    """Return `value` with all tables in it laid over what they extend; `whole` is the same as all files give it."""
    if isinstance(value, list):
        return [_based(entry, entry, str(_title(index, entry)), {}, shared, place) for index, entry in enumerate(value)]
    if isinstance(value, dict):
        items = [(key, entry) for key, entry in value.items() if key != "extends"]
        return {key: _based(entry, whole[key], key, whole, shared, place) for key, entry in items}
    return value


def _based(
    entry: Any, whole: Any, name: str, siblings: Table, shared: Table, place: str, chain: tuple[str, ...] = ()
) -> Any:
    """Return an entry laid over the sibling or shared table that it extends."""
    here = _path(place, name)
    own = _laid(entry, whole, shared, here)
    if not isinstance(entry, dict) or "extends" not in entry:
        return own
    known = {key: value for key, value in siblings.items() if isinstance(value, dict) and key != name}
    base = str(entry["extends"])
    if base in chain:
        raise fail(f"{here}.extends", "an entry that does not extend this one", f"'{base}'", "break the circle")
    if base in known:
        return merged(_based(known[base], known[base], base, siblings, shared, place, (*chain, name)), own)
    if not isinstance(shared.get(base), dict):
        raise unknown(f"{here}.extends", base, [*known, *(key for key in shared if isinstance(shared[key], dict))])
    return merged(shared[base], own)


def _with_terms(content: Table) -> Table:
    """Return `content` with the `term` of each claim laid under its terms."""
    claims = content.get("claims")
    if not isinstance(claims, dict):
        return content
    result = {}
    for name, claim in claims.items():
        rest = {key: value for key, value in _table(claim, f"claims.{name}").items() if key != "term"}
        term = _table(claim.get("term", {}), f"claims.{name}.term")
        if isinstance(rest.get("terms"), list):
            rest["terms"] = [merged(term, own) if isinstance(own, dict) else own for own in rest["terms"]]
        result[name] = rest
    return {**content, "claims": result}
