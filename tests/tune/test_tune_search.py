"""What a trial is judged by."""

from softtargets.tune.search import scores_of


def test_votes_are_what_a_trial_is_judged_by_where_labels_are_votes() -> None:
    row = {"epoch": 1, "validation_nll": 0.4, "validation_accuracy": 0.9}
    assert scores_of(row) == (0.4, 0.9)
    assert scores_of({**row, "validation_votes_nll": 0.7, "validation_votes_accuracy": 0.8}) == (0.7, 0.8)
