"""Free logits that minimise the loss predict the targets, whatever the example weights are."""

import pytest
import torch
from laws_table import LABELS, PROBS, RATES, TABLE, K, N, TargetRule

from softtargets import losses, targets
from softtargets.targets import Targets

CLASS_WEIGHT = torch.tensor([0.5, 1.0, 3.0, 20.0], dtype=torch.float64)
# their loss has no minimum: entries below 0
UNBOUNDED = {"targets.backward_corrected", "targets.dense"}


def rules() -> dict[str, Targets]:
    """The rules of the laws, and those that draw, with a mass below 1, or behind a mask."""
    made = {name: law.targets(torch.arange(N)) for name, law in TABLE.items() if isinstance(law, TargetRule)}
    generator = torch.Generator().manual_seed(0)
    some = torch.tensor([True, True, False, True])
    return made | {
        "dense, of any mass": targets.dense(PROBS * (RATES[:, None] + 0.5)),
        "disturb": targets.disturb_labels(LABELS, 0.5, num_classes=K, generator=generator),
        "example of one class table": targets.from_table(LABELS, targets.localized_table(K, smoothing=0.4, width=1)),
        "sample": targets.sample(PROBS.log(), n_draws=3, proposal_temperature=2.0, generator=generator),
        "smooth by a prior": targets.smooth(LABELS, 0.3, prior=PROBS[0]),
        "smooth the others": targets.smooth(LABELS, 0.3, num_classes=K, convention="others"),
        "smooth what is valid": targets.smooth(LABELS.where(some[LABELS], torch.tensor(0)), 0.3, valid=some),
        "top_k, dropped": targets.top_k(PROBS.log(), k=2, residual="drop"),
        "top_k, prior": targets.top_k(PROBS.log(), k=2, residual="prior", prior=PROBS[1]),
    }


def learned(made: Targets, groups: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """Return the probabilities of one free row of logits per group at the minimum."""
    logits = torch.zeros(int(groups.max()) + 1, K, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=300, tolerance_grad=1e-7, tolerance_change=0, history_size=30, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = losses.reduce(losses.cross_entropy(logits[groups], made), "sum", weight=weight)
        loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    z = logits.detach() if made.valid is None else logits.detach().masked_fill(~made.valid, -torch.inf)
    return z.softmax(-1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", sorted(rules()))
def test_the_minimiser_is_the_target(name: str, weighted: bool) -> None:
    made = rules()[name]
    if name in UNBOUNDED:
        assert float(made.to_dense(K).min()) < 0
        return
    # one row of logits per label; where there is none, per example
    groups = torch.arange(N) if made.labels is None else made.labels
    total = torch.zeros(int(groups.max()) + 1, K, dtype=torch.float64).index_add(0, groups, made.to_dense(K).double())
    mass = total.sum(-1, keepdim=True)
    there = mass[:, 0] > 0
    weight = targets.example_weights(made, CLASS_WEIGHT) if weighted else None
    found = learned(made, groups, weight)[there]
    expected = (total / mass)[there]
    # an entry of 0 is approached and never met
    tolerance = 1e-6 if bool((expected > 0).all()) else 2e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_hard_labels_are_learned_with_a_margin() -> None:
    found = learned(targets.hard(LABELS), LABELS, None)
    assert bool((found.diagonal() > 0.999).all())


def test_torchs_weights_move_the_minimiser_and_ours_do_not() -> None:
    made = targets.smooth(LABELS, 0.3)
    moved = learned(targets.reweight(made, CLASS_WEIGHT), LABELS, None)
    assert int(moved[0].argmax()) == 3
    ours = learned(made, LABELS, targets.example_weights(made, CLASS_WEIGHT))
    torch.testing.assert_close(ours, targets.smooth(torch.arange(K), 0.3).to_dense(K), rtol=0, atol=1e-6)
