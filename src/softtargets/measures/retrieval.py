"""Retrieval of classes by the text of their names: which rank does the right class have for a query?

A network for texts can rank classes that it has seen rarely or never, since the names of classes are texts as well.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from softtargets._errors import fail
from softtargets.data import count_words
from softtargets.data.class_texts import class_texts
from softtargets.data.dataset import Dataset
from softtargets.data.sources import load_cached
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
        "TF-IDF vectors, which no training changes.",
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
        InputError: if the inputs are not texts whose words are counted, or the names of classes are not words.
    """
    kind = subject.preprocessing.kind
    if kind != "texts":
        raise fail("data", "texts whose words are counted, for retrieval", kind, "measure it on runs on such texts")
    weigh = subject.preprocessing.on(torch.device("cpu"))
    whole = _whole(subject)
    class_names = subject.class_names if whole is None else whole.class_names
    names = weigh(count_words(class_texts("class names, for retrieval", class_names)))
    # a run that leaves classes out numbers the others again
    number = torch.tensor([class_names.index(name) for name in subject.class_names])
    labels = subject.predictions["test.labels"]
    queries = subject.inputs("test", torch.arange(len(labels)))
    of_names = subject.features_of(names)
    ranks = ranks_of(subject.features_of(queries), of_names, number[labels])
    few = classes_of(subject.predictions, "few")[labels]
    found = {**_summary("retrieval", ranks), **_summary("retrieval.few_shot", ranks[few])}
    found |= _summary("retrieval.words", ranks_of(queries, names, number[labels]))
    if whole is None:
        return found
    rows = whole.splits["test"]
    rows = rows[~torch.isin(whole.labels[rows], number)]
    unseen = subject.features_of(weigh(whole.inputs[rows]))
    return found | _summary("retrieval.unseen", ranks_of(unseen, of_names, whole.labels[rows]))


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
