"""Templates of study files: what each word does, what is refused and where, and how long the shipped files are."""

import tomllib
from pathlib import Path

import pytest

from softtargets._errors import InputError
from softtargets.studies.catalog import find, read_study, shipped
from softtargets.studies.schema import Study
from softtargets.studies.templating import expand_templates

LONGEST = 350
ROOT = find("lukasik2020").parent


def expand(text: str, folder: Path = Path(), **others: str) -> dict:
    """Expand a study file of this text, beside others of the folder that are written first."""
    for name, other in others.items():
        (folder / f"{name}.toml").write_text(other, encoding="utf-8")
    return expand_templates(tomllib.loads(text), folder / "study.toml")


# ------------------------------------------------------------------------------------------------- placeholders


def test_text_without_braces_stays_as_it_is() -> None:
    text = 'a = "b"\nc = [1, 2.0, true, ["d"]]\n[e]\nf = { g = 1 }\nh = [{ i = "j" }]\n'
    assert expand(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{name}", "LS"),
        ("of {name}", "of LS"),
        ("{table.key}", "inside"),
        ("{table.deep.key}", 3),
        ("{rate}", 0.2),
        ("ρ = {rate}", "ρ = 0.2"),
        ("{whole}", 2.0),
        ("T = {whole}", "T = 2"),
        ("T = {ten}", "T = 10"),
        ("{tiny}", 1e-05),
        ("{flag}", True),
        ("{list}", [1, "LS"]),
        ("{table}", {"key": "inside", "deep": {"key": 3}}),
        ("{{name}}", "{name}"),
        ("{{{name}}}", "{LS}"),
        ("a {{ b }} c", "a { b } c"),
        ("{name}{name}", "LSLS"),
    ],
)
def test_placeholders_become_values_or_text(written, expected) -> None:
    shared = (
        '[shared]\nname = "LS"\nrate = 0.2\nwhole = 2.0\nten = 10\ntiny = 1e-5\nflag = true\nlist = [1, "{name}"]\n'
        'table = { key = "inside", deep = { key = 3 } }\n'
    )
    study = expand(f'a = "{written}"\nb = ["{written}"]\n[c]\nd = "{written}"\n{shared}')
    assert study == {"a": expected, "b": [expected], "c": {"d": expected}}
    assert type(study["a"]) is type(expected)


def test_what_is_shared_stands_in_keys_too_and_is_no_part_of_the_study() -> None:
    assert expand('[shared]\nname = "LS"\n[arms."{name}-{name}"]\nlabel = "a"\n') == {"arms": {"LS-LS": {"label": "a"}}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[shared]\nlevel = 1\n[arms.a]\nlabel = "{levle}"', r"arms.a.label: placeholder {levle}: one of level; got"),
        ('[shared]\nlevel = 1\n[arms.a]\nlabel = "{levle}"', "did you mean 'level'"),
        ('[shared.t]\nname = 1\n[arms.a]\nlabel = "{t.nmae}"', r"placeholder {t.nmae}: one of name; got 'nmae'"),
        ('[shared]\nlevel = 1\n[arms.a]\nlabel = "{level.id}"', r"placeholder {level.id}: one of \(none\)"),
        (
            '[arms.a]\nlabel = "one {"',
            r"arms.a.label: braces around a name; got '{' in 'one {'; double a literal brace",
        ),
        ('[arms.a]\nlabel = "}"', "arms.a.label: braces around a name"),
        ('[arms.a]\nlabel = "{}"', "placeholder {}: one of"),
        (
            "[shared]\nl = [1]\n[arms.a]\nlabel = 'of {l}'",
            r"arms.a.label: placeholder {l}: text or a number; got \[1\]",
        ),
        ("[shared]\nl = true\n[arms.a]\nlabel = 'of {l}'", "text or a number; got True"),
        ('[arms."{name}"]\nlabel = "a"', r"arms.{name}: placeholder {name}"),
        ('[shared]\na = "{b}"\nb = 1', "shared.a: placeholder {b}: one of"),
        ("shared = 3", "shared: a table; got 3"),
    ],
)
def test_wrong_placeholders_are_refused_by_file_and_entry(text, words) -> None:
    with pytest.raises(InputError, match=f"^study.toml: .*{words}"):
        expand(text)


# ---------------------------------------------------------------------------------------------------------- for


