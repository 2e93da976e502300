"""A run is a pure function of its specification: killed and resumed, beside others, again and again."""

import json
import os
import subprocess
import sys

import pytest
import torch
from pydantic import PrivateAttr
from safetensors.torch import load_file
from training import STATEFUL, KilledError, files_of, kill_in_epoch

from softtargets import losses
from softtargets._errors import InputError
from softtargets.data.sources import forget_changed
from softtargets.metrics import accuracy, nll
from softtargets.objectives import Objective, ObjectiveContext
from softtargets.objectives.cross_entropy import SmoothedCrossEntropy
from softtargets.runs.spec import RunSpec
from softtargets.runs.store import CHECKPOINT, HISTORY, MODEL, PREDICTIONS, RunStore
from softtargets.runs.training import Seeds
from softtargets.train import averaging, loop, step, training
from softtargets.train import execute as executes
from softtargets.train.execute import execute, resolve, validate_setup
from softtargets.train.outputs import StoppedError
from softtargets.train.progress import steps_so_far


@pytest.mark.parametrize("name", STATEFUL)
def test_a_run_killed_after_any_epoch_ends_bit_for_bit_the_same(small_run, tmp_path, monkeypatch, name) -> None:
    resolved = small_run(**STATEFUL[name])
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    assert execute(resolved, whole, checkpoint_seconds=0).status == "trained"
    epochs = len((whole.path(resolved.identity) / HISTORY).read_bytes().splitlines())
    assert epochs > 2
    original = loop.Trainer._train_epoch
    for last in range(epochs):

        def dies(self, last=last):
            if self.epoch == last:
                # a line of history without its checkpoint is what a kill between the two leaves
                with (self.folder / HISTORY).open("ab") as file:
                    file.write(b'{"epoch": "torn')
                raise KilledError
            return original(self)

        monkeypatch.setattr(loop.Trainer, "_train_epoch", dies)
        with pytest.raises(KilledError):
            execute(resolved, killed, checkpoint_seconds=0)
        assert (killed.partial(resolved.identity) / CHECKPOINT).exists() == (last > 0)
    monkeypatch.setattr(loop.Trainer, "_train_epoch", original)
    trained = _count_epochs(monkeypatch)
    assert execute(resolved, killed).status == "trained"
    assert len(trained) == 1, "only the last epoch was left to train"
    assert files_of(killed, resolved.identity) == files_of(whole, resolved.identity)


def _count_epochs(monkeypatch) -> list[int]:
    trained: list[int] = []
    original = loop.Trainer._train_epoch

    def counts(self):
        trained.append(self.epoch)
        return original(self)

    monkeypatch.setattr(loop.Trainer, "_train_epoch", counts)
    return trained


