"""Loading a trained run in Python."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from softtargets._arrays import ArrayLike
from softtargets._errors import fail, fail_type
from softtargets._storage import read_regular, user_path
from softtargets.calibration import load
from softtargets.calibration.calibrator import Calibrator, make_calibrator
from softtargets.data import Dataset
from softtargets.data.preprocessing import Preprocessing
from softtargets.data.sources import load_cached
from softtargets.data.tokens import read_shape
from softtargets.measures import measure_record
from softtargets.runs.network import WEIGHTS_ERRORS, TrainedModel, build_network, check_source, load_weights
from softtargets.runs.record import read_history, read_predictions
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import DAMAGE, MODEL, RESULT, SELECTED, SPEC, TOKENIZERS, RunStore
from softtargets.train.classifier import NetworkClassifier


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """A trained run: its specification, its network, and what it recorded. Made by :func:`load_run`.

    Attributes:
        folder: of the run.
        resolved: the specification with the values of "auto" settings; `resolved.identity` is the run's identity.
        result: the content of the run's result.json.
        class_names: the name of each class.
        model: the network, in evaluation mode and without gradients, and the precision that it was trained in. It takes
            inputs that :meth:`normalize` returned.
        selected: whether the weights are those of the epoch that did best on the validation split.
        calibrator: what probabilities are calibrated by; None: nothing. See :meth:`calibrate`.
    """

    folder: Path
    resolved: ResolvedRun
    result: dict[str, Any]
    class_names: tuple[str, ...]
    model: TrainedModel
    selected: bool = False
    calibrator: Calibrator | None = None

    def __repr__(self) -> str:
        run = self.specification
        return f"LoadedRun({run.model.name} trained with {run.objective.name} on {self.result['data']['name']})"

    @property
    def specification(self) -> RunSpec:
        """What was trained."""
        return self.resolved.run

    @property
    def network(self) -> nn.Module:
        """The network of `model`."""
        return self.model.network

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (D,) for a table or texts, a :class:`TokenShape` for texts that are tokens."""
        return read_shape(self.result["data"]["input_shape"])

    @cached_property
    def history(self) -> tuple[dict[str, Any], ...]:
        """One row per epoch: its number (from 1), the mean objective, and the validation accuracy and NLL."""
        return read_history(self.folder)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The measures of the run by name, such as "test.accuracy", in fractions and nats."""
        return measure_record(RunStore(self.folder.parent), self.resolved.identity)

    @cached_property
    def predictions(self) -> dict[str, Tensor]:
        """What the run recorded of every split, such as "test.logits", "test.labels" and "test.ids"."""
        return read_predictions(self.folder)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set that the run was trained on.

        Raises:
            InputError: if it is missing or has other content now.
        """
        cache = RunStore(self.folder.parent).cache
        dataset = load_cached(self.specification.data, str(cache))
        if dataset.fingerprint != self.resolved.fingerprint:
            raise fail("data", "the data that the run was trained on", "other content", "restore it, or train again")
        return dataset

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How inputs are normalised: the statistics of the training split."""
        kept = self.result["data"].get("preprocessing")  # absent from records of earlier versions
        if kept is None:
            return Preprocessing.of(self.dataset)
        paths = [self.folder / name for name in TOKENIZERS]
        contents = [read_regular(path).decode() for path in paths if path.exists()]
        most = self.specification.model.most_tokens(self.input_shape, len(self.class_names))
        return Preprocessing.from_dict(kept, contents).limited(most)

    @cached_property
    def classifier(self) -> NetworkClassifier:
        """The run as a module: inputs as users have them, preprocessing, network, and `calibrator`.

        Raises:
            InputError: for a run that writes texts.
        """
        if self.specification.data.target is not None:
            got = f"one that writes the texts of '{self.result['data']['name']}'"
            raise fail("run", "a run that predicts one label for each row", got, "use its network")
        settings = {"precision": self.resolved.precision, "calibrator": self.calibrator}
        return NetworkClassifier(self.network, self.preprocessing, self.input_shape, self.class_names, **settings)

    def normalize(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return inputs as the network takes them: standardised by the training data; texts as TF-IDF or tokens.

        See :meth:`NetworkClassifier.normalize`.
        """
        return self.classifier.normalize(inputs)

    def logits(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return the (N, K) float32 logits of images, rows of a table or texts; see :meth:`Classifier.logits`."""
        return self.classifier.logits(inputs)

    def predict_proba(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return the (N, K) float32 probabilities of the classes; see :meth:`Classifier.predict_proba`."""
        return self.classifier.predict_proba(inputs)

    def predict(self, inputs: ArrayLike | Sequence[Any]) -> Any:
        """Return the (N,) int64 indices of the most probable classes; see :meth:`Classifier.predict`."""
        return self.classifier.predict(inputs)

    def calibrate(self, calibrator: Calibrator | Path | str = "temperature-scaling") -> Self:
        """Return this run with a calibrator, which is fitted on the validation split that the run recorded.

        Its labels are the observed ones, or the votes. If they are noisy, a temperature is too high. Fit a calibrator
        with the transition on `predictions` and pass it where the noise is known.

        Args:
            calibrator: a name such as "temperature-scaling"; a .safetensors file of
                :func:`softtargets.calibration.save`; an object that is not fitted yet; or a fitted one. Those that are
                fitted are used as they are.

        Raises:
            InputError: if there is no calibrator of this name, or the run has no validation split.
            InputTypeError: if it is of another type.
            OSError: if the file cannot be read.
        """
        made = _calibrator_of(calibrator) if isinstance(calibrator, str | Path) else calibrator
        if not isinstance(made, Calibrator):
            required = "a name, a file, or a calibrator of softtargets.calibration"
            raise fail_type("calibrator", required, type(made).__name__, "pass 'temperature-scaling'")
        if not made.is_fitted:
            made.fit(*self._held_out)
        return replace(self, calibrator=made)

    @property
    def _held_out(self) -> tuple[Tensor, Tensor]:
        """The logits and the observed labels, or the votes, of the validation split."""
        split = "selected.validation" if self.selected else "validation"
        logits = self.predictions.get(f"{split}.logits")
        labels = self.predictions.get("validation.votes", self.predictions.get("validation.observed"))
        if logits is None or labels is None or len(labels) == 0:
            remedy = "train with validation rows, or pass a fitted calibrator"
            raise fail("calibrator", "a run on labels that has a validation split", "one without", remedy)
        return logits, labels


def _calibrator_of(named: Path | str) -> Calibrator:
    return load(named) if Path(named).suffix == ".safetensors" else make_calibrator(str(named))


def is_translator(folder: Path) -> bool:
    """Return whether a run, whose folder :func:`find_run` has found, is on sentence pairs; False if it is damaged."""
    try:
        resolved = ResolvedRun.model_validate_json(read_regular(folder / SPEC))
    except DAMAGE:
        return False
    return resolved.run.model.writes == "pairs"


def load_run(folder: Path | str, *, selected: bool = False, device: torch.device | str = "cpu") -> LoadedRun:
    """Load a trained run: its specification, network, class names, history and measures.

    The data set is not needed.

    Args:
        folder: of the run in its store; `TrainedRun.folder` of :func:`train_run`.
        selected: whether to load the weights of the epoch that did best on the validation split, for a run that was
            evaluated in training, instead of those after the last step.
        device: where the network is put.

    Returns:
        The run.

    Raises:
        InputError: if the folder has no intact run, or no selected weights, or the code of its network has changed.

    Example:
        >>> import tempfile
        >>> from softtargets.train import load_run, train_run
        >>> specification = {"model": {"name": "mlp", "hidden": [32]}, "training": {"epochs": 3}}
        >>> store = tempfile.TemporaryDirectory()
        >>> run = load_run(train_run(specification, runs=store.name).folder)
        >>> run
        LoadedRun(mlp trained with cross_entropy on digits)
        >>> run.class_names[:3], len(run.history), run.metrics["test.accuracy"] > 0.8
        (('0', '1', '2'), 3, True)
        >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
        >>> run.predict_proba(images).shape, run.predict(images).dtype
        (torch.Size([2, 10]), torch.int64)
        >>> run.calibrate("temperature-scaling").calibrator.temperature > 0
        tensor(True)
        >>> store.cleanup()
    """
    folder = user_path("folder", folder).absolute()
    try:
        result = RunStore(folder.parent).checked_result(folder.name)
        resolved = ResolvedRun.model_validate_json(read_regular(folder / SPEC))
    except DAMAGE as error:
        damage = " ".join(str(error).split())
        got = f"a damaged one in '{folder}' ({damage})" if (folder / RESULT).exists() else f"none in '{folder}'"
        remedy = "give TrainedRun.folder, or train that run again"
        raise fail("folder", "the folder of a finished run", got, remedy) from None
    check_source(resolved)
    data = result["data"]
    names = data.get("class_names")
    network = build_network(resolved.run, read_shape(data["input_shape"]), data["num_classes"])
    _load_weights(network, folder / (SELECTED if selected else MODEL))
    model = TrainedModel(network, resolved).to(torch.device(device))
    if names is None:  # a record of an earlier version
        names = load_cached(resolved.run.data, str(RunStore(folder.parent).cache)).class_names
    return LoadedRun(folder, resolved, result, tuple(names), model, selected)


def _load_weights(network: nn.Module, path: Path) -> None:
    if not path.exists():
        remedy = "train with training.evaluate_every, or load the weights after the last step"
        raise fail("selected", "false for a run that was not evaluated in training", True, remedy)
    try:
        load_weights(network, path)
    except WEIGHTS_ERRORS as error:
        got = " ".join(str(error).split())
        raise fail("folder", f"weights of the run's network in '{path}'", got, "train that run again") from None
