"""The command line of fairseq-train."""

from softtargets._errors import fail
from softtargets.doctor.criterion import Criterion
from softtargets.doctor.parsing import choice, class_count, read_options, smoothing_of, whole
from softtargets.doctor.readers.registry import TextReader, reader

OPTIONS = {
    "criterion": "text",
    "label-smoothing": "number",
    "ignore-prefix-size": "number",
    "sentence-avg": "flag",
    "update-freq": "numbers",
    "best-checkpoint-metric": "text",
}
# Options of fairseq-train that resemble those.
OTHERS = ("ema-update-freq", "maximize-best-checkpoint-metric", "sentence-rep", "update2lr")
CRITERIA = ("cross_entropy", "label_smoothed_cross_entropy")
DEFAULT_CLASSES = 32_000
# fairseq.data.Dictionary: <s> is 0, <pad> 1, </s> 2 and <unk> 3
PADDING = 1


@reader("fairseq", package="fairseq", checked="0.12.2")
class FairseqReader(TextReader):
    """Reads options such as ``--criterion label_smoothed_cross_entropy --label-smoothing 0.1``."""

    example = '"--criterion label_smoothed_cross_entropy --label-smoothing 0.1"'

    def read_text(self, text: str, num_classes: int | None) -> Criterion:
        given, not_read = read_options(self.option, text, OPTIONS, OTHERS, script="fairseq-train")
        criterion = choice("--criterion", given.get("criterion", "cross_entropy"), CRITERIA)
        for name in ("label-smoothing", "ignore-prefix-size"):
            if criterion == "cross_entropy" and name in given:
                remedy = "add --criterion label_smoothed_cross_entropy"
                raise fail(f"--{name}", "a criterion that takes it", "--criterion cross_entropy", remedy)
        smoothing = smoothing_of("--label-smoothing", given.get("label-smoothing", 0.0))
        steps = [whole("--update-freq", each, low=1) for each in given.get("update-freq", [1])]
        count, assumed = class_count(num_classes, {}, DEFAULT_CLASSES)
        return Criterion(
            library=self.library,
            version=self.version,
            name=f"fairseq.criterions.{criterion}",
            num_classes=count,
            assumed_classes=assumed,
            smoothing=smoothing,
            given_smoothing=smoothing,
            convention="others",
            padding=PADDING,
            reduction="sum",
            ignored=PADDING,
            all_ignored="0",
            prefix=whole("--ignore-prefix-size", given.get("ignore-prefix-size", 0), low=0),
            division="sentences" if "sentence-avg" in given else "step",
            accumulate=max(steps),
            smooth_evaluation=_smoothed_metric(given.get("best-checkpoint-metric", "loss")) if smoothing else None,
            notes=("The loss is logged in bits: it is divided by log 2.",),
            not_read=not_read,
        )


def _smoothed_metric(metric: str) -> str | None:
    return "loss, which selects the best checkpoint," if metric == "loss" else None
