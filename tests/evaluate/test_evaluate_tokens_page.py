"""The page of an evaluation of sequences: numbers, words, and what fits on a screen."""

import pytest
from evaluate.test_evaluate_page import Reader, words_of
from evaluate.token_examples import simulate

from softtargets.evaluate import EvaluationOptions, EvaluationResults, catalog, evaluate_predictions, page


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    logits, labels = simulate(300, 40, 7, sharpness=2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "FEWER", 50)
        options = EvaluationOptions(n_draws=50, name="model")
        return evaluate_predictions(logits=logits, labels=labels, against={"other": logits / 2}, options=options)


@pytest.fixture(scope="module")
def built(results) -> dict[str, bytes]:
    return page.build(results)


def test_numbers_on_the_page_are_those_of_the_results(results, built):
    shown = Reader(built["index.html"].decode()).values
    for model in results.models:
        for table in model.tokens.tables:
            for one in table.ranges:
                for name in ("accuracy", "perplexity", "overconfidence", "ece"):
                    assert one.metric(name).value in shown
                assert one.after("ece").value in shown
        by_position = model.tokens.by_position
        assert {metric.value for metric in by_position.metrics if metric.name != "accuracy"} <= shown
        assert model.metric("perplexity").value in shown


def test_the_page_speaks_of_tokens_and_sequences(results, built):
    text = words_of(built["index.html"].decode())
    evaluated = f"{results.main.num_rows:,}"
    for said in (
        f"Tokens {evaluated} Sequences 300 Ignored tokens {12_000 - results.main.num_rows:,} Vocabulary 7",
        "The rows are the tokens of sequences.",
        "sequences are assigned to 1,000 random groups",
        "All tokens of a sequence are drawn together",
        "model minus the other model, paired by sequence.",
        "Over-confident at all positions.",
        "By position",
        ", each metric with its 95 % interval. “After”: after temperature scaling with one temperature.",
        "By frequency of the predicted token",
        "By frequency of the label",
        "Occurrences are counted in the labels of this evaluation.",
        "the smallest and the largest of the 5 folds. All tokens of a sequence are in one fold.",
        "Classes are not tested, since the tokens of a sequence depend on each other.",
        "(the metrics by position and frequency)",
        "Perplexity",
    ):
        assert said in text, said
    for wrong in ("Wilson", "significantly worse if", "Sorted by the upper end", "None"):
        assert wrong not in text, wrong
    assert set(built) == {"classes.csv", "tokens.csv", "evaluation.json", "index.html"}


def test_results_say_how_many_tokens_and_sequences(results):
    assert repr(results).startswith(f"EvaluationResults: {results.main.num_rows:,} tokens of 300 sequences of model,")


def test_the_page_of_sequences_fits_screens_and_paper(tmp_path, check_page, results):
    check_page(page.write_page(results, tmp_path / "page"))
