"""Options of OpenNMT-py's training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softtargets.doctor.criterion import Criterion
from softtargets.doctor.parsing import check_name, choice, class_count, not_covered, read_options, smoothing_of, whole
from softtargets.doctor.readers.registry import Reader, read_mapping, read_yaml, reader

OPTIONS = {
    "label_smoothing": "number",
    "normalization": "text",
    "accum_count": "numbers",
    "generator_function": "text",
    "copy_attn": "flag",
    "lambda_coverage": "number",
    "lambda_align": "number",
    "lm_prior_model": "text",
}
# Options that add a term to the loss.
TERMS = {
    "lambda_coverage": "the coverage loss",
    "lambda_align": "the alignment loss",
    "lm_prior_model": "a divergence from a language model",
}
# Options of OpenNMT-py that resemble those.
OTHERS = (
    "copy_attn_force",
    "copy_attn_type",
    "coverage_attn",
    "lambda_prior_lambda",
    "lm_prior_lambda",
    "lm_prior_tau",
    "reuse_copy_attn",
)
DEFAULTS = "No option of the loss was found: these are the defaults."
DEFAULT_CLASSES = 32_000
# onmt.constants.DefaultTokens, in the order of its vocabularies: <unk> 0, <blank> 1, <s> 2, </s> 3
PADDING = 1
# The first version that smooths with torch's cross entropy (OpenNMT-py#2270).
_WITH_TORCH = ">=3.0.3"


@reader("opennmt", package="OpenNMT-py", checked="3.5.1")
class OpenNMTReader(Reader):
    """Reads a YAML file of options, or options such as ``--label_smoothing 0.1 --normalization tokens``."""

    example = '"--label_smoothing 0.1 --normalization tokens"'

    def read(self, snippet: str | Path | Mapping[str, Any], num_classes: int | None) -> Criterion:
        given, not_read = self._given(snippet)
        if given.get("copy_attn"):
            raise not_covered("copy_attn", "copy attention, which has a loss of its own", "false")
        for name, term in TERMS.items():
            if given.get(name):
                raise not_covered(name, f"{given[name]!r}, which adds {term}", "no further term of the loss")
        function = given.get("generator_function", "softmax")
        if choice("generator_function", function, ("softmax", "sparsemax")) == "sparsemax":
            raise not_covered("generator_function", "'sparsemax'", "'softmax'")
        smoothing = smoothing_of("label_smoothing", given.get("label_smoothing", 0.0))
        tokens = choice("normalization", given.get("normalization", "sents"), ("sents", "tokens")) == "tokens"
        counts = given.get("accum_count", [1])
        steps = [whole("accum_count", each, low=1) for each in (counts if isinstance(counts, list) else [counts])]
        with_torch = self.is_in(_WITH_TORCH)
        count, assumed = class_count(num_classes, {}, DEFAULT_CLASSES)
        return Criterion(
            library=self.library,
            version=self.version,
            name="torch.nn.CrossEntropyLoss" if with_torch else "onmt.utils.loss.LabelSmoothingLoss",
            num_classes=count,
            assumed_classes=assumed,
            smoothing=max(smoothing, 0.0),  # both versions compute without a negative smoothing
            given_smoothing=smoothing,
            convention="all" if with_torch else "others-but-padding",
            padding=PADDING,
            spares_padding=not with_torch,
            reduction="sum",
            ignored=PADDING,
            all_ignored="0",
            division="step" if tokens else "sentences",
            accumulate=max(steps, default=1),
            smooth_evaluation="validation perplexity" if with_torch and smoothing > 0 else None,
            notes=(*_notes(with_torch, smoothing, tokens), *(() if set(given) & set(OPTIONS) else (DEFAULTS,))),
            not_read=not_read,
        )

    def _given(self, snippet: str | Path | Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        if isinstance(snippet, str) and snippet.lstrip().startswith("-"):
            return read_options(self.option, snippet, OPTIONS, OTHERS)
        given = read_mapping(self.option, snippet, read_yaml)
        for name in given:
            check_name(self.option, name, OPTIONS, OTHERS)
        return given, tuple(name for name in given if name not in OPTIONS)


def _notes(with_torch: bool, smoothing: float, tokens: bool) -> tuple[str, ...]:
    if with_torch:
        return ("The number of labels is counted without the last one of each sequence.",) if tokens else ()
    if smoothing <= 0:
        return ()
    return ("The loss is a Kullback-Leibler divergence: cross entropy minus the entropy of the targets.",)
