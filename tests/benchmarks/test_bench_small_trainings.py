"""All ways of training many small networks train the same networks."""

import pytest
import torch
from pretended_cuda import Kernels, pretend_cuda, work_of

from benchmarks import small_trainings
from benchmarks.small_trainings import Repeated, Result, make_task, one_by_one, page, stacked, streamed
from softtargets._native import on_cuda

CPU = torch.device("cpu")


def test_stacked_networks_learn_what_each_learns_alone() -> None:
    task = make_task(CPU, models=4, steps=30, batch=32, examples=200)
    alone, together = one_by_one(task, 60.0), stacked(task, 60.0)
    assert alone.final is not None
    assert together.final is not None
    torch.testing.assert_close(together.final, alone.final, rtol=1e-4, atol=1e-5)
    assert alone.final.max() < 2.0  # below log 10: they have learned something
    assert len(set(alone.final.tolist())) == 4


def test_the_time_of_some_models_is_scaled_to_all() -> None:
    result = one_by_one(make_task(CPU, models=3, steps=1, batch=4, examples=20), limit=0.0)
    assert result.scaled_from == 1
    assert "scaled from 1 models" in "\n".join(page([result]))


def test_graphs_need_cuda() -> None:
    assert streamed(make_task(CPU, models=1, steps=1, batch=4, examples=20), 1.0).note == "needs CUDA"


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_step_of_a_graph_trains_what_each_learns_alone(steps: int) -> None:
    """On a GPU an index beyond the last step would leave the whole process without a usable GPU."""
    task = make_task(CPU, models=2, steps=steps, batch=8, examples=40)
    repeated, final = Repeated(task), []
    repeated.warm_up()
    for i in range(task.models):
        repeated.begin(i)
        for _ in range(steps):
            repeated.train()
        final.append(small_trainings._evaluated(task, repeated.network))
    alone = one_by_one(task, 60.0).final
    assert alone is not None
    torch.testing.assert_close(torch.stack(final), alone, rtol=1e-5, atol=1e-6)


def test_the_step_of_a_graph_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait would end the capture of the graph with an error."""
    repeated, kernels = Repeated(make_task(CPU, models=1, steps=2, batch=8, examples=40)), Kernels()
    repeated.train()
    repeated.step.zero_()
    pretend_cuda(monkeypatch)
    monkeypatch.setattr(on_cuda, "_kernels", lambda: kernels)
    work = work_of(repeated.train, kernels)
    assert work.kernels == ["cross_entropy", "scale_rows"]
    assert not work.waits


def test_nothing_is_trained_on_a_gpu_that_is_no_longer_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(task: small_trainings.Task, limit: float) -> Result:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(small_trainings, "WAYS", (stacked, broken, one_by_one))
    monkeypatch.setattr(small_trainings.meter, "crashed", lambda device: True)
    results = small_trainings.measure(CPU, quick=True)
    text = "\n".join(page(results))
    assert [result.final is None for result in results] == [False, True]
    assert "| – | – |" in text, "there is no reference, so no speed-up and no difference"
    assert "nan" not in text


def test_a_way_that_fails_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(task: small_trainings.Task, limit: float) -> Result:
        raise RuntimeError("no graph\nat all")

    monkeypatch.setattr(small_trainings, "WAYS", (broken, one_by_one))
    text = "\n".join(page(small_trainings.measure(CPU, quick=True)))
    assert "failed: RuntimeError: no graph |" in text
    assert "one after the other" in text


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert small_trainings.main(["--quick"]) == 0
    assert "stacked" in capsys.readouterr().out
