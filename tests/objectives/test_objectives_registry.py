"""What holds for every registered objective: read as written, started, trained by a loss per example, resumed."""

import pickle

import pytest
import torch

from softtargets._errors import InputError
from softtargets._spec import NamedSpec, register
from softtargets.matrices import Transition
from softtargets.objectives import OBJECTIVES, Batch, Objective, ObjectiveContext, objective
from softtargets.objectives.transitions import SOURCES
from softtargets.runs.spec import RunSpec

N, K = 6, 4
BASE = {"model": {"name": "mlp"}, "training": {"epochs": 2, "average_decay": 0.9}}
# what has no default
NEEDED = {
    "forward": {"transition": {"name": "estimated", "estimator": "dual_t", "percentile": 97.0}},
    "backward": {"noise_rate": 0.2},
    "loss_bound": {"transition": {"name": "known"}},
    "distillation": {"source": "average", "weight": 0.3},
}
every_objective = pytest.mark.parametrize("name", OBJECTIVES)


def _parsed(name: str) -> Objective:
    return RunSpec.parse({**BASE, "objective": {"name": name, **NEEDED.get(name, {})}}).objective


def _started(name: str) -> Objective:
    logits = torch.randn(1, N, K, generator=torch.Generator().manual_seed(1))
    return _parsed(name).started(
        ObjectiveContext(
            num_examples=20,
            num_classes=K,
            transition=Transition.symmetric(0.2, K),
            epochs=2,
            teacher=lambda ids, inputs: logits,
        )
    )


def _step(trained: Objective, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    batch = Batch(torch.randn(N, 3, generator=draw), torch.randint(0, K, (N,), generator=draw), torch.arange(N) + 5)
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
def test_it_is_read_as_written(name) -> None:
    spec = _parsed(name)
    assert type(spec) is OBJECTIVES[name]
    assert spec == OBJECTIVES[name](**NEEDED.get(name, {}))
    content = spec.model_dump(mode="json", exclude_none=True)
    assert content["name"] == spec.name == name
    assert RunSpec.parse({**BASE, "objective": content}).objective == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


@every_objective
def test_it_gives_one_finite_loss_per_example_and_a_finite_gradient(name) -> None:
    trained = _started(name)
    for epoch in range(2):
        for seed in range(2):
            found = _step(trained, seed)
            assert found.shape == (N,)
            assert torch.isfinite(found).all()
        trained.end_epoch(epoch)


@every_objective
def test_it_is_resumed_from_its_state(name) -> None:
    whole, resumed = _started(name), _started(name)
    _step(whole, 0)
    whole.end_epoch(0)
    resumed.load_state_dict({key: torch.as_tensor(value).clone() for key, value in whole.state_dict().items()})
    for seed in (1, 2):
        assert torch.equal(_step(resumed, seed), _step(whole, seed))


@every_objective
def test_a_specification_is_not_changed_by_its_start(name) -> None:
    spec, before = _parsed(name), _parsed(name)
    context = ObjectiveContext(20, K, transition=Transition.symmetric(0.2, K), teacher=lambda ids, inputs: inputs)
    assert spec.started(context) is not spec
    assert spec == before
    assert hash(spec) == hash(before)


@every_objective
def test_its_own_parameters_are_in_its_state(name) -> None:
    trained = _started(name)
    assert {key for key, _ in trained.parameters()} <= trained.state_dict().keys()


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
