"""The study of text smoothing as it is shipped: its plan, its quotes, its targets on real texts, and a run of it."""

import json
import random
import re
from pathlib import Path

import pytest
import torch

from softtargets.data import load
from softtargets.objectives import Batch, ObjectiveContext, TrainingData
from softtargets.objectives.texts import TextRule
from softtargets.runs.spec import RunSpec
from softtargets.studies.catalog import find, read_study
from softtargets.studies.expand import cells_of, expand, select_outputs, term_cells
from softtargets.studies.job import run_study

STUDY = read_study(find("text-smoothing"))
SHARED = Path(__file__).resolve().parents[3] / "shared"
ARTICLE = SHARED / "papers" / "overview-label-smoothing.txt"
OUTPUTS = select_outputs(STUDY, None)


def _first(scale: str, **options) -> dict[tuple[str, str], RunSpec]:
    """Return the runs of seed 0 by arm and data."""
    planned = expand(STUDY, scale, OUTPUTS, **options)
    return {(item.key.arm, str(item.key.noise)): item.run for item in planned if item.seed == 0}


@pytest.mark.parametrize("scale", ["smoke", "desk"])
def test_arms_differ_in_the_objective_alone(scale) -> None:
    runs = _first(scale)
    for (arm, data), run in runs.items():
        hard = runs["hard", data]
        if arm == "teacher":
            assert run.model != hard.model
            assert run.seeds.initialisation == 100 + hard.seeds.initialisation
        else:
            assert run.changed(objective=hard.objective.model_dump(), teachers=None) == hard
    assert {run.objective.name for run in runs.values()} == {
        *("cross_entropy", "tfidf_smoothing", "keyword_smoothing", "distillation")
    }


def test_data_are_whole_few_long_tailed_or_of_some_intents() -> None:
    runs = _first("desk")
    assert len(expand(STUDY, "desk", OUTPUTS)) == 8 * len(runs)
    for name, seen in (("clinc", 100), ("banking", 51)):
        full, few, tail, unseen = (runs["hard", f"{name}-{case}"].data for case in ("full", "few", "tail", "unseen"))
        assert (full.limit and full.limit.train, full.per_class, full.long_tail, full.classes) == (None,) * 4
        assert (few.per_class, few.long_tail) == (5, None)
        assert tail.long_tail is not None
        assert (tail.long_tail.largest, tail.long_tail.ratio) == (100, 100)
        assert (unseen.classes, unseen.per_class) == (seen, 20)


def test_claims_can_be_judged_from_the_cells_of_their_outputs() -> None:
    for claim in STUDY.claims:
        keys = set(cells_of(STUDY.model_copy(update={"claims": ()}), "desk", (claim.output,)))
        for term in claim.terms:
            assert set(term_cells(STUDY, term, "desk")) <= keys, claim.id
            assert term.metric in STUDY.outputs[claim.output].metrics, claim.id
        assert sum(term.weight for term in claim.terms) == 0, claim.id


def test_the_article_says_what_is_quoted() -> None:
    if not ARTICLE.exists():
        pytest.skip("needs overview-label-smoothing.txt in ../shared/papers beside the repository")
    text = " ".join(ARTICLE.read_text(encoding="utf-8").split())
    for claim in STUDY.claims:
        assert claim.quote in text or claim.where.endswith("in our words") or claim.where == "our question", claim.id
    page = " ".join((find("text-smoothing") / "README.md").read_text(encoding="utf-8").split())
    for quote in re.findall(r'"([^"]+)"', page):
        assert all(part.strip(" ,") in text for part in quote.split("[...]")) or quote in ("all", "others"), quote


@pytest.mark.parametrize("case", ["full", "few", "tail"])
@pytest.mark.parametrize("name", ["clinc", "banking"])
def test_on_real_texts_a_tenth_of_the_mass_moves_and_the_closest_class_gets_much_of_it(name, case) -> None:
    places = {f"{data}{n}": str(SHARED / "data" / f"{data}{n}") for data, n in (("clinc", 150), ("banking", 77))}
    if not all(Path(place).exists() for place in places.values()):
        pytest.skip("needs clinc150 and banking77 in ../shared/data beside the repository")
    runs = _first("desk", places=places)
    dataset = load(runs["kwls", f"{name}-{case}"].data)
    data = TrainingData.of(dataset, dataset.labels)
    rows = data.train[torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[:300]]
    batch = Batch(torch.zeros(len(rows), 1), data.labels[rows], rows)
    rules = {arm: run.objective for (arm, where), run in runs.items() if where == f"{name}-{case}"}
    rules = {arm: rule for arm, rule in rules.items() if isinstance(rule, TextRule)}
    assert rules.keys() >= {"tfidf", "kwls"}
    for arm, rule in rules.items():
        started = rule.started(ObjectiveContext(len(data.labels), dataset.num_classes, data=data))
        made = started.prepare(batch, torch.Generator()).targets
        assert made is not None
        dense = made.to_dense(dataset.num_classes)
        own = dense.gather(1, batch.labels[:, None])
        assert torch.allclose(own, torch.tensor(0.9), atol=1e-6)
        closest = dense.scatter(1, batch.labels[:, None], 0.0).max(1).values.mean() / 0.1
        assert 0.15 < closest < 0.7, (arm, float(closest))


def _folder(place: Path, seed: int) -> str:
    """Write made-up texts of 16 intents, each with words of its own and words that it shares with another."""
    draw = random.Random(seed)
    for split, count in (("train", 40), ("test", 15)):
        rows = []
        for intent in range(16):
            words = [f"w{intent}{letter}" for letter in "abcd"] + [f"pair{intent // 2}{letter}" for letter in "ab"]
            rows += [f"{' '.join(draw.choices(words, k=4))},topic_w{intent}a" for _ in range(count)]
        place.mkdir(exist_ok=True)
        (place / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    return str(place)


def test_a_run_of_retrieval_has_numbers_for_intents_that_were_left_out(tmp_path) -> None:
    places = {"clinc150": _folder(tmp_path / "one", 0), "banking77": _folder(tmp_path / "two", 1)}
    outcome = run_study(
        "text-smoothing",
        "retrieval-unseen",
        workers=1,
        scale="smoke",
        places=places,
        runs=tmp_path / "runs",
        reports=tmp_path / "reports",
    )
    assert (outcome.trained, outcome.failed) == (4 * 2 * 2, 0)
    content = json.loads((outcome.page.parent / "results.json").read_text())
    runs = [run for cell in content["cells"] for run in cell["runs"]]
    assert len(runs) == outcome.trained
    for run in runs:
        assert 0 < run["metrics"]["retrieval.unseen.mrr"] <= 1
