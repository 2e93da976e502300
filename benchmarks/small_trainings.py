"""Many small trainings in one process: one after the other, stacked into one network, or as CUDA graphs on streams.

``python -m benchmarks.small_trainings --device cuda``; ``python -m benchmarks --device cuda`` runs it too. Every model
has its own weights, order of the data and label smoothing, which are the same for every way of training.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from benchmarks import meter
from softtargets import losses, synchronising_checks, targets

WIDTHS = (64, 256, 256, 10)
RATE, MOMENTUM = 0.05, 0.9
STREAMS = 8
MODELS, STEPS = 200, 100
WARM_UP = 3  # steps

ABOUT = (
    f"{MODELS} networks 64-256-256-10 are trained in one process for {STEPS} steps with a batch of 128 and SGD, each "
    "with its own weights, order of the data and label smoothing. Seconds include the capture of the graphs. The "
    "differences are between the losses of the trained networks and those of training one after the other, in nats."
)


@dataclass(frozen=True)
class Task:
    """What is trained: `models` networks on the same data, `steps` steps each.

    Args:
        inputs: (N, 64) float32.
        labels: (N,) int64.
        order: (models, steps, batch) int64, the examples of each step.
        smoothing: (models,) float32.
        initial: one state per model, (models, ...) by name.
    """

    inputs: Tensor
    labels: Tensor
    order: Tensor
    smoothing: Tensor
    initial: dict[str, Tensor]

    @property
    def models(self) -> int:
        return len(self.order)


@dataclass(frozen=True)
class Result:
    """One way of training all models; `scaled_from` is the number of models that were trained, if not all were."""

    name: str
    seconds: float = float("nan")
    final: Tensor | None = None
    scaled_from: int | None = None
    note: str = ""


def make_task(device: torch.device, *, models: int, steps: int, batch: int = 128, examples: int = 1797) -> Task:
    """Return images like those of the digits data set (64 pixels from 0 to 1, 10 classes), and the models to train."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(WIDTHS[-1], (examples,), generator=generator)
    centres = torch.rand(WIDTHS[-1], WIDTHS[0], generator=generator)
    noise = 0.4 * torch.randn(examples, WIDTHS[0], generator=generator)
    inputs = (centres[labels] + noise).clamp(0, 1)
    order = torch.stack(
        [
            torch.cat([torch.randperm(examples, generator=generator)[:batch] for _ in range(steps)]).view(steps, batch)
            for _ in range(models)
        ]
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        initial, _ = stack_module_state([_network() for _ in range(models)])
    smoothing = torch.linspace(0, 0.3, models)
    initial = {name: tensor.detach().to(device) for name, tensor in initial.items()}
    return Task(inputs.to(device), labels.to(device), order.to(device), smoothing.to(device), initial)


def _network() -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, following in itertools.pairwise(WIDTHS):
        layers += [nn.Linear(width, following), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _loss(logits: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    return losses.cross_entropy(logits, targets.smooth(labels, smoothing), reduction="mean")


@contextmanager
def _without_checks() -> Iterator[None]:
    """Check no values for which the host would wait."""
    before = synchronising_checks()
    synchronising_checks(False)
    try:
        yield
    finally:
        synchronising_checks(before)


def _optimizer(parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)


# -- one after the other


def one_by_one(task: Task, limit: float) -> Result:
    """Train the models in a plain loop; after `limit` seconds stop, and scale the time to all models."""
    final, start = [], time.perf_counter()
    for i in range(task.models):
        network = _load(task, i)
        optimizer = _optimizer(list(network.parameters()))
        for rows in task.order[i]:
            optimizer.zero_grad()
            _loss(network(task.inputs[rows]), task.labels[rows], task.smoothing[i]).backward()
            optimizer.step()
        final.append(_evaluated(task, network))
        if time.perf_counter() - start > limit:
            break
    found = torch.stack(final).cpu()  # waits for the GPU
    seconds = (time.perf_counter() - start) * task.models / len(final)
    return Result("one after the other", seconds, found, len(final) if len(final) < task.models else None)


def _load(task: Task, i: int) -> nn.Module:
    network = _network().to(task.inputs.device)
    network.load_state_dict({name: tensor[i] for name, tensor in task.initial.items()})
    return network


def _evaluated(task: Task, network: nn.Module) -> Tensor:
    with torch.no_grad():
        return losses.cross_entropy(network(task.inputs), task.labels, reduction="mean")


# -- stacked


def stacked(task: Task, limit: float) -> Result:
    """Train all models as one network with stacked weights, with torch.func.vmap; `limit` is not needed."""
    start = time.perf_counter()
    with torch.device("meta"):
        network = _network()
    state = {name: tensor.clone().requires_grad_() for name, tensor in task.initial.items()}
    optimizer = _optimizer(list(state.values()))

    def one(weights: dict[str, Tensor], inputs: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
        return _loss(functional_call(network, weights, (inputs,)), labels, smoothing)

    every = vmap(one)
    for step in range(task.order.shape[1]):
        rows = task.order[:, step]
        optimizer.zero_grad()
        every(state, task.inputs[rows], task.labels[rows], task.smoothing).sum().backward()
        optimizer.step()

    def final(weights: dict[str, Tensor]) -> Tensor:
        logits = functional_call(network, weights, (task.inputs,))
        return losses.cross_entropy(logits, task.labels, reduction="mean")

    with torch.no_grad():
        found = vmap(final)(state).cpu()
    return Result("stacked, torch.func.vmap", time.perf_counter() - start, found)


# -- CUDA graphs on streams


class Repeated:
    """A training step whose weights and examples are replaced for each model: what a CUDA graph repeats.

    Args:
        task: what is trained.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.network = _network().to(task.inputs.device)
        self.optimizer = _optimizer(list(self.network.parameters()))
        self.order, self.step = task.order[0].clone(), torch.zeros(1, dtype=torch.int64, device=task.inputs.device)
        self.smoothing = task.smoothing[0].clone()

    def train(self) -> None:
        """Train one step, of the number in `step`, and count it; the host does not wait, which a capture forbids."""
        with _without_checks():
            rows = self.order.index_select(0, self.step)[0]
            self.optimizer.zero_grad()
            _loss(self.network(self.task.inputs[rows]), self.task.labels[rows], self.smoothing).backward()
            self.optimizer.step()
            self.step += 1

    def warm_up(self) -> None:
        """Train the first step a few times: libraries allocate their workspaces, and kernels are compiled."""
        for _ in range(WARM_UP):
            self.step.zero_()  # a task may have fewer steps than this
            self.train()

    @torch.no_grad()
    def begin(self, i: int) -> None:
        """Load the model `i` into the memory that the step works in."""
        for name, tensor in self.network.state_dict().items():
            tensor.copy_(self.task.initial[name][i])
        for state in self.optimizer.state.values():
            state["momentum_buffer"].zero_()
        self.order.copy_(self.task.order[i])
        self.smoothing.copy_(self.task.smoothing[i])
        self.step.zero_()


class _Worker(Repeated):
    """One stream with the CUDA graph of a training step."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.stream = torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            self.warm_up()
            self.stream.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            self.optimizer.zero_grad()
            with torch.cuda.graph(self.graph, stream=self.stream):
                self.train()


def streamed(task: Task, limit: float) -> Result:
    """Train a few models at a time, each as the replay of a CUDA graph on a stream of its own; no `limit` is needed."""
    if task.inputs.device.type != "cuda":
        return Result("CUDA graphs on streams", note="needs CUDA")
    start = time.perf_counter()
    workers = [_Worker(task) for _ in range(min(STREAMS, task.models))]
    final: list[Tensor] = []
    for first in range(0, task.models, len(workers)):
        batch = list(zip(range(first, task.models), workers, strict=False))
        for i, worker in batch:
            with torch.cuda.stream(worker.stream):
                worker.begin(i)
        for _ in range(task.order.shape[1]):
            for _, worker in batch:
                with torch.cuda.stream(worker.stream):
                    worker.graph.replay()
        for _, worker in batch:
            with torch.cuda.stream(worker.stream):
                final.append(_evaluated(task, worker.network))
    torch.cuda.synchronize()
    found = torch.stack(final).cpu()
    return Result(f"CUDA graphs on {len(workers)} streams", time.perf_counter() - start, found)


WAYS: tuple[Callable[[Task, float], Result], ...] = (stacked, streamed, one_by_one)


def measure(device: torch.device, *, quick: bool = False, limit: float = 60.0) -> list[Result]:
    """Time every way of training; the last is the reference of `page`.

    Args:
        device: CPU or CUDA.
        quick: few models and steps.
        limit: seconds for training one after the other.
    """
    size = {"models": 3, "steps": 4, "batch": 16, "examples": 64} if quick else {"models": MODELS, "steps": STEPS}
    task = make_task(device, **size)
    warm = make_task(device, models=2, steps=2, batch=task.order.shape[2], examples=len(task.labels))
    results = []
    for way in WAYS:
        try:
            with _without_checks():
                way(warm, limit)
                results.append(way(task, limit))
        except Exception as error:  # the others are still measured, unless the GPU can no longer be used
            results.append(Result(way.__name__, note=f"failed: {meter.reason(error)}"))
            if meter.crashed(device):
                break
    return results


def page(results: Sequence[Result]) -> list[str]:
    """Return a table of the results as lines of Markdown."""
    reference = results[-1] if results[-1].final is not None else Result("")
    lines = ["| way | seconds | speed-up | largest difference of final losses |", "|---|---|---|---|"]
    for result in results:
        if result.final is None:
            lines.append(f"| {result.name} | – | – | {result.note} |")
            continue
        scaled = f" (scaled from {result.scaled_from} models)" if result.scaled_from else ""
        difference = "–"
        if reference.final is not None:
            difference = f"{float((result.final[: len(reference.final)] - reference.final).abs().max()):.1e}"
        speed = "–" if reference.final is None else f"{reference.seconds / result.seconds:.1f}×"
        lines.append(f"| {result.name} | {result.seconds:.2f}{scaled} | {speed} | {difference} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_trainings", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smoke test: few models and steps")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    options = parser.parse_args(arguments)
    print("\n".join(page(measure(torch.device(options.device), quick=options.quick))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
