"""The evaluation of one model against votes, and the finding about it."""

from softtargets.evaluate.accumulate import AccumulatedModel
from softtargets.evaluate.calibrate import CalibratedModel
from softtargets.evaluate.findings import calibration_tone
from softtargets.evaluate.results import EvaluatedModel, Finding
from softtargets.evaluate.text import range_of, temperatures_of, text_of
from softtargets.evaluate.votes.results import ScaledVoteScores, VoteEvaluation
from softtargets.report import numbers

TIES = "Where several classes have the most votes, the first of them is used."


def evaluate_votes(model: AccumulatedModel, scaled: CalibratedModel | None) -> VoteEvaluation:
    """Return the evaluation of a model against votes after the two passes."""
    suite = model.votes
    assert suite is not None
    counts = suite.counts
    by_votes = by_majority = None
    if scaled is not None and scaled.votes is not None:
        by_votes = ScaledVoteScores(scaled.votes.temperatures.temperatures, scaled.votes.suite.scores())
        by_majority = ScaledVoteScores(scaled.temperatures.temperatures, scaled.votes.by_majority.scores())
    return VoteEvaluation(
        rows=counts.count,
        ties=counts.total("ties")[0],
        unanimous=counts.total("unanimous")[0],
        entropies=tuple(counts.total("entropies")),
        least=suite.least(),
        scores=suite.scores(),
        by_votes=by_votes,
        by_majority=by_majority,
    )


def find_votes(model: EvaluatedModel) -> tuple[Finding, ...]:
    """Return whether a model is calibrated against the votes, and what part of its NLL can be avoided."""
    votes = model.votes
    if votes is None:
        return ()
    ece, nll = votes.scores.metric("ece"), votes.scores.metric("nll")
    tone = calibration_tone(ece)
    title = {
        "reproduced": "Calibrated against the votes.",
        "inconclusive": "Undecided whether calibrated against the votes.",
        "contradicted": "Not calibrated against the votes.",
    }[tone]
    least = text_of(votes.least["nll"], "nats")
    ends = range_of(votes.scores.divergence_interval, "nats")
    interval = f" (95 % interval {ends})" if ends else ""
    sentences = [
        f"Against the votes, ECE is {text_of(ece.value, 'percent')} and NLL is {text_of(nll.value, 'nats')} nats, of "
        f"which {least} are the disagreement of the annotators. The rest, the divergence from the votes, is "
        f"{text_of(votes.scores.divergence, 'nats')}{interval}."
    ]
    if votes.by_votes is not None and votes.by_majority is not None:
        own, other = (
            f"T = {temperatures_of(one.temperatures)}, NLL {text_of(one.scores.metric('nll').value, 'nats')}"
            for one in (votes.by_votes, votes.by_majority)
        )
        sentences.append(
            f"A temperature fitted on the votes: {own}. One fitted on the most frequent class of each row: {other}."
        )
    return (Finding(tone, title, tuple(sentences)),)


def vote_notes(model: EvaluatedModel) -> tuple[str, ...]:
    """Return what a reader must know of labels that are votes."""
    votes = model.votes
    if votes is None:
        return ()
    tied = f" {TIES} This concerns {numbers.count(votes.ties, 'row')}." if votes.ties else ""
    return (
        "Labels are votes, or distributions over the classes. All metrics outside the section Votes use the most "
        f"frequent class of each row as its label.{tied}",
        "With few votes for a row their disagreement is a rough estimate: it is smaller, on average, than that of all "
        "annotators, and the divergence is larger.",
    )
