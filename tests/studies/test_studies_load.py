"""What a study may ask for: kinds of output with what each needs, refused by name before anything is trained."""

import pytest

from softtargets._errors import InputError
from softtargets.studies.load import load_study

NOWHERE = 'title = "t"\ncaption = "c"\narms = ["CE"]\nnoise = [0.0]\n'


def read(tmp_path, output: str, *, classes: str | None = None, claims: str = ""):
    """Read the smallest of studies, with one output of these lines."""
    folder = tmp_path / "study"
    folder.mkdir()
    scale = "" if classes is None else f"classes = {classes}\n"
    (folder / "study.toml").write_text(
        'schema_version = 1\nname = "n"\ntitle = "t"\nquestion = "q"\nbaseline = "CE"\n'
        '[paper]\nauthors = "a"\ntitle = "t"\nyear = 2026\nvenue = "v"\nurl = "u"\n'
        '[arms.CE]\nlabel = "CE"\nobjective = { name = "cross_entropy" }\n'
        f"[scales.smoke]\nseeds = 2\nlevels = {{}}\nrun = {{}}\n{scale}"
        f"expects = {{ input_shape = [1, 8, 8], num_classes = 10, train = 100 }}\n"
        f"[outputs.o]\n{NOWHERE}{output}\n{claims}"
    )
    return load_study(folder).study


def claim(metric: str) -> str:
    term = f'{{ arm = "CE", level = 0.0, noise = 0.0, metric = "{metric}", weight = 1.0 }}'
    return f'[[claims]]\nid = "a"\nquote = "q"\nwhere = "w"\noutput = "o"\nreading = "r"\nterms = [{term}]\n'


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ('kind = "table"\nmetrics = ["nc5"]', r"outputs.o: metric of a table: .*got 'nc5'; did you mean 'nc"),
        ('kind = "trace"\nmetrics = ["objectve"]', "metric of a trace: .*did you mean 'objective'"),
        ('kind = "trace"\nmetrics = ["test.accuracy"]', r"metric of a trace: one of objective, .*got 'test.accuracy'"),
        ('kind = "density"\nmetrics = ["nc1"]', "metric of a density"),
        (
            'kind = "against"\nmetrics = ["nc1"]',
            r"outputs.o.x: given with 'against' or 'scatter', and only there; got None",
        ),
        ('kind = "table"\nmetrics = ["nc1"]\nx = "nc3"', r"outputs.o.x: .*got 'nc3' with 'table'"),
        ('kind = "against"\nmetrics = ["nc1"]\nx = "n"', "metric of a against: .*got 'n'"),
        (
            'kind = "table"\nsplits = ["test"]',
            r"outputs.o.splits: used only with 'classes' or 'projection'; got",
        ),
        ('kind = "table"\nspread = "range"', r"outputs.o.spread: used only with 'against' or .*; got 'table'"),
        (
            'kind = "table"\nminus = { CE = "CE" }',
            r"outputs.o.minus: used only with 'conditions' or 'difference'; got 'table'",
        ),
        ('kind = "difference"\nminus = { CE = "LS" }', r"arm of outputs.o.minus: one of CE; got 'LS'"),
        ('kind = "conditions"', r"outputs.o.noise: at least two kinds; got \[0.0\]"),
        (
            'kind = "projection"',
            "outputs.o: classes: three classes at every scale, for a projection; got none",
        ),
        (
            'kind = "trace"\nmetrics = ["information"]',
            "for 'information'; got none at 'smoke'; add the key 'classes'",
        ),
        ('kind = "table"\nmetrics = ["projection.dc.test"]', "three classes at every scale, for 'projection.dc.test'"),
        ('kind = "against"\nmetrics = ["nc1"]\nx = "information"', "three classes at every scale, for 'information'"),
    ],
)
def test_a_wrong_combination_is_refused_by_name(tmp_path, output, text) -> None:
    with pytest.raises(InputError, match=text):
        read(tmp_path, output)


@pytest.mark.parametrize("classes", ["[1, 1, 2]", "[0, 1, 10]", "[0, -1, 2]"])
def test_three_classes_are_three_different_ones_of_the_data(tmp_path, classes) -> None:
    with pytest.raises(InputError, match=r"classes: three different classes of the data; got .* at 'smoke'"):
        read(tmp_path, 'kind = "projection"', classes=classes)


def test_a_claim_on_three_classes_needs_them_too(tmp_path) -> None:
    with pytest.raises(InputError, match="claim a: classes: three classes at every scale, for 'information'"):
        read(tmp_path, 'kind = "table"', claims=claim("information"))


def test_a_claim_on_an_unknown_number_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"study.toml: claim a: metric: .*got 'seperation'; did you mean 'separation'"):
        read(tmp_path, 'kind = "table"', claims=claim("seperation"))


@pytest.mark.parametrize(
    "output",
    [
        'kind = "table"\nmetrics = ["test.accuracy", "nc2.angles", "stability.inter.scalar", "information"]',
        'kind = "projection"\nsplits = ["train", "test"]\nmetrics = ["projection.ratio.train"]',
        'kind = "classes"\nsplits = ["test"]',
        'kind = "trace"\nmetrics = ["objective", "validation_accuracy", "validation_nll", "information"]',
        'kind = "against"\nx = "smoothing"\nmetrics = ["test.error", "probe.accuracy"]',
    ],
)
def test_what_each_kind_shows_is_accepted(tmp_path, output) -> None:
    study = read(tmp_path, output, classes="[3, 8, 0]", claims=claim("separation"))
    assert study.scales["smoke"].classes == (3, 8, 0)


def test_an_output_that_is_not_available_needs_no_classes(tmp_path) -> None:
    study = read(tmp_path, 'kind = "projection"\nunavailable = "not here"')
    assert study.outputs["o"].unavailable == "not here"
