"""Corrections: by a transition that is specified, handed over or learned; by hand on three classes."""

import math

import pytest
import torch
from pydantic import TypeAdapter

from softtargets import noise
from softtargets._errors import InputError
from softtargets.matrices import Transition
from softtargets.objectives import AnyObjective, Batch, Objective, ObjectiveContext

MATRIX = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.8, 0.2], [0.1, 0.0, 0.9]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 1])
LOGITS = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0], [0.0, 0.0, 3.0], [4.0, -1.0, 0.0]])
BATCH = Batch(torch.zeros(4, 1), LABELS, torch.arange(4))

KNOWN = {"name": "known"}
ESTIMATED = {"name": "estimated", "estimator": "dual_t", "percentile": 97.0}


def _objective(given: Transition | None = None, /, **spec) -> Objective:
    context = ObjectiveContext(num_examples=4, num_classes=3, transition=given)
    return TypeAdapter(AnyObjective).validate_python(spec).started(context)


def _symmetric(rate: float) -> torch.Tensor:
    return torch.full((3, 3), rate / 2, dtype=torch.float64) + (1 - 1.5 * rate) * torch.eye(3, dtype=torch.float64)


# what a specification says, and the matrix that it means when MATRIX is handed over
SOURCES = [
    ({"noise_rate": 0.3}, _symmetric(0.3)),
    ({"noise_rate": 0.3, "inclusive": True}, _symmetric(0.2)),
    ({"transition": {"name": "symmetric", "rate": 0.3}}, _symmetric(0.3)),
    ({"transition": {"name": "symmetric", "rate": 0.3, "inclusive": True}}, _symmetric(0.2)),
    ({"transition": KNOWN}, MATRIX),
    ({"transition": ESTIMATED}, MATRIX),
]


@pytest.mark.parametrize(("source", "matrix"), SOURCES)
def test_forward_is_the_loss_of_the_observed_labels_probability(source, matrix) -> None:
    objective = _objective(Transition.wrap(MATRIX), name="forward", **source)
    observed = LOGITS.double().softmax(-1) @ matrix
    expected = [-math.log(row[label]) for row, label in zip(observed.tolist(), LABELS.tolist(), strict=True)]
    found = objective.losses(LOGITS, BATCH)
    torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-6)
    assert torch.equal(objective.risk(found), found.mean())
    torch.testing.assert_close(objective.current_transition(), matrix)


@pytest.mark.parametrize(("source", "matrix"), SOURCES)
def test_backward_weighs_losses_with_the_inverse(source, matrix) -> None:
    objective = _objective(Transition.wrap(MATRIX), name="backward", **source)
    of_all_labels = -LOGITS.double().log_softmax(-1)
    expected = (torch.linalg.inv(matrix)[LABELS] * of_all_labels).sum(-1)
    torch.testing.assert_close(objective.losses(LOGITS, BATCH).double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(objective.current_transition(), matrix)


@pytest.mark.parametrize(
    ("source", "bound"),
    [
        ({"bound": 2.5}, 2.5),
        ({"transition": {"name": "symmetric", "rate": 0.5}}, 1.5 * math.log(2)),
        ({"transition": KNOWN}, float(torch.special.entr(MATRIX).sum() / 3)),
    ],
)
def test_loss_bound_turns_the_risk_round_at_the_bound(source, bound) -> None:
    objective = _objective(Transition.wrap(MATRIX), name="loss_bound", **source)
    found = objective.losses(LOGITS, BATCH)
    torch.testing.assert_close(found, -LOGITS.log_softmax(-1)[torch.arange(4), LABELS])
    for mean in (bound / 2, 2 * bound):
        risk = float(objective.risk(torch.tensor([0.5 * mean, 1.5 * mean], dtype=torch.float64)))
        assert risk == pytest.approx(abs(mean - bound) + bound)
    assert (objective.current_transition() is None) == ("bound" in source)


@pytest.mark.parametrize("name", ["forward", "backward", "loss_bound"])
@pytest.mark.parametrize("source", [KNOWN, ESTIMATED])
def test_a_transition_that_was_not_handed_over_is_asked_for(name, source) -> None:
    with pytest.raises(
        InputError, match=r"^objective\.transition: a transition .*; got none; pass ObjectiveContext\(transition="
    ):
        _objective(None, name=name, transition=source)


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_a_sparse_transition_is_as_good_as_its_matrix(name) -> None:
    matrix = torch.tensor([[0.8, 0.2, 0.0], [0.0, 0.8, 0.2], [0.2, 0.0, 0.8]], dtype=torch.float64)
    sparse, dense = noise.pair_flip(0.2, 3), Transition.wrap(matrix)
    assert sparse.matrix is None
    found, expected = (
        _objective(given, name=name, transition=KNOWN).losses(LOGITS, BATCH) for given in (sparse, dense)
    )
    torch.testing.assert_close(found, expected)


def test_a_transition_of_other_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"^objective\.transition: 3 classes, as the data set; got 4; "):
        _objective(Transition.symmetric(0.2, 4), name="forward", transition=KNOWN)


@pytest.mark.parametrize("given", [Transition.wrap(MATRIX), noise.pair_flip(0.2, 3)], ids=["dense", "sparse"])
def test_a_transition_is_put_where_batches_are(given) -> None:
    context = ObjectiveContext(4, 3, torch.device("meta"), transition=given)
    spec = TypeAdapter(AnyObjective).validate_python({"name": "forward", "transition": KNOWN})
    transition = spec.started(context).current_transition()
    assert transition is not None
    assert transition.device.type == "meta"


def test_a_learned_transition_is_trained_and_resumed() -> None:
    objective = _objective(name="learned_transition", weight=0.5, initial=0.0)
    # sigmoid(0) beside a diagonal of 1
    start = torch.tensor([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]) / 4
    observed = (LOGITS.softmax(-1) @ start)[torch.arange(4), LABELS]
    expected = -observed.log() + 0.5 * math.log(1 / 16)  # eigenvalues 1, 1/4, 1/4
    torch.testing.assert_close(objective.losses(LOGITS, BATCH), expected)
    torch.testing.assert_close(objective.current_transition(), start)
    assert [name for name, _ in objective.parameters()] == ["scores"]

    def step(trained: Objective) -> torch.Tensor:
        scores = next(parameter for _, parameter in trained.parameters())
        (gradient,) = torch.autograd.grad(trained.risk(trained.losses(LOGITS, BATCH)), [scores])
        with torch.no_grad():
            scores.sub_(gradient)
        return scores.detach().clone()

    first = step(objective)
    assert not torch.equal(first, torch.zeros(3, 3))
    resumed = _objective(name="learned_transition", weight=0.5, initial=0.0)
    state = objective.state_dict()
    second = step(objective)
    assert torch.equal(state["scores"], first), "a state does not change with what goes on"
    resumed.load_state_dict(state)
    assert torch.equal(step(resumed), second)
