"""Configurations as criteria: defaults, versions, ranges and files. Options are compared with the real libraries."""

import importlib.metadata
import inspect
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from softtargets._errors import InputError, InputTypeError
from softtargets.doctor import diagnose
from softtargets.doctor.criterion import Criterion
from softtargets.doctor.parsing import check_name
from softtargets.doctor.readers import READERS, reader_of
from softtargets.doctor.readers import torch as torch_reader
from softtargets.doctor.readers import transformers as transformers_reader


def read(library: str, snippet: Any, num_classes: int | None = None, version: str | None = None) -> Criterion:
    return reader_of(library, version).read(snippet, num_classes)


def test_signatures_are_those_of_torch() -> None:
    for name, parameters in torch_reader.SIGNATURES.items():
        assert tuple(inspect.signature(getattr(torch.nn, name)).parameters) == parameters


def test_no_argument_of_transformers_is_taken_for_a_typing_error() -> None:
    transformers = pytest.importorskip("transformers")
    fields = transformers.TrainingArguments.__dataclass_fields__
    assert set(transformers_reader.READ) <= set(fields)
    for name in fields:
        check_name("x", name, transformers_reader.READ, transformers_reader.OTHERS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_file_that_transformers_writes_is_read(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    arguments = transformers.TrainingArguments(
        str(tmp_path), label_smoothing_factor=0.1, gradient_accumulation_steps=4, use_cpu=True, report_to="none"
    )
    file = tmp_path / "arguments.json"
    file.write_text(arguments.to_json_string())
    criterion = read("transformers", file)
    assert (criterion.smoothing, criterion.accumulate, criterion.ignored) == (0.1, 4, -100)
    assert "learning_rate" in criterion.not_read


def test_the_version_is_the_installed_one_or_the_one_that_was_checked() -> None:
    assert read("torch", "CrossEntropyLoss()").version == importlib.metadata.version("torch").split("+")[0]
    assert read("fairseq", "--criterion cross_entropy").version == READERS["fairseq"].checked
    assert read("fairseq", "--criterion cross_entropy", version="0.10").version == "0.10"
    for wrong in ("new", "", "1.x"):
        with pytest.raises(InputError, match=r"version \(--library-version\): a version of torch; got"):
            reader_of("torch", wrong)


def test_defaults_are_those_of_the_library() -> None:
    assert read("timm", "--opt lamb").smoothing == 0.1
    assert read("timm", "--opt lamb").num_classes == 1000
    assert read("timm", "--num-classes 10").num_classes == 10
    assert read("timm", "--cutmix-minmax .2 .8").mixing is not None
    assert read("keras", "CategoricalFocalCrossentropy()", 3).weight == (0.25,) * 3
    assert read("keras", "CategoricalCrossentropy()").inputs == "probabilities"
    assert read("torch", "CrossEntropyLoss(weight=[1, 2, 3])").num_classes == 3
    assert read("torch", "BCEWithLogitsLoss(pos_weight=2)", 3).positive_weight == (2, 2, 2)
    assert read("torch", "BCEWithLogitsLoss(pos_weight=[3], weight=[1, 2])").positive_weight == (3, 3)
    assert read("keras", "CategoricalFocalCrossentropy(alpha=[0.25])") == read(
        "keras", "CategoricalFocalCrossentropy()"
    )
    assert read("fairseq", "--criterion cross_entropy").smoothing == 0
    assert read("opennmt", "--label_smoothing 0.1 --normalization tokens").division == "step"
    assert read("opennmt", "-label_smoothing 0.1").division == "sentences"
    assert read("opennmt", {"lambda_align": 0.0, "lm_prior_lambda": 0.5}).not_read == ("lm_prior_lambda",)
    assert read("transformers", {}, version="4.46.3").gathers is False
    assert read("transformers", {}, version="5.14.1").gathers is True
    assert read("transformers", {}).name == "the loss of the model"


def test_loss_of_timm_is_read_from_the_version_that_has_it() -> None:
    assert read("timm", "--loss ce --smoothing 0.1") == replace(read("timm", "--smoothing 0.1"))
    options = "--smoothing 0.1 --num-classes 3"
    assert read("timm", f"--loss bce {options}") == read("timm", f"--bce-loss {options}")
    weighted = read("timm", f"--loss bce --loss-pos-weight 2 --loss-class-weight 1,2,3 {options}")
    assert weighted.positive_weight == (2, 2, 2)
    assert weighted.weight == (1, 2, 3)
    assert read("timm", "--loss bce --loss-weight-power 0.5").not_read == ("loss-weight-power",)
    with pytest.raises(InputError, match=r"--loss: timm 1\.0\.31 or newer; got 1\.0\.30"):
        read("timm", "--loss bce", version="1.0.30")


def test_a_default_number_of_classes_is_marked() -> None:
    for library, snippet, known in (
        ("torch", "CrossEntropyLoss()", "CrossEntropyLoss(weight=[1, 2])"),
        ("torch", "BCEWithLogitsLoss(pos_weight=3)", "BCEWithLogitsLoss(pos_weight=[3])"),
        ("torch", "KLDivLoss()", "NLLLoss(weight=[1, 2])"),
        ("keras", "CategoricalFocalCrossentropy(alpha=[0.25])", "CategoricalFocalCrossentropy(alpha=[1, 2])"),
        ("timm", "--smoothing 0.1", "--num-classes 1000"),
    ):
        assert read(library, snippet).assumed_classes
        assert not read(library, snippet, 3).assumed_classes
        assert not read(library, known).assumed_classes
    for library, snippet in (("transformers", {}), ("fairseq", "--sentence-avg"), ("opennmt", {})):
        assert read(library, snippet).assumed_classes
        assert not read(library, snippet, 3).assumed_classes


def test_opennmt_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "nmt.yaml"
    file.write_text(
        "label_smoothing: 0.1\nnormalization: tokens\naccum_count: [1, 4]\ndata:\n  corpus: {path_src: a}\n"
    )
    criterion = read("opennmt", str(file))
    assert (criterion.smoothing, criterion.division, criterion.accumulate) == (0.1, "step", 4)
    assert criterion.not_read == ("data",)


@pytest.mark.parametrize(
    ("library", "snippet", "message"),
    [
        (
            "torch",
            "CrossEntropyLoss(label_smoothing=1.2)",
            r"label_smoothing: at most 1; got 1.2; choose a value in \[0, 1\]",
        ),
        ("torch", "CrossEntropyLoss(weight=[1, -2])", r"weight\[1\]: a finite number of at least 0; got -2"),
        ("torch", "CrossEntropyLoss(weight=[0, 0])", "weight: a number above 0 for at least one class; got 0 for all"),
        ("torch", "CrossEntropyLoss(weight=3)", "weight: a list of one number for each class; got 3"),
        ("torch", "CrossEntropyLoss(reduction='avg')", "reduction: one of mean, sum, none; got 'avg'"),
        ("torch", "CrossEntropyLoss(reduction='batchmean')", "reduction: one of mean, sum, none"),
        ("torch", "CrossEntropyLoss(size_average=True)", "size_average: None, because it is deprecated"),
        ("torch", "CrossEntropy()", "--torch: one of CrossEntropyLoss, .*; did you mean 'CrossEntropyLoss'"),
        ("torch", "CrossEntropyLoss(reduction=mean)", "got 'mean'; write it in quotes: reduction='mean'"),
        ("torch", "FocalLoss(gamma=2)", "got 'FocalLoss'; torch has none: use softtargets.losses.focal_loss"),
        ("torch", "MSELoss()", "got 'MSELoss'; use one of these, or check this loss by hand"),
        (
            "transformers",
            {"args": {"label_smoothing_factor": 0.1}},
            "--transformers: a file with at least one of label",
        ),
        ("transformers", '{"label_smoothing_factor": "x"}', "label_smoothing_factor: a number; got 'x'"),
        ("torch", "KLDivLoss(log_target=1)", "log_target: True or False; got 1"),
        ("torch", "CrossEntropyLoss(ignore_index=1.5)", "ignore_index: a whole number; got 1.5"),
        ("torch", "NLLLoss(ignore_index=True)", "ignore_index: a number; got True"),
        ("keras", "SparseCategoricalCrossentropy(ignore_class=1.7)", "ignore_class: a whole number; got 1.7"),
        ("keras", "CategoricalCrossentropy(from_logits='yes')", "from_logits: True or False; got 'yes'"),
        ("keras", "CategoricalFocalCrossentropy(gamma=-1)", "gamma: a finite number of at least 0; got -1"),
        ("keras", "BinaryFocalCrossentropy()", "--keras: one of CategoricalCrossentropy"),
        ("timm", "--smoothing 1", "--smoothing: below 1, as timm requires; got 1.0"),
        ("timm", "--smoothing -0.1 --bce-loss", "--smoothing: at least 0 with binary cross entropy; got -0.1"),
        ("timm", "--loss asl", "--loss: 'ce' or 'bce'; got 'asl'"),
        ("timm", "--loss db --class-stats a.json", "--loss: 'ce' or 'bce'; got 'db'"),
        ("timm", "--loss focal", "--loss: one of ce, bce, asl, poly, jsd, twoway, zlpr, db; got 'focal'"),
        ("timm", "--loss ce --bce-loss", "--loss: 'bce' with --bce-loss; got 'ce'"),
        ("timm", "--loss-pos-weight 2", "--loss-pos-weight: --loss bce, which it belongs to; got softmax"),
        ("timm", "--loss bce --loss-pos-weight neg_pos", "--loss-pos-weight: one number, or 1,000 with commas"),
        ("timm", "--loss bce --loss-class-weight 1,2", "--loss-class-weight: one number, or 1,000 with commas"),
        ("timm", "--loss bce --loss-pos-weight -1", "--loss-pos-weight: a finite number of at least 0; got -1.0"),
        ("timm", "--task multilabel", "--task: one label for each example; got 'multilabel'"),
        ("timm", "--label-smoothing 0.1", "--timm: option: one of .*; did you mean 'smoothing'"),
        ("timm", "--mixup -1", "--mixup: a finite number of at least 0; got -1.0"),
        ("timm", "--mixup 1 --mixup-prob 2", r"--mixup-prob: in \[0, 1\]; got 2.0"),
        ("timm", "--mixup-mode all", "--mixup-mode: one of batch, pair, elem, half; got 'all'"),
        ("timm", "--cutmix-minmax 0.8 0.2", "--cutmix-minmax: two numbers in"),
        ("timm", "--num-classes 2.5", "--num-classes: a whole number; got 2.5"),
        ("timm", "--jsd-loss --aug-splits 3", "--jsd-loss: cross entropy or binary cross entropy; got the Jen"),
        ("transformers", {"label_smoothing": 0.1}, "did you mean 'label_smoothing_factor'"),
        ("transformers", {"label_smoothing_factor": "0.1"}, "label_smoothing_factor: a number; got '0.1'"),
        ("transformers", {"label_smoothing_factor": 1.5}, "label_smoothing_factor: at most 1; got 1.5"),
        (
            "transformers",
            {"gradient_accumulation_steps": 0},
            "gradient_accumulation_steps: a finite number of at least 1",
        ),
        ("fairseq", "--criterion ctc", "--criterion: one of cross_entropy, label_smoothed_cross_entropy; got 'ctc'"),
        (
            "fairseq",
            "--label-smoothing 0.1",
            "--label-smoothing: a criterion that takes it; got --criterion cross_entropy",
        ),
        ("fairseq", "--ignore-prefix-size 1", "--ignore-prefix-size: a criterion that takes it; got --criterion cross"),
        (
            "fairseq",
            "--criterion label_smoothed_cross_entropy --ignore-prefix-size -1",
            "--ignore-prefix-size: a finite number of at least 0; got -1",
        ),
        ("opennmt", {"lambda_coverage": 1.0}, "lambda_coverage: no further term of the loss; got 1.0, which adds"),
        ("opennmt", "-lambda_align 0.05", "lambda_align: no further term of the loss; got 0.05, which adds the align"),
        ("opennmt", {"lm_prior_model": "lm.pt", "lm_prior_lambda": 1}, "lm_prior_model: no further term of the loss"),
        ("transformers", {"average_tokens_across_devices": 1}, "average_tokens_across_devices: True or False; got 1"),
        ("fairseq", "--label_smoothing 0.1", "did you mean 'label-smoothing'"),
        ("opennmt", {"generator_function": "sparsemax"}, "generator_function: 'softmax'; got 'sparsemax'"),
        ("opennmt", {"normalization": "words"}, "normalization: one of sents, tokens; got 'words'"),
        ("opennmt", {"copy_attn": True}, "copy_attn: false; got copy attention"),
    ],
)
def test_bad_input_is_one_sentence(library: str, snippet: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(library, snippet)
    assert "\n" not in str(caught.value)


def test_numbers_of_classes_agree() -> None:
    with pytest.raises(
        InputError, match=r"num_classes \(--classes\): one number of classes; got 2 in weight, 3 in num_"
    ):
        read("torch", "CrossEntropyLoss(weight=[1, 2])", 3)
    with pytest.raises(InputError, match="--num-classes: the number of --classes; got 10 and 3"):
        read("timm", "--num-classes 10", 3)
    with pytest.raises(InputError, match=r"num_classes \(--classes\): a finite number of at least 2; got 1"):
        read("torch", "CrossEntropyLoss()", 1)


@pytest.mark.parametrize("library", ["transformers", "opennmt"])
@pytest.mark.parametrize(
    "content", ["[1, 2", "[1, 2]", "3", "", "[" * 5000], ids=["broken", "list", "3", "empty", "deep"]
)
def test_a_file_that_is_no_mapping_is_refused(library: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(InputError, match=f"--{library}: a file with options and their values; got"):
        read(library, file)


def test_a_file_may_be_given_as_its_content() -> None:
    assert read("transformers", '{"label_smoothing_factor": 0.1}').smoothing == 0.1
    assert read("opennmt", "{label_smoothing: 0.1}").smoothing == 0.1
    assert read("timm", "train.py").smoothing == 0.1
    assert "defaults" in read("opennmt", {"data": 1}).notes[-1]
    with pytest.raises(InputError, match=r"--transformers: a file with options and their values; got '{\[1'"):
        read("transformers", "{[1")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--transformers: an existing file; got"):
        read("transformers", tmp_path / "none.json")
    with pytest.raises(InputError, match="a folder, not a regular file"):
        read("transformers", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe, not a regular file"):
        read("opennmt", tmp_path / "pipe")
    (tmp_path / "bomb.yaml").write_text("a: &a [1, 1]\nb: &b [*a, *a]\nlabel_smoothing: *b\n")
    with pytest.raises(InputError, match="it has an alias"):
        read("opennmt", tmp_path / "bomb.yaml")
    (tmp_path / "object.yaml").write_text("label_smoothing: !!python/object/apply:os.getpid []\n")
    with pytest.raises(InputError, match="could not determine a constructor"):
        read("opennmt", tmp_path / "object.yaml")


def test_snippets_of_another_type_are_refused() -> None:
    with pytest.raises(InputTypeError, match="snippet: text; got dict"):
        diagnose("torch", {"weight": [1, 2]})
    with pytest.raises(InputTypeError, match="snippet: a path or a mapping; got int"):
        diagnose("transformers", 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"library: one of .*; got 'jax'"):
        diagnose("jax", "")


def test_json_with_numbers_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nan.json"
    file.write_text(json.dumps({"label_smoothing_factor": float("nan")}))
    with pytest.raises(InputError, match="label_smoothing_factor: a finite number; got nan"):
        read("transformers", file)
