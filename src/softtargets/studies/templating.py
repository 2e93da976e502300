"""Templates in study files: entries that are repeated over lists, and parts that are shared.

A study file is TOML with the keys of :class:`~softtargets.studies.schema.Study`. Claims are tables named by their id,
like arms and outputs. In addition there are five keywords:

``include = "claims.toml"``
    At the top of a file: another file, or a list of files, relative to the folder of this file. Included files come
    first.
``[shared]``
    Values and tables that all files of the study can use by name. Each can use those before it.
``{name}``
    In any text: a value of `for` or of `shared`; ``{case.label}`` is a key of a table. Text that consists only of a
    placeholder becomes the value itself, of any type. Inside text, 2.0 becomes "2". Literal braces are doubled:
    ``{{`` ``}}``.
``for.name = [...]``
    In an entry of a table or list: the entry is repeated for each value; with several names, for each combination. A
    list can use the names before it. The name of the entry must contain a placeholder, so that all names differ.
``extends = "name"``
    In any table below the top level: the table of that name beside it, or else in `shared`, is the base, into which
    this table is merged. A nested table with a different `name` (such as another objective) replaces that of the base.

``term`` in a claim contains the keys that its `terms` have in common.

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
    """Return a study without templates: included files are merged, and all entries are expanded.

    Args:
        data: the content of the study file, as read by tomllib.
        path: path of the study file; `include` is relative to its folder.

    Raises:
        InputError: an unknown placeholder or base (with the nearest name), a `for` without values, a file that does not
            exist or includes itself, or a duplicate key; with the file and the entry.
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
        study["claims"] = [_named_claim(name, claim) for name, claim in study["claims"].items()]
    return study


def _named_claim(name: str, claim: Table) -> Table:
    if claim.get("id", name) != name:
        required = "the name of its table"
        raise fail(f"claims.{name}.id", required, repr(claim["id"]), "remove the id, or rename the table")
    return {"id": name, **claim}


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
    """Return the name of a list entry in messages: its id or label, or else its index."""
    return (entry.get("id") or entry.get("label") or index) if isinstance(entry, dict) else index


# ------------------------------------------------------------------------------------------------- several files


def _included(data: Table, path: Path, chain: tuple[Path, ...]) -> dict[Path, Table]:
    """Return the content of a file and of all files that it includes, included files first; each file is read once."""
    files: dict[Path, Table] = {}
    with _naming(path):
        names = _file_names(data)
    for name in names:
        other = path.parent / name
        with _naming(path):
            if other.resolve() in (file.resolve() for file in (*chain, path)):
                raise fail("include", "files that do not include this one", f"'{name}'", "remove the cycle")
            if not other.is_file():
                beside = sorted(file.name for file in other.parent.glob("*.toml") if file.name != path.name)
                raise unknown("include", name, beside)
        known = {file.resolve() for file in files}
        if other.resolve() not in known:
            found = _included(read_toml(other), other, (*chain, path))
            files.update({file: content for file, content in found.items() if file.resolve() not in known})
    files[path] = {key: value for key, value in data.items() if key != "include"}
    return files


def _file_names(data: Table) -> list[str]:
    """Return the included files, and refuse keywords that have no meaning at the top of a file."""
    for keyword in ("for", "extends"):
        if keyword in data:
            remedy = "move it into the entry that it is meant for"
            raise fail(keyword, "used inside an entry", "at the top of the file", remedy)
    names = data.get("include", [])
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise fail("include", "the name of a file, or a list of names", repr(names), "write the names in quotes")
    return listed


def _whole(files: dict[Path, Table]) -> Table:
    whole: Table = {}
    for file, content in files.items():
        with _naming(file):
            whole = _joined(whole, content, "")
    return whole


