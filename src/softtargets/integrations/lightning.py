"""Steps of a classifier for a `LightningModule`, and a callback for what is learned from every batch.

:class:`SoftTargetsMixin` gives a module its training, validation and test steps. :class:`ObserverCallback` keeps
targets that change during training, and training dynamics, in step with the `Trainer` and its checkpoints. The package
is `lightning`; classes of the older `pytorch_lightning` do not mix with them.

Example:
    >>> from lightning.pytorch import LightningModule
    >>> from softtargets.integrations.lightning import SoftTargetsMixin
    >>> class Net(SoftTargetsMixin, LightningModule):
    ...     def __init__(self):
    ...         super().__init__(num_classes=3, loss="focal_loss", gamma=2.0)
    ...         self.net = torch.nn.Linear(4, 3)
    ...     def forward(self, inputs):
    ...         return self.net(inputs)
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> sorted(Net().val_metrics)
    ['val_accuracy', 'val_ece', 'val_nll']
"""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from softtargets._errors import fail, fail_type
from softtargets.integrations._late import late_classes
from softtargets.integrations._modules import IGNORED, loss_module
from softtargets.nn import CrossEntropyLoss, Loss

if TYPE_CHECKING:
    from lightning.pytorch import Callback as _Callback  # pyright: ignore[reportMissingImports]
    from lightning.pytorch import LightningModule as _LightningModule  # pyright: ignore[reportMissingImports]
else:
    _Callback = object  # see the end of the file
    _LightningModule = object  # the class is mixed into a LightningModule, so that lightning is not imported here

__all__ = ["ObserverCallback", "SoftTargetsMixin"]

_METHODS = ("observe", "end_epoch", "state_dict", "load_state_dict")


