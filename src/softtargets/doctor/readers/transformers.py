"""Arguments of transformers' Trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softtargets._errors import fail
from softtargets.doctor.criterion import Criterion, Division
from softtargets.doctor.parsing import check_name, class_count, smoothing_of, switch, whole
from softtargets.doctor.readers.registry import Reader, read_json, read_mapping, reader

READ = (
    "label_smoothing_factor",
    "gradient_accumulation_steps",
    "average_tokens_across_devices",
    "metric_for_best_model",
)
# Names of TrainingArguments that resemble those.
OTHERS = ("eval_accumulation_steps",)
DEFAULT_CLASSES = 4
# The first version that passes the number of labels of the step to models; older ones divide by the micro-batches.
_PASSES_NUMBER = ">=4.46"
# The first version whose LabelSmoother divides by the number of labels of the step.
_COUNTS = ">=5.15"
# Versions that sum that number over devices by default: it was read in 5.14.1, and the opposite in 4.46.3.
_GATHERS = ">=5"


@reader("transformers", package="transformers", checked="5.23.0")
class TransformersReader(Reader):
    """Reads a JSON file of TrainingArguments, such as a checkpoint's arguments that ``to_json_string`` wrote."""

    example = "a JSON file of TrainingArguments"

    def read(self, snippet: str | Path | Mapping[str, Any], num_classes: int | None) -> Criterion:
        given = read_mapping(self.option, snippet, read_json)
        for name in given:
            check_name(self.option, name, READ, OTHERS)
        if given and not set(given) & set(READ):
            remedy = "give the arguments themselves, not a table that contains them"
            raise fail(self.option, f"a file with at least one of {', '.join(READ)}", "none of them", remedy)
        smoothing = smoothing_of("label_smoothing_factor", given.get("label_smoothing_factor", 0.0))
        steps = whole("gradient_accumulation_steps", given.get("gradient_accumulation_steps", 1), low=1)
        best = given.get("metric_for_best_model")
        notes = []
        if self.is_in(_PASSES_NUMBER):
            notes.append("Numbers are those of a model whose forward takes loss arguments (**kwargs), as most do.")
        if smoothing and best in ("loss", "eval_loss"):
            notes.append(f"metric_for_best_model = '{best}' selects the checkpoint by the smoothed loss.")
        count, assumed = class_count(num_classes, {}, DEFAULT_CLASSES)
        return Criterion(
            library=self.library,
            version=self.version,
            name="transformers.trainer_pt_utils.LabelSmoother" if smoothing else "the loss of the model",
            num_classes=count,
            assumed_classes=assumed,
            smoothing=smoothing,
            given_smoothing=smoothing,
            ignored=-100,
            all_ignored="nan",
            division=self._division(smoothing),
            accumulate=steps,
            gathers=self._gathers(given),
            smooth_evaluation="eval_loss" if smoothing else None,
            notes=tuple(notes),
            not_read=tuple(name for name in given if name not in READ),
        )

    def _division(self, smoothing: float) -> Division:
        if not self.is_in(_PASSES_NUMBER):
            return "micro-batches"
        return "step" if smoothing == 0 or self.is_in(_COUNTS) else "micro-batches, not by their number"

    def _gathers(self, given: Mapping[str, Any]) -> bool | None:
        name = "average_tokens_across_devices"
        if not self.is_in(_PASSES_NUMBER):
            return None
        return switch(name, given.get(name, self.is_in(_GATHERS)))