def _joined(first: Table, second: Table, place: str) -> Table:
    """Return the union of two tables; tables with the same key are joined."""
    result = dict(first)
    for key, value in second.items():
        old = result.get(key)
        if key not in result:
            result[key] = value
        elif isinstance(old, dict) and isinstance(value, dict):
            result[key] = _joined(old, value, _path(place, key))
        else:
            raise fail(_path(place, key), "given once in all files of a study", "a second one", "remove one of them")
    return result


# ------------------------------------------------------------------------------------------ `for` and placeholders


def _filled(value: Any, values: Table, place: str) -> Any:
    """Return `value` with its entries repeated by their `for`, and placeholders replaced by `values`."""
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
                remedy = "use a placeholder of its `for` in the name"
                raise fail(_path(place, name), "a name that no other entry has", "a second one", remedy)
            table[name] = _filled(entry, bound, here)
    return table


def _repeated(entry: Any, values: Table, place: str) -> Iterator[tuple[Table, Any]]:
    """Yield the values, and the entry without its `for`, for each repetition."""
    if not isinstance(entry, dict) or "for" not in entry:
        yield values, entry
        return
    lists = list(_table(entry["for"], f"{place}.for").items())
    rest = {key: value for key, value in entry.items() if key != "for"}
    for bound in _combinations(lists, values, f"{place}.for"):
        yield bound, rest


def _combinations(lists: list[tuple[str, Any]], values: Table, place: str) -> Iterator[Table]:
    """Yield `values` with every combination of the items of the lists. A list can use the names before it."""
    if not lists:
        yield values
        return
    (name, written), *others = lists
    items = _filled(written, values, f"{place}.{name}")
    if not isinstance(items, list) or not items:
        raise fail(f"{place}.{name}", "a list of at least one value", repr(items), "write values in brackets")
    for item in items:
        yield from _combinations(others, {**values, name: item}, place)


def _replaced(text: str, values: Table, place: str) -> Any:
    """Return text with its placeholders replaced, or the value if the text is a single placeholder."""
    alone = PLACEHOLDER.fullmatch(text)
    if alone is not None and alone[1] is not None:
        return _value(alone[1], values, place)

    def replacement(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] is None:
            raise fail(place, "braces around a name", f"'{found[0]}' in '{text}'", "double a literal brace")
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
        raise fail(place, "text or a number", repr(value), "use a key of it, or remove the text around the placeholder")
    return str(value).removesuffix(".0")


# ---------------------------------------------------------------------------------------------- `extends` and `term`


def _laid(value: Any, whole: Any, shared: Table, place: str) -> Any:
    """Return `value` with all its tables merged into what they extend; `whole` is the entry joined over all files."""
    if isinstance(value, list):
        return [_based(entry, entry, str(_title(index, entry)), {}, shared, place) for index, entry in enumerate(value)]
    if isinstance(value, dict):
        items = [(key, entry) for key, entry in value.items() if key != "extends"]
        return {key: _based(entry, whole[key], key, whole, shared, place) for key, entry in items}
    return value


def _based(
    entry: Any, whole: Any, name: str, siblings: Table, shared: Table, place: str, chain: tuple[str, ...] = ()
) -> Any:
    """Return an entry merged into the sibling or shared table that it extends."""
    here = _path(place, name)
    own = _laid(entry, whole, shared, here)
    if not isinstance(entry, dict) or "extends" not in entry:
        return own
    known = {key: value for key, value in siblings.items() if isinstance(value, dict) and key != name}
    base = str(entry["extends"])
    if base in chain:
        raise fail(f"{here}.extends", "an entry that does not extend this one", f"'{base}'", "remove the cycle")
    if base in known:
        return merged(_based(known[base], known[base], base, siblings, shared, place, (*chain, name)), own)
    if not isinstance(shared.get(base), dict):
        raise unknown(f"{here}.extends", base, [*known, *(key for key in shared if isinstance(shared[key], dict))])
    return merged(shared[base], own)


def _with_terms(content: Table) -> Table:
    """Return `content` with the `term` of each claim merged into its terms."""
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