def test_an_entry_of_a_table_is_repeated_in_its_place() -> None:
    text = '[arms.x]\na = 1\n[arms."s{n}"]\nfor.n = [2, 1]\nlevel = "{n}"\nlabel = "no. {n}"\n[arms.y]\na = 2\n'
    arms = expand(text)["arms"]
    assert list(arms) == ["x", "s2", "s1", "y"]
    assert arms["s2"] == {"level": 2, "label": "no. 2"}


def test_an_entry_of_a_list_is_repeated_and_the_first_list_runs_slowest() -> None:
    (first, *_, last) = found = expand('g = [{ for = { a = [1, 2], b = ["x", "y"] }, id = "{a}{b}" }, { id = "z" }]')[
        "g"
    ]
    assert [entry["id"] for entry in found] == ["1x", "1y", "2x", "2y", "z"]
    assert (first, last) == ({"id": "1x"}, {"id": "z"})


def test_lists_are_shared_hold_tables_and_may_follow_from_those_before_them() -> None:
    text = """
        [shared]
        quiet = { name = "quiet" }
        methods = [{ id = "ls", noises = ["{quiet}", { name = "loud" }] }, { id = "fc", noises = ["{quiet}"] }]
        [claims."{method.id}-{noise.name}"]
        for.method = "{methods}"
        for.noise = "{method.noises}"
    """
    assert expand(text)["claims"] == [{"id": "ls-quiet"}, {"id": "ls-loud"}, {"id": "fc-quiet"}]


def test_entries_inside_of_repeated_entries_are_repeated_for_each() -> None:
    text = '[a."{x}"]\nfor.x = ["p", "q"]\nlist = [{ for = { y = [1, 2] }, text = "{x}{y}" }]\n'
    assert expand(text)["a"]["q"] == {"list": [{"text": "q1"}, {"text": "q2"}]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[arms."s{n}"]\nfor.n = []', r"arms.s{n}.for.n: a list of at least one value; got \[\]"),
        ('[arms."s{n}"]\nfor.n = 3', r"arms.s{n}.for.n: a list of at least one value; got 3"),
        ('[arms."s{n}"]\nfor = [1]', r"arms.s{n}.for: a table; got \[1\]"),
        ('[arms."s{n}"]\nfor.n = "{lits}"\n[shared]\nlist = [1]', "arms.s{n}.for.n: placeholder {lits}.*mean 'list'"),
        ("[arms.s]\nfor.n = [1, 2]", "arms.s: a name that no other entry has; got a second one; use a placeholder"),
        ('[arms."s{n}"]\nfor.n = [1]\n[arms.s1]', "arms.s1: a name that no other entry has"),
        ('[outputs."s{n}"]\nfor.n = [1, 1]', "outputs.s1: a name that no other"),
        ('[claims."s{n}"]\nfor.n = [1, 1.0]', "claims.s1: a name that no other"),
        ('[[groups]]\nlabel = "of {x}"\nfor.n = [1]', "groups.of {x}.label: placeholder {x}: one of n"),
    ],
)
def test_wrong_repetitions_are_refused_by_file_and_entry(text, words) -> None:
    with pytest.raises(InputError, match=f"^study.toml: {words}"):
        expand(text)


# ------------------------------------------------------------------------------------------------------ extends


def test_a_table_is_laid_over_what_it_extends() -> None:
    text = """
        [shared.recipe]
        optimizer = { name = "sgd", rate = 0.1, momentum = 0.9 }
        schedule = { name = "step" }
        [shared.longer]
        extends = "recipe"
        epochs = 8
        [scales.desk]
        run.extends = "longer"
        run.optimizer = { rate = 0.2 }
        run.schedule = { name = "cosine" }
    """
    optimizer = {"name": "sgd", "rate": 0.2, "momentum": 0.9}
    run = {"optimizer": optimizer, "schedule": {"name": "cosine"}, "epochs": 8}
    assert expand(text) == {"scales": {"desk": {"run": run}}}


def test_an_entry_beside_it_comes_before_what_is_shared_and_never_itself() -> None:
    text = """
        [shared.a]
        x = "shared"
        [outputs.a]
        extends = "a"
        y = 1
        [outputs.b]
        extends = "a"
        y = 2
        [settings.s.outputs.c]
        extends = "a"
    """
    study = expand(text)
    assert study["outputs"] == {"a": {"x": "shared", "y": 1}, "b": {"x": "shared", "y": 2}}
    assert study["settings"]["s"]["outputs"] == {"c": {"x": "shared"}}


