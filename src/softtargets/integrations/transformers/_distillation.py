"""Distillation from a cached teacher in transformers' `Trainer`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from softtargets._errors import fail, fail_type
from softtargets.distill import CacheCollator, TeacherCache, divergence_loss, linear_divergence_loss
from softtargets.integrations._modules import IGNORED
from softtargets.integrations.transformers._loss import logits_of, loss, normalizer_of

if TYPE_CHECKING:
    from transformers import Trainer as _Trainer
else:
    _Trainer = object  # the class is mixed into a Trainer, so that transformers is not imported here

__all__ = ["CachedDistillation", "DistillationTrainerMixin"]

# Relative difference of logits from a model and from its last layer, which may be computed in bfloat16.
SAME_LOGITS = 0.02


@dataclass(frozen=True, eq=False)
class CachedDistillation:
    """How a :class:`DistillationTrainerMixin` trains on a cache.

    Args:
        cache: a cache of the sequences of the training data.
        divergence: as in :func:`softtargets.distill.divergence_loss`; likewise the next five.
        skew: of a skewed divergence.
        tail: how the classes of which only the total mass is known enter.
        kd_weight: weight of the teacher's term.
        label_weight: weight of the cross entropy with the labels; None: 1 - kd_weight.
        scale: "squared" or "none".
        shift: True for causal language models; False if the logits at a position predict the label at it.
        id_key: key of the training data that holds the id of a sequence in the cache.
        tokens_key: key of the batch that holds the tokens of the cache: "input_ids", or "labels" for a model with a
            decoder.
        chunked: compute the loss from the last hidden states chunk by chunk, so that all logits never exist. The
            model's forward must take `logits_to_keep`, and its logits must be those of its last layer, which is
            checked in the first step. Not for sharded parameters (FSDP, ZeRO-3).

    Raises:
        TypeError: if `cache` is not a TeacherCache.
    """

    cache: TeacherCache
    divergence: str = "forward_kl"
    skew: float | None = None
    tail: Literal["ghost", "uniform"] = "ghost"
    kd_weight: float = 1.0
    label_weight: float | None = None
    scale: Literal["squared", "none"] = "squared"
    shift: bool = True
    id_key: str = "id"
    tokens_key: str = "input_ids"
    chunked: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.cache, TeacherCache):
            raise fail_type("cache", "a TeacherCache", type(self.cache).__name__, "use TeacherCache.open(folder)")
        # a teacher of two classes, so that a bad setting is named before training starts
        divergence_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), **self.settings())

    def settings(self) -> dict[str, Any]:
        """Return the settings as keywords of the loss."""
        names = ("divergence", "skew", "tail", "kd_weight", "label_weight", "scale")
        return {name: getattr(self, name) for name in names}

    def collator(self, collate: Callable[..., Any]) -> CacheCollator:
        """Return a collator that joins batches with the rows of the cache."""
        return CacheCollator(self.cache, collate, id_key=self.id_key, tokens_key=self.tokens_key, shift=self.shift)


class DistillationTrainerMixin(_Trainer):
    """Train a student on the cache of a teacher: ``class DistillationTrainer(DistillationTrainerMixin, Trainer)``.

    sum_i loss_i / num_items_in_batch,  loss_i = label_weight * H(label_i, q_i) + kd_weight * s * D(p_i, q_i)

    Batches of the training data are joined with the rows of the cache by the ids of their examples. The loss that is
    reported in evaluation is the cross entropy with the labels, which needs no teacher.

    Args:
        args: of the Trainer, in its order.
        distillation: the cache and the settings, a :class:`CachedDistillation`.
        kwargs: of the Trainer, by name.

    Raises:
        ValueError: if the student's vocabulary is not that of the cache, or `chunked` is not possible for the model;
            and as for CacheCollator.
        TypeError: if `distillation` is not a CachedDistillation.
    """

    # the loss is divided by the number of labels of all micro-batches
    loss_is_scaled_for_ga = True

    def __init__(self, *args: Any, distillation: CachedDistillation, **kwargs: Any) -> None:
        if not isinstance(distillation, CachedDistillation):
            remedy = "pass CachedDistillation(cache, ...)"
            raise fail_type("distillation", "a CachedDistillation", type(distillation).__name__, remedy)
        super().__init__(*args, **kwargs)
        self.distillation = distillation
        self.model_accepts_loss_kwargs = True  # compute_loss takes the number of labels; it is not passed to the model
        self._joined = distillation.collator(self.data_collator)
        self._logits_checked = False
        self._of_labels = loss("cross_entropy", shift=distillation.shift)
        head = self._head()
        size = None if head is None else head.weight.shape[0]
        known = distillation.cache.plan.source
        if size is not None and size != known.num_classes:
            required = f"a model with the {known.num_classes} classes of the cache in {distillation.cache.folder}"
            remedy = f"call model.resize_token_embeddings({known.num_classes}), or write the cache with as many logits"
            raise fail("model", required, f"{size} classes", remedy)
        takes = inspect.signature(self.accelerator.unwrap_model(self.model).forward).parameters
        if distillation.chunked and (head is None or "logits_to_keep" not in takes):
            got = f"{type(self.model).__name__}, which always computes all logits"
            raise fail(
                "model", "a forward with logits_to_keep if chunked", got, "set chunked=False of CachedDistillation"
            )

    def get_train_dataloader(self) -> Any:
        """Return the Trainer's data loader, whose batches are joined with the cache."""
        plain, self.data_collator = self.data_collator, self._joined
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = plain

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss, and the outputs if asked, as `Trainer.compute_loss` does."""
        inputs = dict(inputs)
        inputs.pop(self.distillation.id_key, None)
        labels = inputs.pop("labels", None)
        if labels is None:
            raise fail("labels", "labels in the batch", None, "use a collator that makes 'labels'")
        whole = self.accelerator.unwrap_model(model)
        if getattr(whole.config, "is_encoder_decoder", False) and "decoder_input_ids" not in inputs:
            inputs["decoder_input_ids"] = whole.prepare_decoder_input_ids_from_labels(labels=labels)
        if not any(key.startswith("teacher_") for key in inputs):  # evaluation
            outputs = model(**inputs)
            value = self._of_labels(outputs, labels)
        else:
            outputs, value = self._distilled(model, inputs, labels, num_items_in_batch, whole=return_outputs)
            if num_items_in_batch is not None and self.args.average_tokens_across_devices:
                # as in Trainer.compute_loss: the gradients of the processes are averaged
                scale = self.accelerator.num_processes // self.get_tp_size()
                value = value * (scale if self.args.n_gpu <= 1 else self.args.n_gpu)
        return (value, outputs) if return_outputs else value

    def _distilled(
        self, model: nn.Module, inputs: dict[str, Any], labels: Tensor, count: Any, *, whole: bool
    ) -> tuple[Any, Tensor]:
        """Return the outputs of the model and the loss against the teacher."""
        rows, settings = self._joined.take(inputs), self.distillation.settings()
        chunked = self.distillation.chunked and not whole
        if chunked:
            outputs = model(**inputs, output_hidden_states=True, logits_to_keep=1)
            states = outputs.hidden_states[-1]
        else:
            outputs = model(**inputs)
            states = logits_of(outputs)
        if self.distillation.shift:
            states, labels, rows = states[:, :-1], labels[:, 1:], rows[:, 1:]
        counted = labels != IGNORED
        given, about = states[counted], (rows[counted], labels[counted])
        if chunked:
            head = self._head()
            assert head is not None
            self._check_head(head, outputs)
            value = linear_divergence_loss(given, head.weight, *about, bias=head.bias, reduction="sum", **settings)
        else:
            value = divergence_loss(given, *about, reduction="sum", **settings)
        return outputs, value / normalizer_of(counted.sum().clamp(min=1) if count is None else count, value)

    def _head(self) -> nn.Linear | None:
        """Return the last layer, of the hidden states, or None if the model has no such layer."""
        found = self.accelerator.unwrap_model(self.model).get_output_embeddings()
        return found if isinstance(found, nn.Linear) else None

    def _check_head(self, head: nn.Linear, outputs: Any) -> None:
        """Require, once, that the model's logits are those of its last layer."""
        if self._logits_checked:
            return
        with torch.no_grad():
            own, last = logits_of(outputs).float(), outputs.hidden_states[-1][:, -1:].float()
            made = nn.functional.linear(last, head.weight.float(), None if head.bias is None else head.bias.float())
            gap, size = float((own - made).abs().max()), float(made.abs().max())
        if not gap <= SAME_LOGITS * max(size, 1e-6):
            got = f"a difference of {gap:.3g}: the model changes its logits, or its hidden states are not the last ones"
            required = "logits that are those of the last layer, if chunked"
            raise fail("model", required, got, "set chunked=False of CachedDistillation")
        self._logits_checked = True

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the ids and labels, which the model may not take, where the Trainer removes unused columns."""
        super()._set_signature_columns_if_needed()
        columns = self._signature_columns or []
        columns += [name for name in (self.distillation.id_key, "labels") if name not in columns]
