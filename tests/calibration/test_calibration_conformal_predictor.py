"""What all predictors share: fits, classes with few rows, masks, batches, files, export, and misuse."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from softtargets import calibration
from softtargets.calibration import APS, LAC, RAPS, ConformalPredictor, TemperatureScaling, load, save
from softtargets.calibration.conformal._predictor import PREDICTORS

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(300, 4, generator=generator) * 3
LABELS = torch.multinomial((LOGITS / 2).softmax(-1), 1, generator=generator)[:, 0]
UNIFORM = torch.rand(300, generator=generator, dtype=torch.float64)
ALL = [LAC, APS, RAPS]
every = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


def numbers(predictor: ConformalPredictor, rows: Any = slice(None)) -> dict[str, Any]:
    return {"uniform": UNIFORM[rows]} if predictor.randomized else {}


def fitted(kind: type, alpha: float = 0.1, **settings: Any) -> Any:
    made = kind(**settings)
    return made.fit(LOGITS, LABELS, alpha=alpha, **numbers(made))


def sets(predictor: ConformalPredictor) -> torch.Tensor:
    return predictor.predict_sets(LOGITS, **numbers(predictor))


@every
def test_the_threshold_is_the_score_of_the_rank(kind: type) -> None:
    made = fitted(kind)
    of_labels = made.scores(LOGITS, **numbers(made)).gather(1, LABELS[:, None])[:, 0]
    # ceil(301 * 0.9) = 271
    assert float(made.thresholds) == float(of_labels.sort().values[270])
    assert float(made.alpha) == 0.1
    assert made.class_rows.tolist() == LABELS.bincount().tolist()
    assert made.effective_rows.tolist() == [300]
    assert int(sets(made).gather(1, LABELS[:, None]).sum()) == 271
    again = kind().fit_scores(of_labels, LABELS, num_classes=4, alpha=0.1)
    assert again.state_dict().keys() == made.state_dict().keys()
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in again.state_dict().items())


@every
def test_a_set_does_not_depend_on_the_batch_or_on_a_shift(kind: type) -> None:
    made = fitted(kind)
    whole = sets(made)
    for rows in (slice(7, 8), slice(100, 300, 3)):
        assert torch.equal(made.predict_sets(LOGITS[rows], **numbers(made, rows)), whole[rows])
    assert torch.equal(
        made.predict_sets(LOGITS.double() - 5, **numbers(made)), made.predict_sets(LOGITS.double(), **numbers(made))
    )


@every
def test_renamed_classes_rename_the_sets(kind: type) -> None:
    renamed = torch.tensor([2, 0, 3, 1])
    made = kind()
    made.fit(LOGITS[:, renamed], renamed.argsort()[LABELS], alpha=0.1, **numbers(made))
    assert torch.equal(made.predict_sets(LOGITS[:, renamed], **numbers(made)), sets(fitted(kind))[:, renamed])


@every
def test_probabilities_are_given_by_their_logarithms(kind: type) -> None:
    logits = LOGITS.double()
    made = kind()
    by_probs = made.fit(logits.softmax(-1).log(), LABELS, alpha=0.1, **numbers(made))
    of_probs = by_probs.predict_sets(logits.softmax(-1).log(), **numbers(made))
    by_logits = kind().fit(logits, LABELS, alpha=0.1, **numbers(made))
    assert torch.equal(of_probs, by_logits.predict_sets(logits, **numbers(made)))


@every
def test_masked_and_ignored_rows_do_not_take_part(kind: type) -> None:
    mask = torch.arange(300) % 3 > 0
    labels = LABELS.clone()
    labels[5] = -100
    logits = LOGITS.clone()
    logits[0] = math.nan
    made, kept = kind(), mask & (labels >= 0)
    made.fit(logits, labels, alpha=0.2, mask=mask, **numbers(made))
    other = kind()
    other.fit(LOGITS[kept], LABELS[kept], alpha=0.2, **numbers(other, kept))
    assert torch.equal(made.thresholds, other.thresholds)
    assert int(made.class_rows.sum()) == int(kept.sum())


@every
def test_more_axes_and_classes_on_another_axis(kind: type) -> None:
    made, given = kind(), {}
    if made.randomized:
        given = {"uniform": UNIFORM.reshape(20, 15)}
    moved = LOGITS.reshape(20, 15, 4).movedim(-1, 1)
    made.fit(moved, LABELS.reshape(20, 15), alpha=0.1, class_dim=1, **given)
    assert torch.equal(made.thresholds, fitted(kind).thresholds)
    found = made.predict_sets(moved, class_dim=1, **given)
    assert found.shape == (20, 4, 15)
    assert torch.equal(found.movedim(1, -1).reshape(-1, 4), sets(fitted(kind)))
    assert made.scores(moved, class_dim=1, **given).shape == (20, 4, 15)


@every
def test_one_column_of_a_binary_problem(kind: type) -> None:
    column, labels = LOGITS[:, 0], (LABELS > 1).long()
    two = torch.stack([torch.zeros_like(column), column], 1)
    for one in (column, column[:, None]):
        made = kind()
        made.fit(one, labels, alpha=0.1, **numbers(made))
        found = made.predict_sets(one, **numbers(made))
        assert found.shape == (300, 2)
        assert torch.equal(found, made.predict_sets(two, **numbers(made)))
        assert torch.equal(made.scores(one, **numbers(made)), made.scores(two, **numbers(made)))


@every
def test_arrays_in_arrays_out(kind: type) -> None:
    made = kind()
    made.fit(LOGITS.numpy(), LABELS.numpy(), alpha=np.float64(0.1), **{k: v.numpy() for k, v in numbers(made).items()})
    assert torch.equal(made.thresholds, fitted(kind).thresholds)
    found = made.predict_sets(LOGITS.numpy(), **{k: v.numpy() for k, v in numbers(made).items()})
    assert isinstance(found, np.ndarray)
    assert found.dtype == bool


def test_random_numbers_come_from_the_global_generator() -> None:
    torch.manual_seed(3)
    first = APS().fit(LOGITS, LABELS, alpha=0.1)
    one = first.predict_sets(LOGITS)
    torch.manual_seed(3)
    second = APS().fit(LOGITS, LABELS, alpha=0.1)
    assert torch.equal(first.thresholds, second.thresholds)
    assert torch.equal(one, second.predict_sets(LOGITS))
    assert not torch.equal(one, second.predict_sets(LOGITS))


@every
def test_a_set_is_never_empty_if_asked(kind: type) -> None:
    with_empty = sets(fitted(kind, alpha=0.7))
    without = sets(fitted(kind, alpha=0.7, allow_empty=False))
    assert int((with_empty.sum(1) == 0).sum()) > 0
    assert int(without.sum(1).min()) == 1
    top = torch.nn.functional.one_hot(LOGITS.argmax(1), 4).bool()
    assert torch.equal(without, with_empty | top)


@every
def test_too_few_rows_give_all_classes_and_say_how_many_are_needed(kind: type) -> None:
    made = kind()
    said = "alpha: at least 19 clean rows for alpha = 0.05; got 18, so that every set has all classes; add rows or"
    with pytest.warns(UserWarning, match=said):
        made.fit(LOGITS[:18], LABELS[:18], alpha=0.05, **numbers(made, slice(18)))
    assert made.thresholds.tolist() == [math.inf]
    assert bool(sets(made).all())
    made.fit(LOGITS[:19], LABELS[:19], alpha=0.05, **numbers(made, slice(19)))
    assert bool(made.thresholds.isfinite())


@every
def test_each_class_has_its_own_threshold(kind: type) -> None:
    made = fitted(kind, class_conditional=True)
    for k in range(4):
        own = LABELS.eq(k)
        alone = kind()
        alone.fit(LOGITS[own], LABELS[own], alpha=0.1, **numbers(alone, own))
        assert float(made.thresholds[k]) == float(alone.thresholds)
        assert float(made.effective_rows[k]) == int(own.sum())
    scores = made.scores(LOGITS, **numbers(made))
    assert torch.equal(sets(made), scores <= made.thresholds)


@every
def test_classes_with_few_rows(kind: type) -> None:
    # 8 rows of class 0 and 5 of class 1: both too few for alpha = 0.1, which needs 9
    rows = torch.cat([LABELS.eq(k).nonzero()[:n, 0] for k, n in enumerate((8, 5, 40, 40))])
    made = kind(class_conditional=True)
    with pytest.warns(
        UserWarning, match=r"9 clean rows of each class .*; got fewer for the classes 0, 1, which are in"
    ):
        made.fit(LOGITS[rows], LABELS[rows], alpha=0.1, **numbers(made, rows))
    assert made.thresholds.isinf().tolist() == [True, True, False, False]
    assert bool(sets(made)[:, :2].all())
    merged = kind(class_conditional=True, rare="merge")
    merged.fit(LOGITS[rows], LABELS[rows], alpha=0.1, **numbers(merged, rows))
    assert merged.thresholds[2:].tolist() == made.thresholds[2:].tolist()
    both = rows[LABELS[rows] < 2]
    together = kind()
    together.fit(LOGITS[both], LABELS[both], alpha=0.1, **numbers(together, both))
    assert merged.thresholds[:2].tolist() == 2 * together.thresholds.tolist()
    assert merged.effective_rows.tolist() == [13, 13, 40, 40]


def test_a_class_without_rows_is_in_every_set() -> None:
    made = LAC(class_conditional=True)
    with pytest.warns(UserWarning, match="the classes 4, which are in every set"):
        made.fit(torch.cat([LOGITS, LOGITS[:, :1]], 1), LABELS, alpha=0.1)
    assert made.thresholds.isinf().tolist() == [False] * 4 + [True]


@every
def test_state_goes_into_a_new_object_also_inside_a_model(kind: type) -> None:
    made = fitted(kind, class_conditional=True)
    new = kind()
    model, other = (torch.nn.Sequential(one) for one in (made, new))
    other.load_state_dict(model.state_dict())
    assert new.is_fitted
    assert torch.equal(sets(new), sets(made))
    assert not list(model.parameters())
    # thresholds in lower precision would be other thresholds
    assert model.half().state_dict()["0.thresholds"].dtype == torch.float64


@every
def test_it_is_exported_and_compiled_with_its_model(kind: type) -> None:
    made = fitted(kind)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sets = made

        def forward(self, logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
            return self.sets(logits, uniform if made.randomized else None)

    shapes = ({0: torch.export.Dim("rows")}, {0: torch.export.Dim("rows")})
    exported = torch.export.export(Model(), (LOGITS, UNIFORM), dynamic_shapes=shapes)
    assert torch.equal(exported.module()(LOGITS[:7], UNIFORM[:7]), sets(made)[:7])
    compiled = torch.compile(Model(), backend="eager", fullgraph=True)
    assert torch.equal(compiled(LOGITS, UNIFORM), sets(made))


@every
def test_save_and_load_round_trip(kind: type, tmp_path: Path) -> None:
    made, path = fitted(kind, class_conditional=True, rare="merge", allow_empty=False), tmp_path / "sets.safetensors"
    save(made, path)
    for wanted in (kind, ConformalPredictor):
        again = load(path, kind=wanted)
        assert type(again) is kind
        assert torch.equal(sets(again), sets(made))
        assert [getattr(again, name) for name in kind.hyperparameters] == [
            getattr(made, name) for name in kind.hyperparameters
        ]
    with pytest.raises(
        ValueError, match=rf"sets.safetensors: class: one of TemperatureScaling.*; got '{kind.__name__}'; "
    ):
        load(path)
    save(TemperatureScaling(2.0), path)
    with pytest.raises(ValueError, match=r"class: one of LAC, APS, RAPS; got 'TemperatureScaling'"):
        load(path, kind=ConformalPredictor)


def test_every_predictor_of_the_room_can_be_saved(tmp_path: Path) -> None:
    public = [v for v in vars(calibration).values() if isinstance(v, type) and issubclass(v, ConformalPredictor)]
    assert {c.__name__: c for c in public if c is not ConformalPredictor} == PREDICTORS
    with pytest.raises(ValueError, match="calibrator: a fitted one; got an unfitted LAC"):
        save(LAC(), tmp_path / "sets")


def test_its_text() -> None:
    assert repr(LAC()) == "LAC(unfitted)"
    assert repr(fitted(LAC)).startswith("LAC(alpha=0.1, num_classes=4, rows=300, threshold=0.")
    assert repr(fitted(LAC, class_conditional=True)).endswith("threshold=per class)")


def refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    argument, required, *rest = re.split(r"[:;] ", str(caught.value), maxsplit=3)
    assert argument
    assert required
    assert len(rest) == 2


@every
def test_misuse_is_refused_before_the_fit_changes_anything(kind: type) -> None:
    made = fitted(kind)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    for alpha, error in (
        (0, ValueError),
        (1.0, ValueError),
        (math.nan, ValueError),
        ("0.1", TypeError),
        (True, TypeError),
    ):
        refused(lambda alpha=alpha: made.fit(LOGITS, LABELS, alpha=alpha), error, "alpha: a number above 0 and below 1")
    refused(lambda: made.fit(LABELS, LOGITS, alpha=0.1), TypeError, "swap logits and labels")
    refused(lambda: made.fit(LOGITS, LABELS[:9], alpha=0.1), ValueError, "labels: ")
    refused(lambda: made.fit(LOGITS, LABELS + 1, alpha=0.1), ValueError, "labels: .*4 at row")
    refused(lambda: made.fit(LOGITS, LOGITS.softmax(-1), alpha=0.1), ValueError, "labels: integer labels")
    refused(lambda: made.fit(LOGITS[:0], LABELS[:0], alpha=0.1), ValueError, "logits: at least one row")
    bad = LOGITS.clone()
    bad[3, 1] = math.nan
    refused(lambda: made.fit(bad, LABELS, alpha=0.1), ValueError, "logits: no NaN .* at row 3")
    refused(lambda: made.predict_sets(bad), ValueError, "logits: no NaN .* at row 3")
    refused(lambda: made.scores(bad), ValueError, "logits: no NaN .* at row 3")
    refused(lambda: made.predict_sets(LOGITS[:, :3]), ValueError, "logits: 4 classes on axis -1, as fitted")
    refused(lambda: made.predict_sets(LABELS), TypeError, "logits: a floating-point")
    refused(lambda: made.fit(LOGITS, LABELS, alpha=0.1, transition=torch.eye(3)), ValueError, "transition: 4 classes")
    refused(
        lambda: made.fit(LOGITS, LABELS, alpha=0.1, transition=torch.full((4, 4), 0.25)),
        ValueError,
        "transition: a matrix with an inverse; got a condition number of inf; use labels with less noise",
    )
    refused(lambda: made.fit_scores(LOGITS, LABELS, num_classes=4, alpha=0.1), ValueError, r"scores: shape \(N,\)")
    refused(lambda: made.fit_scores(UNIFORM, LABELS, num_classes=3, alpha=0.1), ValueError, "labels: ")
    refused(lambda: made.fit_scores(bad[:, 1], LABELS, num_classes=4, alpha=0.1), ValueError, "scores: .*nan at row 3")
    refused(
        lambda: kind().predict_sets(LOGITS), ValueError, f"{kind.__name__}: a fitted predictor; got an unfitted one"
    )
    refused(lambda: kind(rare="drop"), ValueError, "rare: one of include, merge; got 'drop'")
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in before.items())


def test_misuse_of_random_numbers_and_of_the_penalty() -> None:
    refused(lambda: LAC().scores(LOGITS, uniform=UNIFORM), ValueError, "uniform: nothing for LAC without randomisation")
    refused(
        lambda: APS(randomized=False).fit(LOGITS, LABELS, alpha=0.1, uniform=UNIFORM), ValueError, "uniform: nothing"
    )
    refused(lambda: APS().scores(LOGITS, uniform=UNIFORM[:9]), ValueError, r"uniform: shape \(300,\), one per row")
    refused(
        lambda: APS().scores(LOGITS, uniform=UNIFORM + 1), ValueError, r"uniform: numbers in \[0, 1\); got .* at row 0"
    )
    refused(lambda: APS().scores(LOGITS, uniform=LABELS), TypeError, "uniform: a floating-point tensor")
    refused(lambda: RAPS(penalty=-1), ValueError, "penalty: at least 0")
    refused(lambda: RAPS(k_reg=-1), ValueError, "k_reg: at least 0")