def test_repeated_entries_extend_and_are_extended() -> None:
    text = """
        [claims."m{n}"]
        for.n = [1, 2]
        output = "table"
        terms = [{ arm = "a{n}" }]
        [claims."{claim}-again"]
        for.claim = ["m2", "m1"]
        extends = "{claim}"
        output = "figure"
    """
    again = {claim["id"]: claim for claim in expand(text)["claims"]}
    assert list(again) == ["m1", "m2", "m2-again", "m1-again"]
    assert again["m2-again"] == {"id": "m2-again", "output": "figure", "terms": [{"arm": "a2"}]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[arms.LS]\n[arms.b]\nextends = "LX"', "arms.b.extends: one of LS; got 'LX'; did you mean 'LS'"),
        ('[shared.base]\n[arms.b]\nextends = "bse"', "arms.b.extends: one of base; got 'bse'; did you mean 'base'"),
        ('[arms.b]\nextends = "b"', r"arms.b.extends: one of \(none\)"),
        ('[shared]\nx = 1\n[arms.b]\nextends = "x"', r"arms.b.extends: one of \(none\)"),
        ('[shared.a]\nextends = "b"\n[shared.b]', r"shared.a.extends: one of \(none\)"),
        ('[arms.a]\nextends = "b"\n[arms.b]\nextends = "a"', "arms.b.extends: an entry that does not extend this one"),
        ('[[groups]]\nlabel = "g"\nextends = "x"', "groups.g.extends: one of"),
    ],
)
def test_wrong_bases_are_refused_by_file_and_entry(text, words) -> None:
    with pytest.raises(InputError, match=f"^study.toml: {words}"):
        expand(text)


# ------------------------------------------------------------------------------------------------------- claims


def test_term_is_laid_under_every_term_and_is_inherited() -> None:
    text = """
        [shared.accuracy]
        term = { level = 0.0, metric = "test.accuracy", weight = 1.0 }
        [claims.a]
        extends = "accuracy"
        term = { level = 0.1 }
        terms = [{ arm = "LS" }, { arm = "CE", level = 0.2, weight = -1.0 }]
        [claims.b]
        extends = "accuracy"
        not_run = "no data"
    """
    metric = "test.accuracy"
    terms = [
        {"arm": "LS", "level": 0.1, "metric": metric, "weight": 1.0},
        {"arm": "CE", "level": 0.2, "metric": metric, "weight": -1.0},
    ]
    assert expand(text)["claims"] == [{"id": "a", "terms": terms}, {"id": "b", "not_run": "no data"}]


def test_claims_may_be_a_list_as_the_schema_has_them() -> None:
    assert expand('[[claims]]\nid = "a"\n[[claims]]\nid = "b"')["claims"] == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[claims.a]\nterm = 3", "claims.a.term: a table; got 3"),
        ("[claims]\na = 3", "claims.a: a table; got 3"),
    ],
)
def test_wrong_claims_are_refused_by_file_and_entry(text, words) -> None:
    with pytest.raises(InputError, match=f"^study.toml: {words}"):
        expand(text)


def test_the_schema_names_a_claim_by_its_id(tmp_path) -> None:
    (tmp_path / "study.toml").write_text('[claims."a{n}"]\nfor.n = [1, 2]\nterms = [{ arm = "x", wieght = 1.0 }]\n')
    with pytest.raises(InputError, match=r"claims.a2.quote: required.*claims.a2.terms.0: key: .*mean 'weight'"):
        read_study(tmp_path)


# ------------------------------------------------------------------------------------------------------ include


def test_included_files_stand_before_the_file_and_share_with_it(tmp_path) -> None:
    study = expand(
        'include = ["one.toml", "two.toml"]\nname = "{word}"\n[arms.c]\nextends = "a"\ny = 1\n[shared]\nlast = 3\n',
        tmp_path,
        one='include = "base.toml"\n[arms.a]\nx = "{last}"\n',
        two='include = "base.toml"\n[arms.b]\nextends = "c"\n[claims.k]\nwhere = "{word}"\n',
        base='[shared]\nword = "w"\n',
    )
    assert study["name"] == "w"
    assert list(study["arms"]) == ["a", "b", "c"]
    assert study["arms"] == {"a": {"x": 3}, "b": {"x": 3, "y": 1}, "c": {"x": 3, "y": 1}}
    assert study["claims"] == [{"id": "k", "where": "w"}]


