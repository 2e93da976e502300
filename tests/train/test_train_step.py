"""Gradient accumulation: the gradient of the parts of a batch is that of the batch, for every objective."""

import pytest
import torch
from objective_specs import CLASSES, K, N, batch_of, context, parse, specification
from safetensors.torch import load_file

from softtargets._errors import InputError
from softtargets.losses import cross_entropy, reduce
from softtargets.objectives import OBJECTIVES, Batch, Objective
from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.runs.optimization import OptimizerSpec
from softtargets.runs.store import MODEL, RunStore
from softtargets.runs.training import TrainingSpec
from softtargets.train.execute import execute, validate_setup
from softtargets.train.optimizers import build_optimizer
from softtargets.train.processes import Processes
from softtargets.train.step import Learner


def _started(name: str) -> Objective:
    content = specification(name, CLASSES)
    teacher = torch.randn(1, N, K, generator=torch.Generator().manual_seed(1))
    return parse(content).started(context(teacher=lambda ids, inputs: teacher[:, : len(ids)]))


def _step(objective: Objective, accumulate: int, *, loss_factor: float = 1.0) -> tuple[float, list[torch.Tensor]]:
    """Return the scalar and the gradients of one step of a linear network."""
    draw = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(3 * 8 * 8, K)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(K, 3 * 8 * 8, generator=draw) / 10)
        linear.bias.zero_()
    model = torch.nn.Sequential(torch.nn.Flatten(), linear)
    parameters = [*model.parameters(), *(parameter for _, parameter in objective.parameters())]
    optimizer = build_optimizer(OptimizerSpec(), [(str(n), p) for n, p in enumerate(parameters)])
    training = TrainingSpec(epochs=1, accumulate=accumulate, loss_factor=loss_factor)
    learner = Learner(model, objective, parameters, optimizer, None, None, training, K, False, Processes())
    batch = objective.prepare(batch_of(draw), torch.Generator().manual_seed(2))
    risk, _ = learner.step(batch)
    return float(risk), [parameter.grad for parameter in parameters if parameter.grad is not None]


@pytest.mark.parametrize("accumulate", [2, 4, 6, 50])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_parts_have_the_gradient_of_the_batch(name, accumulate) -> None:
    if _started(name).needs_whole_batch:
        pytest.skip("its batches have no parts")
    for epochs in (0, 1):
        whole, parts = _started(name), _started(name)
        for epoch in range(epochs):  # the second epoch is another one for objectives with schedules
            whole.end_epoch(epoch)
            parts.end_epoch(epoch)
        risk, expected = _step(whole, 1)
        found_risk, found = _step(parts, accumulate)
        assert found_risk == pytest.approx(risk, rel=1e-5, abs=1e-6)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


class Weighted(SmoothedCrossEntropy):
    """Cross entropy with class weights, and with a class that is ignored."""

    def _weights(self, batch: Batch) -> torch.Tensor:
        return torch.tensor([1.0, 5.0, 0.5, 0.0])[batch.labels]

    def batch_loss(self, logits, batch):
        return reduce(cross_entropy(logits, batch.labels), weight=self._weights(batch))

    def normalizer(self, batch):
        return self._weights(batch).sum()


@pytest.mark.parametrize("loss_factor", [1.0, 3.0])
def test_weights_and_ignored_rows_are_divided_by_their_total(loss_factor) -> None:
    """The mean of the parts' means is another gradient: that of torch's own recipe for accumulation."""
    objective = Weighted().started(context())
    risk, expected = _step(objective, 1, loss_factor=loss_factor)
    for accumulate in (2, 4, 6):
        found_risk, found = _step(objective, accumulate, loss_factor=loss_factor)
        assert found_risk == pytest.approx(risk, rel=1e-5)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_batch_without_weight_has_no_gradient() -> None:
    class Ignored(Weighted):
        def _weights(self, batch):
            return torch.zeros(len(batch.labels))

    risk, gradients = _step(Ignored().started(context()), 3)
    assert risk == 0
    assert all(float(gradient.abs().max()) == 0 for gradient in gradients)


@pytest.mark.parametrize(
    "settings",
    [{}, {"objective": {"name": "mixup"}}, {"objective": {"name": "cores"}}, {"training": {"clip_norm": 0.1}}],
)
def test_a_run_in_parts_ends_with_the_weights_of_the_whole(small_run, tmp_path, settings) -> None:
    weights = []
    for accumulate in (1, 3):
        training = {**settings.get("training", {}), "accumulate": accumulate}
        resolved, store = small_run(**{**settings, "training": training}), RunStore(tmp_path)
        assert execute(resolved, store).status == "trained"
        weights.append(load_file(store.path(resolved.identity) / MODEL))
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", [{"name": "peer"}, {"name": "loss_bound", "bound": 0.1}])
def test_an_objective_that_compares_examples_has_no_parts(small_run, tmp_path, objective) -> None:
    whole, parts = (small_run(objective=objective, training={"accumulate": count}) for count in (1, 2))
    message = rf"training\.accumulate: 1 with the objective '{objective['name']}', whose loss compares"
    with pytest.raises(InputError, match=message):
        # also beside a run that differs in this alone
        validate_setup([whole, parts], RunStore(tmp_path))


def test_a_batch_has_no_more_parts_than_rows(small_run) -> None:
    with pytest.raises(InputError, match=r"training\.accumulate: at most batch_size, which is 32; got 33"):
        small_run(training={"accumulate": 33})
