"""Specifications of objectives: defaults, what they refuse and in which words, and which need a transition."""

import pytest
from pydantic import TypeAdapter

from softtargets._errors import InputError
from softtargets.noise.estimators.registry import observed_label_estimators
from softtargets.objectives import OBJECTIVES, AnyObjective, Objective
from softtargets.objectives.transitions import EstimatedTransition
from softtargets.runs.spec import RunSpec

BASE = {"model": {"name": "mlp"}, "training": {"epochs": 2, "average_decay": 0.9}}


def _parse(**objective) -> Objective:
    return RunSpec.parse({**BASE, "objective": objective}, source="my.toml").objective


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (
            {"name": "forward"},
            "objective.noise_rate: required, unless transition is given; got neither; "
            "give one, such as transition = { name = 'known' }",
        ),
        (
            {"name": "backward", "noise_rate": 0.1, "transition": {"name": "known"}},
            "objective.noise_rate: either this or transition; got both; drop one of the two",
        ),
        (
            {"name": "forward", "inclusive": True, "transition": {"name": "known"}},
            "objective.inclusive: false if transition is given; got True; set it in the transition",
        ),
        (
            {"name": "loss_bound"},
            "objective.bound: either this or transition; got neither; give one of the two",
        ),
        (
            {"name": "loss_bound", "bound": 0.5, "transition": {"name": "known"}},
            "objective.bound: either this or transition; got both; give one of the two",
        ),
        (
            {"name": "forward", "transition": {"name": "know"}},
            "objective.transition.name: one of symmetric, known, file, estimated; got 'know'; did you mean 'known'?",
        ),
        (
            {"name": "forward", "transition": {"name": "symmetric", "rate": 1.5}},
            "objective.transition.rate: at most 1; got 1.5; give a smaller value",
        ),
        (
            {"name": "forward", "transition": {"name": "estimated", "estimator": "anchors"}},
            f"objective.transition.estimator: one of {', '.join(observed_label_estimators())}; got 'anchors'; "
            "did you mean 'anchor'?",
        ),
        (
            {
                "name": "forward",
                "transition": {"name": "estimated", "estimator": "confident_joint", "percentile": 97.0},
            },
            "objective.transition.percentile: none for 'confident_joint'; got 97; drop it",
        ),
        (
            {"name": "negative_smoothing", "smoothing": 0.1},
            "objective.smoothing: below 0; got 0.1; give a smaller value",
        ),
        (
            {"name": "cores", "ramp_from": 0.5},
            "objective.ramp_to: at least ramp_from, 0.5; got 0.39; increase ramp_to or decrease ramp_from",
        ),
        (
            {"name": "scheduled_smoothing", "ramp_from": 0.5, "ramp_to": 0.2},
            "objective.ramp_to: at least ramp_from, 0.5; got 0.2; increase ramp_to or decrease ramp_from",
        ),
        (
            {"name": "mixup", "loss": {"name": "zipf_penalty"}},
            "objective.loss: an objective of soft targets: "
            f"{', '.join(name for name, kind in OBJECTIVES.items() if kind.takes_soft_targets)}; "
            "got 'zipf_penalty'; use one of these",
        ),
        (
            {"name": "cutmix", "loss": {"name": "focul"}},
            f"objective.loss.name: one of {', '.join(OBJECTIVES)}; got 'focul'; did you mean 'focal'?",
        ),
        (
            {"name": "cutmix", "loss": {"name": "focal", "gamma": -1.0}},
            "objective.loss.gamma: at least 0; got -1.0; give a larger value",
        ),
        (
            {"name": "mixup", "per_example": 1},
            "objective.per_example: true or false; got 1; write one of the two, without quotes",
        ),
        (
            {"name": "prior_smoothing", "prior": [0.0, 0.0]},
            "objective.prior: a sum above 0, finite; got 0; give one class a number above 0",
        ),
        (
            {"name": "prior_smoothing", "prior": [0.5, -0.5]},
            "objective.prior.1: at least 0; got -0.5; give a larger value",
        ),
        (
            {"name": "class_weights", "weights": [0.0, 0.0]},
            "objective.weights: a number above 0 for at least one class; got [0.0, 0.0]; give one",
        ),
        (
            {"name": "hierarchical_smoothing"},
            "objective.hierarchy: either this or distance; got neither; give one of the two",
        ),
        (
            {"name": "hierarchical_smoothing", "hierarchy": {"pets": {}}},
            "objective.hierarchy: at least one branch in every table; got none in hierarchy.pets; drop that table",
        ),
        (
            {"name": "hierarchical_smoothing", "hierarchy": {"pets": "cat"}},
            "objective.hierarchy: the path of a file, or tables whose innermost values are lists of classes; "
            "got 'cat' in hierarchy.pets; write a list of classes there",
        ),
        (
            {"name": "hierarchical_smoothing", "hierarchy": {"pets": ["cat", 1.5]}},
            "objective.hierarchy: class names or indices in the innermost lists; got 1.5 in hierarchy.pets; "
            "write the classes of that branch",
        ),
        (
            {"name": "votes", "aggregation": "majority", "pseudo_count": 0.5},
            "objective.pseudo_count: 0 with aggregation = 'majority'; got 0.5; drop one of them",
        ),
        (
            {"name": "class_table"},
            "objective.table: required; got nothing; add this key",
        ),
        (
            {"name": "distillation", "other_weight": 2.0},
            "objective.other_weight: not given with loss = 'kl'; got 2; drop it or use 'dkd'",
        ),
        (
            {"name": "distillation", "cache": {"residual": "ghost"}},
            "objective.cache.residual: 'uniform' or 'drop' without k; got 'ghost'; give k, or drop the residual",
        ),
        ({"name": "generalized_cross_entropy", "q": 1.2}, "objective.q: at most 1; got 1.2; give a smaller value"),
        (
            {"name": "distillation", "weight": 9.0},
            "objective.weight: at most 1 if label_weight is not given; got 9; give label_weight too",
        ),
        (
            {"name": "distillation", "loss": "dkd", "standardized": True},
            "objective.standardized: not given with loss = 'dkd'; got True; drop it or use 'kl'",
        ),
        (
            {"name": "distillation", "loss": "mse", "temperature": 2.0},
            "objective.temperature: 1 with loss = 'mse'; got 2; drop it or use 'kl'",
        ),
        (
            {"name": "distillation", "loss": "dist", "scale": "none"},
            "objective.scale: not given with loss = 'dist'; got 'none'; drop it or use 'kl'",
        ),
        (
            {"name": "distillation", "source": "average", "cache": {}},
            "objective.cache: none with source = 'average'; got one; "
            "drop the cache: a running average changes after every step",
        ),
        (
            {"name": "distillation", "loss": "mse", "cache": {}},
            "objective.cache: none with loss = 'mse'; got one; "
            "drop the cache, which keeps probabilities but no logits, or use another loss",
        ),
        (
            {"name": "distillation", "loss": "dist", "cache": {"k": 5}},
            "objective.cache: one of all classes with loss = 'dist'; got fewer; "
            "use 'top_k' without k, or the loss 'kl'",
        ),
        (
            {"name": "distillation", "standardized": True, "cache": {"kind": "sampled", "draws": 5}},
            "objective.cache: one of all classes with standardized; got draws; use 'top_k' without k, or drop that",
        ),
        (
            {"name": "distillation", "cache": {"kind": "sampled"}},
            "objective.cache.draws: required with kind = 'sampled'; got None; give a number, such as 50",
        ),
        (
            {"name": "distillation", "cache": {"kind": "sampled", "draws": 5, "k": 3}},
            "objective.cache.k: left out with kind = 'sampled'; got 3; drop it",
        ),
        (
            {"name": "distillation", "cache": {"proposal_temperature": 2.0}},
            "objective.cache.proposal_temperature: left out with kind = 'top_k'; got 2.0; drop it",
        ),
        ({"name": "distillation", "cache": {"k": 0}}, "objective.cache.k: above 0; got 0; give a larger value"),
    ],
)
def test_a_bad_objective_is_refused_in_these_words(objective, text) -> None:
    with pytest.raises(InputError) as caught:
        _parse(**objective)
    assert str(caught.value) == f"my.toml: {text}"