def test_a_file_included_by_two_names_is_read_once(tmp_path) -> None:
    others = {"a": "[arms.x]\nlabel = '1'\n", "b": 'include = "./a.toml"\n'}
    for names in (["a.toml", "./a.toml", f"../{tmp_path.name}/a.toml"], ["a.toml", "b.toml"], ["b.toml", "a.toml"]):
        assert expand(f"include = {names}\n", tmp_path, **others) == {"arms": {"x": {"label": "1"}}}


@pytest.mark.parametrize("written", ["3", "[3]", "true", '["a.toml", 3]', "{ a = 1 }"])
def test_include_is_text_or_a_list_of_it(tmp_path, written) -> None:
    with pytest.raises(InputError, match=r"study.toml: include: the name of a file, or a list of names; got"):
        expand(f"include = {written}\n", tmp_path, a="")


@pytest.mark.parametrize("keyword", ['extends = "x"', "for.x = [1]", "extends = 3"])
def test_keywords_at_the_top_of_a_file_are_refused(tmp_path, keyword) -> None:
    with pytest.raises(
        InputError, match=r"study.toml: (for|extends): used inside an entry; got at the top of the file"
    ):
        expand(f"{keyword}\n[shared.x]\na = 1\n", tmp_path)
    with pytest.raises(InputError, match=r"a.toml: (for|extends): used inside an entry"):
        expand('include = "a.toml"\n', tmp_path, a=f"{keyword}\n")


def test_the_id_of_a_claim_is_the_name_of_its_table(tmp_path) -> None:
    assert expand('[claims.x]\nid = "x"\n', tmp_path)["claims"] == [{"id": "x"}]
    with pytest.raises(InputError, match=r"claims.x.id: the name of its table; got 'y'; remove the id"):
        expand('[claims.x]\nid = "y"\n', tmp_path)


def test_tables_of_several_files_are_joined(tmp_path) -> None:
    study = expand('include = "more.toml"\n[scales.desk]\nseeds = 2\n', tmp_path, more="[scales.desk]\nlevels = {}\n")
    assert study == {"scales": {"desk": {"levels": {}, "seeds": 2}}}


@pytest.mark.parametrize(
    ("text", "others", "words"),
    [
        (
            'include = "clams.toml"',
            {"claims": ""},
            "study.toml: include: one of claims.toml; got 'clams.toml'; did you",
        ),
        ('include = "study.toml"', {}, "study.toml: include: files that do not include this one; got 'study.toml'"),
        ('include = "a.toml"', {"a": 'include = "b.toml"', "b": 'include = "a.toml"'}, "b.toml: include: .*'a.toml'"),
        ('include = "a.toml"', {"a": 'include = "./study.toml"'}, "a.toml: include: files that do not include"),
        ('include = "a.toml"', {"a": "x = "}, "a.toml: invalid TOML"),
        ('include = "a.toml"', {"a": '[claims.c]\nwhere = "{x}"'}, "a.toml: claims.c.where: placeholder {x}"),
        ('include = "a.toml"', {"a": '[claims.c]\nextends = "d"'}, "a.toml: claims.c.extends: one of"),
        (
            'include = "a.toml"\n[arms.x]\nlabel = "1"',
            {"a": '[arms.x]\nlabel = "2"'},
            "study.toml: arms.x.label: given",
        ),
        ('include = "a.toml"\n[shared]\nn = 1', {"a": "[shared]\nn = 2"}, "study.toml: shared.n: given once"),
        (
            'include = "a.toml"\n[claims.c]\nwhere = "1"',
            {"a": '[claims.c]\nwhere = "2"'},
            "study.toml: claims.c.where: ",
        ),
    ],
)
def test_wrong_files_are_refused_by_name(tmp_path, text, others, words) -> None:
    with pytest.raises(InputError, match=words):
        expand(text, tmp_path, study="", **others)


# ------------------------------------------------------------------------------------------- the shipped studies


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.toml")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_a_study_is_long(path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("name", shipped())
def test_a_study_written_out_reads_as_the_same_study(name) -> None:
    folder = find(name)
    written = expand_templates(
        tomllib.loads((folder / "study.toml").read_text(encoding="utf-8")), folder / "study.toml"
    )
    assert expand_templates(written, folder / "study.toml") == written
    assert Study.parse(written) == read_study(folder)