class SoftTargetsMixin(_LightningModule):
    """Steps of a classifier: ``class Net(SoftTargetsMixin, LightningModule)``, with your `forward` and optimisers.

    The steps compute ``loss(self(inputs), labels)``. They log `train_loss` for each batch, and for each epoch of
    validation `val_loss`, `val_accuracy`, `val_nll` and `val_ece`; of a test the same with `test_`. Every step, and the
    three methods that they call, can be overridden.

    Args:
        num_classes: K.
        loss: name of a loss of :mod:`softtargets.losses`, such as "focal_loss"; the function itself; your own function
            of (logits, labels) that returns one loss per example; or a module of (logits, labels) that returns the
            mean, such as :class:`softtargets.nn.VolMinNet`. It becomes the submodule `loss`, whose parameters are among
            `self.parameters()` and whose state is in checkpoints.
        class_weight: (K,) float, >= 0, one weight per class.
        ignore_index: label to leave out. A module given as `loss` has its own.
        hyper_parameters: of the function, by name; for cross entropy those of CrossEntropyLoss, such as
            `label_smoothing`.

    Attributes:
        loss: the module.
        val_metrics: the `MetricCollection` of validation; `add_metrics` adds to it.
        test_metrics: that of a test.

    Raises:
        ValueError: if the name or a hyper-parameter is unknown, or hyper-parameters are given with a module.
        TypeError: if `loss` is neither a name, nor a function, nor a module.

    Notes:
        A batch is (inputs, labels) or (inputs, labels, ids). For batches of another form override `read_batch`, for
        other targets `training_loss`. The classes are in dimension 1 of the logits, or in the `class_dim` of the
        module.

        Accuracy, NLL and ECE are :mod:`softtargets.integrations.torchmetrics`: exact sums over all examples, whatever
        the sizes of batches and the number of processes. `val_loss` is the mean over batches, weighted by their numbers
        of labels that are not ignored. With class weights this is not the weighted mean over the epoch.

    Limitations:
        Labels of validation are integers, one per example. With several loaders of validation data, write your own
        `validation_step`: Lightning requires another signature.
    """

    loss: nn.Module

    def __init__(
        self,
        *,
        num_classes: int,
        loss: str | Callable[..., Tensor] = "cross_entropy",
        class_weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        **hyper_parameters: Any,
    ) -> None:
        from torchmetrics import MetricCollection

        from softtargets.integrations.torchmetrics import AccuracyMetric, ECEMetric, NLLMetric

        super().__init__()
        given = class_weight is not None or hyper_parameters
        if isinstance(loss, nn.Module) and not isinstance(loss, CrossEntropyLoss | Loss) and not given:
            self.loss = loss
        else:
            self.loss = loss_module(loss, class_weight, ignore_index, hyper_parameters)
        metrics = {
            "accuracy": AccuracyMetric(num_classes),
            "nll": NLLMetric(num_classes),
            "ece": ECEMetric(num_classes),
        }
        self.val_metrics = MetricCollection(metrics, prefix="val_")
        self.test_metrics = self.val_metrics.clone(prefix="test_")

    def read_batch(self, batch: Any) -> tuple[Any, Tensor, Tensor | None]:
        """Return the inputs, the labels and the ids of the examples, or None without ids, of a batch.

        Args:
            batch: a sequence (inputs, labels) or (inputs, labels, ids).
        """
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            got = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, tuple | list) else type(batch).__name__
            remedy = "override read_batch of your LightningModule"
            raise fail_type("batch", "(inputs, labels) or (inputs, labels, ids)", got, remedy)
        inputs, labels, *ids = batch
        return inputs, labels, ids[0] if ids else None

    def training_loss(self, logits: Tensor, labels: Tensor, ids: Tensor | None) -> Tensor:
        """Return the loss of a training batch, ``self.loss(logits, labels)``: override it for other targets.

        Args:
            logits: (N, K, ...) float.
            labels: (N, ...) integers, or what `read_batch` returns.
            ids: (N,) integers, or None.
        """
        return self.loss(logits, labels)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss, and what :class:`ObserverCallback` observes: the logits, the labels and the ids."""
        inputs, labels, ids = self.read_batch(batch)
        logits = self(inputs)
        loss = self.training_loss(logits, labels, ids)
        self.log("train_loss", loss.detach(), batch_size=len(labels))
        if not labels.is_floating_point():  # what observes leaves out -100
            labels = labels.long().masked_fill(labels == self._ignored, IGNORED)
        observed = {"logits": logits.detach().movedim(self._class_dim, -1), "labels": labels}
        return {"loss": loss, **observed} if ids is None else {"loss": loss, **observed, "ids": ids}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the loss and the metrics of validation."""
        self._evaluate(batch, self.val_metrics)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the loss and the metrics of a test."""
        self._evaluate(batch, self.test_metrics)

    def _evaluate(self, batch: Any, metrics: Any) -> None:
        inputs, labels, _ = self.read_batch(batch)
        logits = self(inputs)
        counted = int((labels != self._ignored).sum())
        name = f"{metrics.prefix}loss"
        self.log(name, self.loss(logits, labels), on_epoch=True, batch_size=counted, sync_dist=True)
        metrics.update(logits=logits, labels=labels, ignore_index=self._ignored, class_dim=self._class_dim)
        self.log_dict(metrics, on_epoch=True, batch_size=counted)

    @property
    def _ignored(self) -> int:
        return getattr(self.loss, "ignore_index", IGNORED)

    @property
    def _class_dim(self) -> int:
        return getattr(self.loss, "class_dim", 1)


class ObserverCallback(_Callback):
    """Keep objects that observe every training batch in step with the `Trainer`.

    For :class:`softtargets.targets.OnlineSmoothing`, :class:`softtargets.targets.RunningTargets`,
    :class:`softtargets.noise.TrainingDynamics`, and objects with the same methods. After each training batch it calls
    `observe`, at the end of a training epoch `end_epoch`, which combines the observations of all processes. Their
    states are part of the checkpoints, so that a resumed training goes on with the same targets.

    `observe` is given what its parameters name: `logits`, `labels`, `ids` and `probs`, the softmax of the logits. They
    are taken from the dict that `training_step` returns, as that of :class:`SoftTargetsMixin` does; a step of your own
    must return ``{"loss": loss, "logits": logits, "labels": labels, "ids": ids}``, with the classes in the last
    dimension of the logits.

    Args:
        observers: the objects, each with a name for the checkpoint.

    Attributes:
        observers: the objects by name.

    Raises:
        ValueError: if there are no objects; during training if the step does not return what an object observes, a
            checkpoint is of other objects, or there are several processes and an object cannot combine them.
        TypeError: if an object lacks one of the methods.

    Notes:
        The observations are those of the weights before the step. If a checkpoint was saved in the validation at the
        end of an epoch, a resumed `Trainer` goes on with the next epoch: the callback then ends the last one first.

    Limitations:
        One per `Trainer`. To resume in the middle of an epoch, Lightning needs a loader with a state; otherwise it
        repeats batches. With several processes save checkpoints at the end of an epoch: within it each process has
        observations of its own, and the checkpoint has those of the first. TrainingDynamics does not combine processes.
    """

    def __init__(self, **observers: Any) -> None:
        super().__init__()
        if not observers:
            raise fail("observers", "at least one object by name", "none", "pass smoothing=OnlineSmoothing(...)")
        for name, one in observers.items():
            for method in _METHODS:
                if not callable(getattr(one, method, None)):
                    remedy = "pass OnlineSmoothing, RunningTargets or TrainingDynamics"
                    raise fail_type(name, f"an object with {', '.join(_METHODS)}", type(one).__name__, remedy)
        self.observers = observers
        self._within_epoch = False

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Require objects that combine processes if there are several."""
        for name, one in self.observers.items():
            if trainer.world_size > 1 and "group" not in inspect.signature(one.end_epoch).parameters:
                got = f"{type(one).__name__}, which does not combine {trainer.world_size} processes"
                raise fail(name, "an object whose end_epoch takes a group", got, "train in one process")

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """End an epoch whose end was not reached, because its checkpoint was saved in the validation before it."""
        self._end_epoch()
        self._within_epoch = True

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let every object observe the batch."""
        given = dict(outputs) if isinstance(outputs, Mapping) else {}
        if "logits" in given:
            given["probs"] = given["logits"].softmax(-1)
        for name, one in self.observers.items():
            parameters = inspect.signature(one.observe).parameters.values()
            needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
            if missing := [key for key in needed if key not in given]:
                key = missing[0].replace("probs", "logits")
                remedy = f"return them from training_step, or {'ids in the batch' if key == 'ids' else 'use the mixin'}"
                raise fail("training_step", f"a dict with '{key}', for {name}", sorted(given), remedy)
            one.observe(**{key: given[key] for key in needed})

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End the epoch of every object."""
        self._end_epoch()

    def _end_epoch(self) -> None:
        if self._within_epoch:
            for one in self.observers.values():
                one.end_epoch()
            self._within_epoch = False

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the objects by name."""
        states = {name: one.state_dict() for name, one in self.observers.items()}
        return {"within_epoch": self._within_epoch, "observers": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the states of the objects."""
        states = state_dict["observers"]
        if states.keys() != self.observers.keys():
            remedy = "pass the objects under the names of the training that is resumed"
            raise fail("observers", f"{sorted(states)}, as in the checkpoint", sorted(self.observers), remedy)
        for name, one in self.observers.items():
            one.load_state_dict(states[name])
        self._within_epoch = state_dict["within_epoch"]


if not TYPE_CHECKING:  # a type checker sees the class above

    def _bases() -> tuple[type, ...]:
        from lightning.pytorch import Callback

        return (Callback,)

    __getattr__ = late_classes(globals(), ["ObserverCallback"], _bases)
