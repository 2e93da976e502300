"""How an exported classifier is used, for its model card."""

from collections.abc import Sequence

from softtargets.data.tokens import TokenShape
from softtargets.export.programs import BATCHES, input_names
from softtargets.train import Classifier


def how_to_use(classifier: Classifier, formats: Sequence[str], differences: dict[str, float]) -> str:
    """Return Markdown: what the inputs are, and an example for each format.

    Args:
        classifier: that was exported.
        formats: in which.
        differences: see :class:`Exported`.
    """
    parts = [
        f"Inputs of the programs: {_inputs(classifier)}. Output: `probs`, (N, {len(classifier.class_names)}) float32."
    ]
    names = input_names(classifier)
    if "packed" in formats:
        parts.append(_code("from softtargets.export import load_packed", *_packed_example(classifier)))
    if "torch" in formats:
        call = ", ".join(names)
        parts.append(_code("import torch", 'model = torch.export.load("model.pt2").module()', f"probs = model({call})"))
    if "onnx" in formats:
        given = ", ".join(f'"{name}": {name}' for name in names)
        session = 'session = onnxruntime.InferenceSession("model.onnx")'
        parts.append(_code("import onnxruntime", session, f'(probs,) = session.run(["probs"], {{{given}}})'))
    for name, worst in differences.items():
        sizes = ", ".join(map(str, BATCHES))
        parts.append(
            f"The {name} program gives the probabilities of the module to within {worst:.1e}, on drawn inputs in "
            f"batches of {sizes} rows."
        )
    return "\n\n".join(parts)


def _inputs(classifier: Classifier) -> str:
    like = classifier.preprocessing
    if isinstance(classifier.input_shape, TokenShape):
        return "`ids` (N, L) int64, the tokens of texts, and `mask` (N, L) bool, False at padding"
    shape = tuple(classifier.example()[0].shape[1:])
    if like.kind == "images":
        channels, height, width = shape
        colour = "grey" if channels == 1 else "RGB"
        resized = "" if like.view is None or like.view.share is None else ", already resized and cropped"
        return f"`inputs` (N, {channels}, {height}, {width}) uint8, {colour} images from 0 to 255{resized}"
    if like.kind == "texts":
        return f"`inputs` (N, {shape[0]}) uint8, from `softtargets.data.count_words(texts)`"
    columns = f", the columns {', '.join(like.columns)}" if like.columns else ""
    return f"`inputs` (N, {shape[0]}) float64, not normalised{columns}"


def _packed_example(classifier: Classifier) -> list[str]:
    kind, view = classifier.preprocessing.kind, classifier.preprocessing.view
    fixed = view is not None and view.share is None
    size = f"of {view.test[1]}x{view.test[0]} pixels" if view is not None and fixed else "of any size"
    given = {
        "images": f"images)  # a list of paths, Pillow images or arrays (H, W) or (H, W, 3), {size}",
        "table": "table)  # a data frame with these columns, or (N, D) numbers",
    }.get(kind, "texts)  # a list of texts")
    return ['model = load_packed(".")', f"probs = model.predict_proba({given}"]


def _code(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```"])
