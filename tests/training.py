"""Training in a test's own process."""

from softtargets.runs.spec import ResolvedRun
from softtargets.runs.store import RunStore
from softtargets.train.execute import Outcome
from softtargets.train.schedule import train_all


def train(resolved: ResolvedRun, store: RunStore, *, checkpoint_seconds: float = 20.0) -> Outcome:
    """Train a run after the runs that it needs, as the scheduler does, and return its own outcome."""
    outcomes = train_all([resolved], store, workers=1, checkpoint_seconds=checkpoint_seconds)
    return next(outcome for outcome in outcomes if outcome.identity == resolved.identity)
