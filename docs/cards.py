"""Methods that one docstring cannot describe: settings of a shared function, and methods of several functions.

A public function whose docstring has a References section is a method by itself. Its page and its row in the index are
generated from the docstring, and it is not listed here. The key of a card is the file name of its page. A setting of a
shared function states its own formula, when, limitations and example here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One method.

    Args:
        title: the usual name of the method.
        source: who proposed it and where, or a statement that it has no single source.
        code: public names, as ``room.name``.
        also: abbreviations and other names.
        settings: the call that gives this method, in Markdown.
        formula, when, limitations, example: of the method, if it is a setting of a shared function.
        note: other remarks, in Markdown.
        topics: keys of TOPICS.
        group: heading of the index, if the method has no code.
    """

    title: str
    source: str
    code: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    settings: str = ""
    formula: str = ""
    when: str = ""
    limitations: str = ""
    example: str = ""
    note: str = ""
    topics: tuple[str, ...] = ()
    group: str = ""


# topic -> its heading in the index
TOPICS = {
    "known label noise": "Label noise with a known transition matrix",
    "unknown label noise": "Label noise with an unknown transition matrix",
    "noise generation": "Generating label noise",
    "noise estimation": "Estimating the transition matrix",
    "label issues": "Finding wrong labels",
    "overconfidence": "Overconfident predictions",
    "similar classes": "Similar classes",
    "soft labels": "Soft labels from annotators, teachers or mixing",
    "class imbalance": "Class imbalance",
    "unlabelled examples": "Unlabelled examples",
    "many classes": "Very many classes",
    "distillation": "Knowledge distillation",
}

# heading of the index -> the modules whose methods are listed under it; the longest prefix wins
GROUPS = {
    "Targets": ("targets",),
    "Cross entropy": ("losses", "nn"),
    "Loss correction for label noise": ("losses._corrections", "losses._loss_bound", "nn._volminnet"),
    "Robust losses": ("losses.robust",),
    "Focal losses": ("losses._focal",),
    "Losses related to label smoothing": ("losses.smoothing",),
    "Penalties": ("losses.penalties",),
    "Very many classes": ("losses._linear", "losses._vocab_parallel"),
    "Knowledge distillation": ("distill",),
    "Generating label noise": ("noise._transitions", "noise._instance", "noise._corrupt"),
    "Estimating the transition matrix": ("noise",),
    "Finding wrong labels": ("noise._suspects", "noise._quality", "noise._dynamics"),
    "Metrics": ("metrics",),
    "Calibration": ("calibration",),
    "Analysis of networks": ("analysis",),
    "Transition and label matrices": ("matrices",),
    "Integrations": ("integrations",),
