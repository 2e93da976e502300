"""Retrieval of classes by the text of their names: which rank does the right class have for a query?

A network for texts can rank classes that it has seen rarely or never, since the names of classes are texts as well.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from softtargets._errors import fail
from softtargets.data import count_words
from softtargets.data.class_texts import class_texts
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load_cached
from softtargets.data.tokens import TokenRows
from softtargets.measures.classes import classes_of
from softtargets.measures.registry import Measure, network_measures
from softtargets.measures.subject import Subject

# Numbers of classes k for which the recall is measured.
RECALLED = (1, 5, 10)
_RANKED = (
    "All classes of the data set, also those that the run leaves out (`data.classes`), are ranked for each query by "
    "the cosine of the inputs of the last layer for the query and for the name of the class as a text; a class of "
    "equal cosine counts as ranked above the right one."
)
# Groups of queries: prefix of the measures, label, and which test examples are the queries.
_QUERIES = (
    ("retrieval", "retrieval by name", "Queries are all test examples of classes of the run."),
    (
        "retrieval.few_shot",
        "retrieval by name, few-shot classes",
        "Queries are the test examples of classes with fewer than 20 training examples, by their observed labels.",
    ),
    (
        "retrieval.unseen",
        "retrieval by name, classes left out",
        "Queries are the test examples of the classes that the run leaves out.",
    ),
    (
        "retrieval.words",
        "retrieval by words alone",
        "Queries are all test examples of classes of the run. Here the cosine is that of the network's inputs, the "
        "TF-IDF vectors, which no training changes. Not measured where the inputs are tokens.",
    ),
)


def _measures() -> tuple[Measure, ...]:
    found: list[Measure] = []
    for prefix, label, queries in _QUERIES:
        mean = "Mean over queries of 1 divided by the rank of the right class (mean reciprocal rank)."
        described = f"{mean} {_RANKED} {queries}"
        found.append(Measure(f"{prefix}.mrr", f"MRR, {label}", "fraction", described, bounds=(0.0, 1.0)))
        for k in RECALLED:
            share = f"Share of queries whose right class is among the first {k}. {_RANKED} {queries}"
            found.append(Measure(f"{prefix}.recall{k}", f"recall at {k}, {label}", "percent", share))
    return tuple(found)


@network_measures("retrieval", *_measures())
def retrieval(subject: Subject) -> dict[str, float]:
    """Return mean reciprocal ranks and recalls, without those of groups that have no queries.

    Raises:
        InputError: if the inputs are not texts, or the names of classes are not words.
    """
    read = _reader(subject)
    whole = _whole(subject)
    class_names = subject.class_names if whole is None else whole.class_names
    names = read(class_texts("class names, for retrieval", class_names), lambda row: f"the name of class {row}")
    # a run that leaves classes out numbers the others again
    number = torch.tensor([class_names.index(name) for name in subject.class_names])
    labels = subject.predictions["test.labels"]
    every = torch.arange(len(labels))
    of_names, (of_queries, _) = subject.features_of(names), subject.features("test", every)
    ranks = ranks_of(of_queries, of_names, number[labels])
    few = classes_of(subject.predictions, "few")[labels]
    found = {**_summary("retrieval", ranks), **_summary("retrieval.few_shot", ranks[few])}
    if isinstance(names, Tensor):
        by_words = ranks_of(subject.inputs("test", every), names, number[labels])
        found |= _summary("retrieval.words", by_words)
    if whole is None:
        return found
    assert whole.texts is not None
    texts, rows = whole.texts, whole.splits["test"]
    rows = rows[~torch.isin(whole.labels[rows], number)]
    unseen = read([texts[row] for row in rows.tolist()], lambda row: f"test example {row} of a class that is left out")
    of_unseen = subject.features_of(unseen)
    return found | _summary("retrieval.unseen", ranks_of(of_unseen, of_names, whole.labels[rows]))


def _reader(subject: Subject) -> Callable[[Sequence[str], Callable[[int], str]], Tensor | TokenRows]:
    """Return the function that makes texts into inputs of the network; its second argument names a text in errors."""
    preprocessing = subject.preprocessing
    if preprocessing.kind == "texts":
        weigh = preprocessing.on(torch.device("cpu"))
        return lambda texts, _: weigh(count_words(texts))
    if preprocessing.kind == "tokens" and not subject.dataset.is_sequence:
        shape = subject.dataset.input_shape
        most = subject.resolved.run.model.most_tokens(shape, subject.dataset.num_classes)
        return preprocessing.limited(most).tokenizers[0].encode
    got = "texts without labels" if subject.dataset.is_sequence else preprocessing.kind
    raise fail("data", "texts with labels, for retrieval", got, "measure it on runs on such texts")


def _whole(subject: Subject) -> Dataset | None:
    """Load the data set of a run with the classes that the run leaves out; None if it leaves none out."""
    spec = subject.resolved.run.data
    if spec.classes is None:
        return None
    # the training split is not read, so that its subsets do not matter
    every = spec.changed(classes=None, num_classes=None, per_class=None, long_tail=None)
    return load_cached(every, str(subject.store.cache))


def ranks_of(queries: Tensor, candidates: Tensor, right: Tensor) -> Tensor:
    """Return the rank of the right candidate of each query by the cosine, from 1, (N,) int64.

    Args:
        queries: (N, D).
        candidates: (K, D).
        right: (N,) int64, index of a candidate.

    A vector of zeros has a cosine of 0 with every other. Candidates of equal cosine count as ranked above.
    """
    cosines = F.normalize(queries.double(), dim=1) @ F.normalize(candidates.double(), dim=1).T
    return (cosines >= cosines.gather(1, right[:, None])).sum(1)


def _summary(prefix: str, ranks: Tensor) -> dict[str, float]:
    if not len(ranks):
        return {}
    recalls = {f"{prefix}.recall{k}": float((ranks <= k).double().mean()) for k in RECALLED}
    return {f"{prefix}.mrr": float((1 / ranks.double()).mean()), **recalls}
