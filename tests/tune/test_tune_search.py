"""What a trial is judged by."""

from softtargets.tune.search import _pruning, scores_of


def test_votes_are_what_a_trial_is_judged_by_where_labels_are_votes() -> None:
    row = {"epoch": 1, "validation_nll": 0.4, "validation_accuracy": 0.9}
    assert scores_of(row) == (0.4, 0.9)
    assert scores_of({**row, "validation_votes_nll": 0.7, "validation_votes_accuracy": 0.8}) == (0.7, 0.8)


class _AlwaysPruned:
    def __init__(self) -> None:
        self.reported = list[tuple[float, int]]()

    def report(self, value: float, step: int) -> None:
        self.reported.append((value, step))

    def should_prune(self) -> bool:
        return True


def test_trials_are_pruned_after_the_first_half_of_their_steps_and_before_the_last() -> None:
    """A run of 60 steps with 7 per epoch, whose last epoch is cut short."""
    asked = _AlwaysPruned()
    pruned = _pruning(asked)
    rows = [{"epoch": n, "step": min(7 * n, 60), "steps": 60, "validation_nll": 1.0 / n} for n in range(1, 10)]
    answers = [pruned({**row, "validation_accuracy": 0.5}) for row in rows]
    assert answers == [False] * 4 + [True] * 4 + [False]
    assert asked.reported == [(1.0 / n, n) for n in range(1, 10)]
