"""What holds for every registered objective: read as written, started, trained by a loss per example, resumed."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_specs import specification

from softtargets import targets
from softtargets._errors import InputError
from softtargets._spec import NamedSpec, register
from softtargets.matrices import Transition
from softtargets.objectives import OBJECTIVES, Batch, Objective, ObjectiveContext, TrainingData, objective
from softtargets.objectives.target_rules import TargetRule
from softtargets.objectives.transitions import SOURCES
from softtargets.runs.spec import RunSpec

N, K = 6, 4
BASE = {"model": {"name": "mlp"}, "training": {"epochs": 2, "average_decay": 0.9}}
CLASSES = ("cat", "dog", "bird", "fish")
TEXTS = ("a cat and a mouse", "the dog barks", "a bird in the tree", "a fish in the sea", "the cat sleeps")
DATA = TrainingData(
    class_names=CLASSES,
    input_shape=(3, 8, 8),
    labels=torch.arange(20) % K,
    train=torch.arange(2, 18),
    source=torch.arange(20),
    texts=tuple(TEXTS[row % K] + f" {TEXTS[row % 5]}" for row in range(20)),
)
# sources of transitions that the context has
TRANSITIONS = {
    "forward": {"transition": {"name": "estimated", "estimator": "dual_t", "percentile": 97.0}},
    "loss_bound": {"transition": {"name": "known"}},
}
every_objective = pytest.mark.parametrize("name", OBJECTIVES)


@pytest.fixture
def written(tmp_path) -> Callable[[str], dict[str, Any]]:
    """Return a function from the name of an objective to the content of its specification."""

    def write(name: str) -> dict[str, Any]:
        content = {"name": name, **TRANSITIONS[name]} if name in TRANSITIONS else None
        return content or specification(name, tmp_path, CLASSES, DATA.labels.tolist())

    return write


def _parse(content: dict[str, Any]) -> Objective:
    return RunSpec.parse({**BASE, "objective": content}).objective


@pytest.fixture
def parsed(written) -> Callable[[str], Objective]:
    """Return a function from the name of an objective to its specification."""
    return lambda name: _parse(written(name))


@pytest.fixture
def started(parsed) -> Callable[[str], Objective]:
    """Return a function from the name of an objective to one that can train."""
    return lambda name: parsed(name).started(_context())


def _context(**changes) -> ObjectiveContext:
    logits = torch.randn(1, N, K, generator=torch.Generator().manual_seed(1))
    context = ObjectiveContext(
        num_examples=20,
        num_classes=K,
        transition=Transition.symmetric(0.2, K),
        epochs=2,
        teacher=lambda ids, inputs: logits,
        data=DATA,
    )
    return replace(context, **changes)


def _batch(draw: torch.Generator) -> Batch:
    inputs = torch.randn(N, 3, 8, 8, generator=draw)
    return Batch(inputs, torch.randint(0, K, (N,), generator=draw), torch.arange(N) + 5)


def _step(trained: Objective, seed: int, labelled: torch.Tensor | None = None) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    batch = replace(_batch(draw), labelled=labelled)
    if labelled is not None:
        batch = replace(batch, labels=batch.labels.masked_fill(~labelled, -1))
    logits = torch.randn(N, K, generator=draw, requires_grad=True)
    batch = trained.prepare(batch, draw)
    trained.observe(batch, logits.detach())
    found = trained.losses(logits, batch)
    trained.risk(found).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    return found.detach()


@every_objective
def test_it_says_what_it_is_in_one_sentence(name) -> None:
    first, _, rest = (OBJECTIVES[name].__doc__ or "").partition("\n")
    assert first.endswith(".")
    assert len(first) <= 120
    assert not rest or rest.startswith("\n")


@every_objective
def test_it_is_read_as_written(written, name) -> None:
    spec = _parse(written(name))
    assert type(spec) is OBJECTIVES[name]
    assert spec == OBJECTIVES[name](**written(name))
    content = spec.model_dump(mode="json", exclude_none=True)
    assert content["name"] == spec.name == name
    assert _parse(content) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


@every_objective
def test_it_gives_one_finite_loss_per_example_and_a_finite_gradient(started, name) -> None:
    trained = started(name)
    for epoch in range(2):
        for seed in range(2):
            found = _step(trained, seed)
            assert found.shape == (N,)
            assert torch.isfinite(found).all()
        trained.end_epoch(epoch)


@every_objective
def test_it_is_resumed_from_its_state(started, name) -> None:
    whole, resumed = started(name), started(name)
    _step(whole, 0)
    whole.end_epoch(0)
    resumed.load_state_dict({key: torch.as_tensor(value).clone() for key, value in whole.state_dict().items()})
    for seed in (1, 2):
        assert torch.equal(_step(resumed, seed), _step(whole, seed))


@every_objective
def test_a_specification_is_not_changed_by_its_start(parsed, name) -> None:
    spec, before = parsed(name), parsed(name)
    assert spec.started(_context()) is not spec
    assert spec == before
    assert hash(spec) == hash(before)


@every_objective
def test_its_own_parameters_are_in_its_state(started, name) -> None:
    trained = started(name)
    assert {key for key, _ in trained.parameters()} <= trained.state_dict().keys()


@every_objective
def test_its_numbers_are_validated(written, name) -> None:
    kind = OBJECTIVES[name]
    numbers = [field for field, info in kind.model_fields.items() if type(info.default) in (int, float)]
    for field in numbers:
        for bad in ("much", float("nan"), True):
            with pytest.raises(InputError, match=rf"specification: objective\.{field}: "):
                _parse({**written(name), field: bad})
    with pytest.raises(InputError, match=r"objective: key: one of .*; got 'wieght'"):
        _parse({**written(name), "wieght": 1.0})


@every_objective
def test_it_draws_from_the_given_generator_alone(started, name) -> None:
    before = torch.get_rng_state()
    first, second = _step(started(name), 3), _step(started(name), 3)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.takes_soft_targets])
def test_one_hot_targets_are_as_good_as_labels(started, name) -> None:
    if issubclass(OBJECTIVES[name], TargetRule):
        return  # it makes the targets, from labels
    draw = torch.Generator().manual_seed(0)
    batch, logits = _batch(draw), torch.randn(N, K, generator=draw)
    one_hot = replace(batch, targets=targets.dense(torch.eye(K)[batch.labels]))
    of_labels, of_targets = started(name), started(name)
    for trained, given in ((of_labels, batch), (of_targets, one_hot)):
        trained.observe(given, logits)
    losses = of_labels.losses(logits, batch)
    torch.testing.assert_close(of_targets.losses(logits, one_hot).float(), losses.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(of_targets.risk(losses), of_labels.risk(losses))
    torch.testing.assert_close(of_targets.batch_loss(logits, one_hot), of_labels.batch_loss(logits, batch))


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.takes_soft_targets])
@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_its_targets_are_mixed(written, mixing, name) -> None:
    spec = _parse({"name": mixing, "loss": written(name)})
    assert spec.model_dump(mode="json", exclude_none=True)["loss"]["name"] == name
    whole, resumed = spec.started(_context()), spec.started(_context())
    assert torch.isfinite(_step(whole, 0)).all()
    whole.end_epoch(0)
    resumed.load_state_dict({key: torch.as_tensor(value).clone() for key, value in whole.state_dict().items()})
    assert torch.equal(_step(resumed, 1), _step(whole, 1))


@pytest.mark.parametrize("name", [name for name, kind in OBJECTIVES.items() if kind.uses_unlabelled])
def test_a_row_without_a_label_is_used_without_it(started, name) -> None:
    labelled = torch.tensor([True, False, True, True, False, True])
    trained = started(name)
    _step(trained, 0)
    trained.end_epoch(0)
    assert torch.isfinite(_step(trained, 1, labelled)).all()
    draw = torch.Generator().manual_seed(2)
    batch, logits = _batch(draw), torch.randn(N, K, generator=draw)
    found = []
    for label in (-1, 0, 3):
        some = replace(batch, labels=batch.labels.masked_fill(~labelled, label), labelled=labelled)
        some = trained.prepare(some, draw)
        found.append(trained.risk(trained.losses(logits, some)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@every_objective
def test_files_are_part_of_the_identity_by_their_content(written, tmp_path, name) -> None:
    if not OBJECTIVES[name].places:
        assert _parse(written(name)).fingerprint() is None
        return
    place = OBJECTIVES[name].places[0]
    paths = [tmp_path / "side-1.csv", tmp_path / "side-2.csv"]
    for path in paths:
        path.write_text("some bytes")
    rest = {key: value for key, value in written(name).items() if key not in OBJECTIVES[name].places}
    one, two = (_parse({**rest, place: str(path)}) for path in paths)
    dumped = [spec.without_places(spec.model_dump(mode="json", exclude_none=True)) for spec in (one, two)]
    assert dumped[0] == dumped[1]
    assert one.fingerprint() == two.fingerprint() is not None
    paths[1].write_text("other bytes")
    assert one.fingerprint() != two.fingerprint()
    nested = _parse({"name": "mixup", "loss": {**rest, place: str(paths[0])}})
    assert nested.fingerprint() == one.fingerprint()
    assert place not in nested.without_places(nested.model_dump(mode="json", exclude_none=True))["loss"]
    paths[0].unlink()
    with pytest.raises(
        InputError, match=rf"^objective\.{place}: an existing file; got '.*side-1.csv'; did you mean '.*side-2"
    ):
        one.fingerprint()
    with pytest.raises(InputError, match=rf"^objective\.loss\.{place}: an existing file; "):
        nested.fingerprint()


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_of_transitions_says_what_it_is(name) -> None:
    first = (SOURCES[name].__doc__ or "").partition("\n")[0]
    assert first.endswith(".")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(InputError, match="name: a name that is not registered yet; got 'focal' for Another"):

        @objective("focal")
        class Another(Objective):
            def losses(self, logits, batch):
                return logits.sum(-1)

    assert OBJECTIVES["focal"].__name__ == "Focal"


def test_a_registered_class_has_its_name_and_no_other() -> None:
    registry: dict[str, type[NamedSpec]] = {}

    @register(registry, "one")
    class One(NamedSpec):
        """The one."""

        size: int = 1

    assert registry == {"one": One}
    assert One(size=2).model_dump() == {"size": 2, "name": "one"}
    assert (One.__doc__, One.__name__, One.__module__) == ("The one.", "One", __name__)
    with pytest.raises(InputError, match="name: one of one; got 'two'; use one of these"):
        One.parse({"name": "two"})


def test_a_method_that_gives_no_losses_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Objective()  # pyright: ignore[reportAbstractUsage]