ESTIMATED = {"name": "estimated", "estimator": "dual_t", "percentile": 97.0}


@pytest.mark.parametrize(
    ("objective", "needed"),
    [
        ({"name": "cross_entropy"}, None),
        ({"name": "learned_transition"}, None),
        ({"name": "forward", "noise_rate": 0.2}, None),
        ({"name": "backward", "transition": {"name": "symmetric", "rate": 0.2}}, None),
        ({"name": "loss_bound", "bound": 0.5}, None),
        ({"name": "forward", "transition": {"name": "known"}}, "known"),
        ({"name": "loss_bound", "transition": {"name": "known"}}, "known"),
        ({"name": "backward", "transition": ESTIMATED}, EstimatedTransition(estimator="dual_t", percentile=97.0)),
    ],
)
def test_the_transition_that_has_to_be_handed_over_is_said(objective, needed) -> None:
    assert _parse(**objective).needs_transition() == needed


def test_a_correction_written_as_before_is_the_same_run_as_before() -> None:
    spec = TypeAdapter(AnyObjective).validate_python({"name": "forward", "noise_rate": 0.2, "inclusive": True})
    assert spec.model_dump(exclude_none=True) == {"name": "forward", "noise_rate": 0.2, "inclusive": True}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"name": "mixup"}, {"name": "mixup", "concentration": 0.2, "smoothing": 0.0}),
        ({"name": "mixup", "per_example": False}, {"name": "mixup", "concentration": 0.2, "smoothing": 0.0}),
        (
            {"name": "mixup", "per_example": True},
            {"name": "mixup", "concentration": 0.2, "smoothing": 0.0, "per_example": True},
        ),
    ],
)
def test_a_setting_that_is_off_is_no_part_of_the_identity(written, kept) -> None:
    assert _parse(**written).model_dump(mode="json", exclude_none=True) == kept