def _kill_in_third_epoch(resolved, store, monkeypatch) -> None:
    kill_in_epoch(2, lambda: execute(resolved, store, checkpoint_seconds=0), monkeypatch)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_checkpoint_starts_the_run_again(small_run, tmp_path, monkeypatch, damage) -> None:
    resolved = small_run()
    whole, store = RunStore(tmp_path / "whole"), RunStore(tmp_path / "damaged")
    execute(resolved, whole)
    _kill_in_third_epoch(resolved, store, monkeypatch)
    path = store.partial(resolved.identity) / CHECKPOINT
    content = path.read_bytes()
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    path.write_bytes({"cut": content[: len(content) // 2], "changed": bytes(changed), "empty": b""}[damage])
    assert execute(resolved, store).status == "trained"
    assert files_of(store, resolved.identity) == files_of(whole, resolved.identity)


def test_an_edited_history_starts_an_interrupted_run_again(small_run, tmp_path, monkeypatch) -> None:
    resolved = small_run()
    whole, store = RunStore(tmp_path / "whole"), RunStore(tmp_path / "edited")
    execute(resolved, whole)
    _kill_in_third_epoch(resolved, store, monkeypatch)
    path = store.partial(resolved.identity) / HISTORY
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"epoch": 1,', b'"epoch": 7,'))
    assert len(path.read_bytes()) == len(content)
    assert execute(resolved, store).status == "trained"
    assert files_of(store, resolved.identity) == files_of(whole, resolved.identity)


@pytest.mark.parametrize("name", [CHECKPOINT, HISTORY, "spec.json"])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_an_interrupted_run_with_anything_but_regular_files_is_set_aside(
    small_run, tmp_path, monkeypatch, name, kind
) -> None:
    resolved = small_run()
    whole, store = RunStore(tmp_path / "whole"), RunStore(tmp_path / "odd")
    execute(resolved, whole)
    _kill_in_third_epoch(resolved, store, monkeypatch)
    path = store.partial(resolved.identity) / name
    path.unlink()
    {"device": lambda: path.symlink_to("/dev/zero"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    assert steps_so_far(store, resolved.identity) in (0, 8)
    assert execute(resolved, store).status == "trained"
    assert files_of(store, resolved.identity) == files_of(whole, resolved.identity)


def test_a_finished_run_is_not_trained_again_and_a_damaged_one_is(small_run, tmp_path, monkeypatch) -> None:
    resolved, store = small_run(), RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    before = files_of(store, resolved.identity)
    trained = _count_epochs(monkeypatch)
    assert execute(resolved, store).status == "present"
    assert trained == []
    (store.path(resolved.identity) / PREDICTIONS).write_bytes(b"?")
    assert execute(resolved, store).status == "trained"
    assert files_of(store, resolved.identity) == before
    assert len(list(tmp_path.glob("*.damaged-1"))) == 1


def test_a_loss_that_is_not_a_number_fails_at_its_step_and_is_not_tried_again(small_run, tmp_path, monkeypatch) -> None:
    resolved = small_run(optimizer={"learning_rate": 1e30, "nesterov": False})
    store = RunStore(tmp_path)
    outcome = execute(resolved, store)
    assert outcome.status == "failed"
    # the first step starts from finite weights, so its loss is finite; the second sees the weights it made
    assert "at step 1 of 16 (epoch 1)" in outcome.message
    assert "lower the learning rate" in outcome.message
    assert not store.partial(resolved.identity).exists()
    trained = _count_epochs(monkeypatch)
    assert execute(resolved, store).message == outcome.message
    assert trained == []


def test_any_other_error_is_recorded_and_tried_again(small_run, tmp_path, monkeypatch) -> None:
    resolved, store = small_run(), RunStore(tmp_path)

    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    original = training.write_atomically
    monkeypatch.setattr(training, "write_atomically", full)
    outcome = execute(resolved, store)
    assert outcome.status == "failed"
    assert "No space left on device" in outcome.message
    assert store.failure(resolved.identity) is not None
    monkeypatch.setattr(training, "write_atomically", original)
    assert execute(resolved, store).status == "trained"
    assert store.failure(resolved.identity) is None


def test_a_disk_too_full_to_record_the_failure_still_says_so(small_run, tmp_path, monkeypatch) -> None:
    from softtargets.runs import store as stores

    resolved, store = small_run(), RunStore(tmp_path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "write_atomically", full)
    outcome = execute(resolved, store)
    assert outcome.status == "failed"
    assert "not recorded" in outcome.message


def test_a_run_held_by_another_is_busy(small_run, tmp_path) -> None:
    resolved, store = small_run(), RunStore(tmp_path)
    with store.lock(resolved.identity, wait=True):
        assert execute(resolved, store).status == "busy"


@pytest.mark.parametrize(
    "model", [{"name": "mlp", "initial_deviation": 0.1}, {"name": "resnet", "depth": 8, "width": 4}]
)
def test_training_imports_neither_the_compiler_of_torch_nor_a_framework(small_run, tmp_path, model) -> None:
    # each takes a second or more of every worker process
    smoothed = {"name": "cross_entropy", "smoothing": 0.1}
    training = {"epochs": 2, "clip_norm": 1.0, "average_decay": 0.9, "evaluate_every": 1}
    resolved = small_run(model=model, objective=smoothed, training=training)
    script = (
        "import sys\n"
        "from softtargets.runs.spec import ResolvedRun\n"
        "from softtargets.runs.store import RunStore\n"
        "from softtargets.train.execute import execute\n"
        "outcome = execute(ResolvedRun.model_validate_json(sys.argv[1]), RunStore(sys.argv[2]))\n"
        "assert outcome.status == 'trained', outcome\n"
        "print(*({'torch._dynamo', 'sympy', 'lightning_fabric', 'datasets'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, resolved.model_dump_json(), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_running_leaves_threads_and_the_global_generator_as_they_were(small_run, tmp_path) -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    execute(small_run(training={"threads": threads + 1}), RunStore(tmp_path))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("stream", Seeds.model_fields)
def test_each_seed_stream_moves_what_it_names_and_leaves_the_other_draws_alone(
    small_run, tmp_path, monkeypatch, stream
) -> None:
    """Record what each stream drew in a run, change one seed, and compare draw by draw."""
    settings = {
        "noise": {"name": "symmetric", "rate": 0.3},
        "objective": {"name": "mixup", "concentration": 1.0},
        "model": {"name": "mlp", "hidden": [16], "dropout": 0.3},
        "augmentation": {"shift": 1},
        "training": {"epochs": 2},
    }
    one = _draws(small_run(**settings), monkeypatch, tmp_path / "one")
    two = _draws(small_run(**settings, seeds={stream: 1}), monkeypatch, tmp_path / "two")
    assert one.keys() == two.keys() == set(Seeds.model_fields)
    for name in one:
        same = all(torch.equal(a, b) for a, b in zip(one[name], two[name], strict=True))
        assert same == (name != stream), f"{name} when {stream} changed"


def _draws(resolved, monkeypatch, folder) -> dict[str, list[torch.Tensor]]:
    drawn: dict[str, list[torch.Tensor]] = {name: [] for name in Seeds.model_fields}
    with monkeypatch.context() as patch:
        build_network, take_step, batches = loop.build_network, loop.Learner.step, loop.TrainingBatches.of

        def build(run, input_shape, num_classes):
            model = build_network(run, input_shape, num_classes)
            drawn["initialisation"] += [parameter.detach().clone() for parameter in model.parameters()]
            return model

        def sees(self, batch, save=False):
            drawn["order"].append(batch.ids.clone())
            drawn["dropout"].append(torch.random.get_rng_state())
            drawn["method"].append(batch.targets.value.clone())
            return take_step(self, batch, save)

        def begins(self, order, streams):
            drawn["noise"].append(self.labels.clone())
            return batches(self, order, streams)

        inputs_of = loop.Inputs.batches

        def augments(self, ids, size, augmentation=None, generator=None):
            for inputs in inputs_of(self, ids, size, augmentation, generator):
                if generator is not None:
                    drawn["augmentation"].append(generator.get_state())
                yield inputs

        patch.setattr(loop, "build_network", build)
        patch.setattr(loop.Learner, "step", sees)
        patch.setattr(loop.TrainingBatches, "of", begins)
        patch.setattr(loop.Inputs, "batches", augments)
        assert execute(resolved, RunStore(folder)).status == "trained"
    return drawn


def test_data_that_changed_since_the_plan_are_not_trained_on(small_run, tmp_path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b,label\n" + "".join(f"{i % 7},{i % 3},{i % 2}\n" for i in range(60)))
    resolved = small_run(data={"name": str(path), "limit": None})
    path.write_text("a,b,label\n" + "".join(f"{i % 5},{i % 3},{i % 2}\n" for i in range(60)))
    forget_changed()
    outcome = execute(resolved, RunStore(tmp_path / "runs"))
    assert outcome.status == "failed"
    assert "the content it had when the run was planned" in outcome.message


def test_an_edited_csv_under_the_same_name_is_a_different_run(small_run, tmp_path) -> None:
    path = tmp_path / "mine.csv"
    rows = [f"{i % 7},{i % 3},{i % 2}" for i in range(60)]
    path.write_text("\n".join(["a,b,label", *rows]) + "\n")
    one = small_run(data={"name": str(path), "limit": None})
    path.write_text("\n".join(["a,b,label", *rows[:-1], "9,9,1"]) + "\n")
    assert small_run(data={"name": str(path), "limit": None}).identity != one.identity


def test_the_record_says_what_a_reader_needs(small_run, tmp_path) -> None:
    resolved = small_run(noise={"name": "symmetric", "rate": 0.2}, training={"evaluate_every": 2})
    store = RunStore(tmp_path)
    execute(resolved, store)
    result = store.result(resolved.identity)
    assert result is not None
    assert result["steps"] == 16
    assert result["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert result["noise_rates"] == {"train": 24 / 120, "validation": 8 / 40}
    assert {"torch", "python", "device", "threads", "softtargets"} <= result["environment"].keys()
    predictions = load_file(store.path(resolved.identity) / PREDICTIONS)
    assert predictions["test.logits"].shape == (60, 10)
    assert torch.equal(predictions["test.labels"], predictions["test.observed"])
    assert int((predictions["train.labels"] != predictions["train.observed"]).sum()) == 24
    rows = [json.loads(line) for line in (store.path(resolved.identity) / HISTORY).read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 8, 12, 16]
    assert ["validation_nll" in row for row in rows] == [False, True, False, True]
    logits, labels = predictions["validation.logits"], predictions["validation.observed"]
    assert rows[-1]["validation_accuracy"] == float(accuracy(logits=logits, labels=labels))
    assert rows[-1]["validation_nll"] == pytest.approx(float(nll(logits=logits, labels=labels)), rel=1e-12)


def test_precision_auto_is_bfloat16_only_where_it_is_fast_and_pays(monkeypatch) -> None:
    def precision(model: dict, fast: bool) -> str:
        monkeypatch.setattr(executes, "fast_bfloat16", lambda backend: fast)
        run = RunSpec.parse({"model": model, "training": {"epochs": 1, "device": "cpu"}})
        return resolve(run, "f").precision

    assert precision({"name": "resnet"}, True) == "bfloat16"
    assert precision({"name": "resnet"}, False) == "float32"
    assert precision({"name": "mlp"}, True) == "float32"


@pytest.mark.parametrize(("tiles", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_instructions_for_bfloat16_without_units_for_matrices_are_not_fast(monkeypatch, tiles, precision) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    run = RunSpec.parse({"model": {"name": "resnet"}, "training": {"epochs": 1, "device": "cpu"}})
    assert resolve(run, "f").precision == precision


def test_training_learns_the_digits(small_run, tmp_path) -> None:
    resolved = small_run(data={"limit": None}, training={"epochs": 15})
    store = RunStore(tmp_path)
    execute(resolved, store)
    predictions = load_file(store.path(resolved.identity) / PREDICTIONS)
    accuracy = (predictions["test.logits"].argmax(1) == predictions["test.labels"]).float().mean()
    assert accuracy > 0.95


def test_a_raised_recipe_trains_again(small_run, tmp_path, monkeypatch) -> None:
    store = RunStore(tmp_path)
    before = small_run()
    assert execute(before, store).status == "trained"
    monkeypatch.setattr(executes, "RECIPE", executes.RECIPE + 1)
    assert execute(small_run(), store).status == "trained"
    assert store.result(before.identity) is not None


def test_the_dynamics_do_not_depend_on_how_many_steps_are_recorded_together(small_run, tmp_path, monkeypatch) -> None:
    resolved = small_run(noise={"name": "symmetric", "rate": 0.3}, training={"dynamics": True})
    found = []
    for limit in (0, 700, step.SEEN_LOGITS):
        monkeypatch.setattr(step, "SEEN_LOGITS", limit)
        store = RunStore(tmp_path / str(limit))
        assert execute(resolved, store).status == "trained"
        found.append(files_of(store, resolved.identity))
    assert found[0] == found[1] == found[2]


def test_averaged_weights_are_the_exponential_average_of_the_steps(small_run, tmp_path, monkeypatch) -> None:
    decay = 0.8
    resolved = small_run(training={"average_decay": decay, "epochs": 2})
    seen: list[torch.Tensor] = []
    original = averaging.AveragedModel.update_parameters

    def watch(self, model):
        seen.append(model.head.weight.detach().cpu().clone())
        return original(self, model)

    monkeypatch.setattr(averaging.AveragedModel, "update_parameters", watch)
    store = RunStore(tmp_path)
    execute(resolved, store)
    expected = seen[0]
    for weight in seen[1:]:
        expected = decay * expected + (1 - decay) * weight
    kept = load_file(store.path(resolved.identity) / MODEL)["head.weight"]
    assert len(seen) == 8
    assert torch.allclose(kept, expected, atol=1e-6)


def test_weights_that_the_last_step_broke_fail_the_run(small_run, tmp_path) -> None:
    change = {"optimizer": {"learning_rate": 1e37, "nesterov": False}, "training": {"epochs": None, "steps": 1}}
    store = RunStore(tmp_path)
    outcome = execute(small_run(**change), store)
    assert outcome.status == "failed"
    assert "outputs: finite" in outcome.message
    assert "after step 1" in outcome.message


def test_weights_that_an_epoch_broke_fail_its_evaluation_for_good(small_run, tmp_path) -> None:
    training = {"epochs": None, "steps": 1, "evaluate_every": 1}
    resolved = small_run(optimizer={"learning_rate": 1e37, "nesterov": False}, training=training)
    store = RunStore(tmp_path)
    message = execute(resolved, store).message
    assert "outputs: finite; got nan as the NLL of the validation split after step 1" in message
    failure = store.failure(resolved.identity)
    assert failure is not None
    assert failure.final


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_set_without_a_split_has_no_measures_of_it(small_run, tmp_path, split) -> None:
    from softtargets.measures import measure_record

    resolved = small_run(data={"limit": None, split: 0.0}, training={"epochs": 1})
    store = RunStore(tmp_path)
    assert execute(resolved, store).status == "trained"
    names = measure_record(store, resolved.identity)
    assert "train.accuracy" in names
    assert not any(name.startswith(split) for name in names)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": {"limit": None, "validation": 0.0}, "training": {"evaluate_every": 1}}, "training.evaluate_every"),
        ({"schedule": {"name": "cosine", "warmup_steps": 16}}, "schedule.warmup_steps: fewer than the steps"),
        ({"augmentation": {"shift": 8}}, "augmentation: distances below 8 pixels"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_training(small_run, tmp_path, change, words) -> None:
    with pytest.raises(InputError, match=words):
        validate_setup([small_run(**change)], RunStore(tmp_path))


def test_a_device_that_is_not_there_is_bad_input(small_run, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"training\.device"):
        small_run(training={"device": "cuda"})


class LearnedScale(Objective):
    """A toy with a parameter of its own: cross entropy at a learned temperature."""

    _log_scale: torch.nn.Parameter = PrivateAttr()

    def begin(self, context: ObjectiveContext) -> None:
        self._log_scale = torch.nn.Parameter(torch.zeros((), device=context.device))

    def losses(self, logits, batch):
        return losses.cross_entropy(logits * self._log_scale.exp(), batch.labels)

    def parameters(self):
        yield "log_scale", self._log_scale

    def state_dict(self):
        return {"log_scale": self._log_scale.detach()}

    def load_state_dict(self, state):
        with torch.no_grad():
            self._log_scale.copy_(state["log_scale"])


def test_an_objectives_own_parameters_are_trained_clipped_and_resumed(small_run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(SmoothedCrossEntropy, "started", lambda self, context: LearnedScale().started(context))
    groups = [{"match": "objective.*", "learning_rate": 0.5, "weight_decay": 0.0}]
    resolved = small_run(optimizer={"groups": groups}, training={"clip_norm": 1e-6})
    made: list[LearnedScale] = []
    original = loop.Trainer._train_epoch

    def watches(self):
        made.append(self.objective)
        return original(self)

    monkeypatch.setattr(loop.Trainer, "_train_epoch", watches)
    whole, killed = RunStore(tmp_path / "whole"), RunStore(tmp_path / "killed")
    execute(resolved, whole)
    moved = abs(float(made[-1]._log_scale.detach()))
    # 16 steps at .5 with Nesterov momentum .9 cannot carry a gradient of norm 1e-6 further than this
    assert 0 < moved < 16 * 0.5 * 1e-6 * 20

    _kill_in_third_epoch(resolved, killed, monkeypatch)
    execute(resolved, killed)
    assert abs(float(made[-1]._log_scale.detach())) == moved
    assert files_of(killed, resolved.identity) == files_of(whole, resolved.identity)


def test_a_run_that_is_stopped_after_an_epoch_stays_unfinished_and_can_be_finished(small_run, tmp_path) -> None:
    resolved, store, seen = small_run(training={"evaluate_every": 1}), RunStore(tmp_path), []

    def stops(row) -> None:
        seen.append(row)
        if row["epoch"] == 2:
            raise StoppedError

    outcome = execute(resolved, store, on_epoch=stops)
    assert outcome.status == "stopped"
    assert [row["epoch"] for row in seen] == [1, 2]
    assert store.result(resolved.identity) is None
    assert store.failure(resolved.identity) is None
    assert execute(resolved, store).status == "trained"
    whole = RunStore(tmp_path / "whole")
    assert execute(resolved, whole).status == "trained"
    assert files_of(store, resolved.identity) == files_of(whole, resolved.identity)
