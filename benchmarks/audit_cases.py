"""The cases of the audit benchmark: data sets, label noise, and out-of-sample probabilities, which are cached."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.audit_pictures import decode, encoded
from softtargets import noise

ROWS, FOLDS = 3000, 5
RATES = (0.05, 0.15, 0.30, 0.45)
KINDS = ("symmetric", "pair", "class-dependent")
STRENGTHS = ("weak", "medium", "strong")
HUMAN = ("aggre_label", "random_label1", "worse_label")
# In class-dependent noise, the right label of every class is more frequent than any other by this much.
MARGIN = 0.05

# Data set -> its source. Sets of one source are in the same half.
SETS = {
    "digits": "digits",
    "wine": "wine",
    "breast-cancer": "breast-cancer",
    "iris": "iris",
    "mnist": "mnist",
    "mnist-parity": "mnist",
    "fashion": "fashion-mnist",
    "fashion-shirts": "fashion-mnist",
    "cifar10": "cifar10",
    "cifar10-animals": "cifar10",
    "clinc150": "clinc150",
    "clinc20": "clinc150",
    "banking77": "banking77",
    "banking15": "banking77",
    "language": "multi30k",
}


def halves() -> dict[str, str]:
    """Return "development" or "confirmation" for each source: alternately, in the order of a hash of the name."""
    order = sorted(set(SETS.values()), key=lambda name: hashlib.sha256(f"audit {name}".encode()).hexdigest())
    return {name: ("development", "confirmation")[place % 2] for place, name in enumerate(order)}


@dataclass(frozen=True)
class Problem:
    """A data set: inputs for each strength of model, and the labels that are taken as clean."""

    inputs: dict[str, Any]
    labels: np.ndarray
    human: dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One case: a data set, a kind and rate of noise, and a model."""

    data: str
    kind: str
    rate: float
    strength: str
    folder: Path

    @property
    def name(self) -> str:
        """Name of the case and of its file."""
        return f"{self.data}_{self.kind}_{round(100 * self.rate):02d}_{self.strength}"

    @property
    def half(self) -> str:
        """The half of its source: "development" or "confirmation"."""
        return halves()[SETS[self.data]]

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """`probs` (N, K) float32, `given` (N,) and `clean` (N,)."""
        with np.load(self.folder / f"{self.name}.npz") as found:
            return dict(found)


def all_cases(folder: Path) -> list[Case]:
    """Return all cases that are in the cache."""
    cases = []
    for data in SETS:
        conditions = [("clean", 0.0), *((kind, rate) for kind in KINDS for rate in RATES), *((h, 0.0) for h in HUMAN)]
        cases += [Case(data, kind, rate, strength, folder) for kind, rate in conditions for strength in STRENGTHS]
    return [case for case in cases if (case.folder / f"{case.name}.npz").exists()]


def fill(folder: Path, data_folder: Path) -> Iterator[str]:
    """Compute the probabilities that are not in the cache, and yield the names of the cases."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in SETS:
        problem = lru_cache(1)(lambda data=data: _read(data, data_folder, folder))
        if (folder / f"{data}.done").exists():
            continue
        for kind, rate, given in _noisy(data, problem()):
            for strength in STRENGTHS:
                case = Case(data, kind, rate, strength, folder)
                path = folder / f"{case.name}.npz"
                if path.exists():
                    continue
                probs = _out_of_sample(problem().inputs[strength], given, int(problem().labels.max()) + 1)
                np.savez(path, probs=probs, given=given, clean=problem().labels)
                yield case.name
        (folder / f"{data}.done").touch()


def _noisy(data: str, problem: Problem) -> Iterator[tuple[str, float, np.ndarray]]:
    clean = torch.from_numpy(problem.labels)
    yield "clean", 0.0, problem.labels
    for kind in KINDS:
        for rate in RATES:
            generator = torch.Generator().manual_seed(zlib.crc32(f"{data} {kind} {rate}".encode()))
            transition = make_transition(kind, rate, int(clean.max()) + 1, generator)
            if transition is not None:
                found = noise.corrupt(clean, transition, exact=False, generator=generator)
                yield kind, rate, found.noisy_labels.numpy()
    for column, labels in problem.human.items():
        yield column, 0.0, labels


def make_transition(kind: str, rate: float, size: int, generator: torch.Generator) -> noise.Transition | None:
    """Return a transition of a kind and rate; None where there is none, or if 2,000 draws fail."""
    if kind == "symmetric":
        return noise.symmetric(rate, size)
    if kind == "pair":
        # with two classes, these are the symmetric flips
        return noise.pair_flip(rate, size) if size > 2 else None
    for _ in range(2000):
        found = noise.random_transition(rate, size, generator=generator)
        matrix = found.to_dense()
        if bool((matrix.diagonal() - matrix.clone().fill_diagonal_(0).max(1).values >= MARGIN).all()):
            return found
    return None


def _out_of_sample(fit: Callable[..., np.ndarray], given: np.ndarray, size: int) -> np.ndarray:
    """Return the probabilities of models that were not trained on the row, (N, K) float32."""
    folds = np.random.default_rng(0).permutation(len(given)) % FOLDS
    probs = np.zeros((len(given), size), dtype=np.float32)
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        classes, found = fit(train, given[train], test)
        probs[np.ix_(test, classes)] = found
    return probs


def _model(make: Callable[[], Any], inputs: Any) -> Callable[..., Any]:
    def fit(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        model = make().fit(inputs[train], labels)
        return model.classes_, model.predict_proba(inputs[test])

    return fit


def _logistic(strength: float = 1.0) -> Callable[[], Any]:
    from sklearn.linear_model import LogisticRegression

    return lambda: LogisticRegression(C=strength, max_iter=60)


def _read(data: str, folder: Path, cache: Path) -> Problem:
    from sklearn import datasets

    tables = {"wine": datasets.load_wine, "breast-cancer": datasets.load_breast_cancer, "iris": datasets.load_iris}
    if data in tables:
        table: Any = tables[data]()
        return _table(table.data, table.target)
    if data == "digits":
        found: Any = datasets.load_digits()
        return _pictures(found.data / 16.0, found.target)
    source = SETS[data]
    if source in ("clinc150", "banking77", "multi30k"):
        return _texts(*_read_texts(data, folder))
    return _read_pictures(data, folder, cache)


def _table(values: np.ndarray, labels: np.ndarray) -> Problem:
    from sklearn.ensemble import HistGradientBoostingClassifier

    values = (values - values.mean(0)) / values.std(0)

    def boosting() -> Any:
        return HistGradientBoostingClassifier(max_iter=40, min_samples_leaf=10, random_state=0)

    inputs = {
        "weak": _model(_logistic(), values[:, :2]),
        "medium": _model(_logistic(), values),
        "strong": _model(boosting, values),
    }
    return Problem(inputs, labels.astype(np.int64), {})


def _pictures(pixels: np.ndarray, labels: np.ndarray, features: np.ndarray | None = None, **human: Any) -> Problem:
    from sklearn.decomposition import PCA
    from sklearn.kernel_approximation import Nystroem
    from sklearn.neighbors import NearestCentroid

    reduced = PCA(40, random_state=0).fit_transform(pixels)
    if features is None:
        scale = np.median(np.linalg.norm(reduced[:200, None] - reduced[None, :200], axis=-1))
        features = Nystroem(gamma=2 / scale**2, n_components=300, random_state=0).fit_transform(reduced)
    assert features is not None
    inputs = {
        "weak": _model(NearestCentroid, reduced[:, :5]),
        "medium": _model(_logistic(), reduced),
        "strong": _model(_logistic(10.0), features),
    }
    return Problem(inputs, labels.astype(np.int64), human)


def _texts(texts: list[str], labels: np.ndarray) -> Problem:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
    from sklearn.naive_bayes import MultinomialNB

    sparse = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit_transform(texts)
    hashed = HashingVectorizer(n_features=256, alternate_sign=False, norm=None)  # pyright: ignore[reportArgumentType]
    inputs = {
        "weak": _model(MultinomialNB, hashed.fit_transform(texts)),
        "medium": _model(_logistic(10.0), TruncatedSVD(50, random_state=0).fit_transform(sparse)),
        "strong": _model(_logistic(10.0), sparse),
    }
    return Problem(inputs, labels.astype(np.int64), {})


def _read_texts(data: str, folder: Path) -> tuple[list[str], np.ndarray]:
    from pyarrow.parquet import read_table

    table = read_table(folder / SETS[data] / "train.parquet")
    if data == "language":
        pairs = table["translation"].to_pylist()[: ROWS // 2]
        # four letters from the middle of a sentence, so that the languages can be confused
        texts = [pair[code][10:14] for code in ("de", "en") for pair in pairs]
        return texts, np.repeat(np.arange(2), len(pairs))
    texts, labels = table["text"].to_pylist(), table["label"].to_numpy()
    kept = {"clinc20": 20, "banking15": 15}.get(data, int(labels.max()) + 1)
    rows = np.flatnonzero(labels < kept)
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:ROWS])
    return [texts[row] for row in rows], labels[rows]


def _read_pictures(data: str, folder: Path, cache: Path) -> Problem:
    from pyarrow.parquet import read_table

    source = SETS[data]
    table = read_table(folder / source / "train.parquet")
    labels = table["label"].to_numpy()
    rows = np.arange(len(labels)) if data != "fashion-shirts" else np.flatnonzero(np.isin(labels, (0, 6)))
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:ROWS])
    pixels = decode(table["image"], rows).reshape(len(rows), -1)
    features, human = None, {}
    if source == "cifar10":
        features = encoded(table, rows, cache)
    if data == "cifar10":
        columns = read_table(folder / "cifar10n" / "train.parquet")
        human = {column: columns[column].to_numpy()[rows] for column in HUMAN}
    labels = labels[rows]
    change = {"mnist-parity": lambda x: x % 2, "fashion-shirts": lambda x: x // 6}
    change["cifar10-animals"] = lambda x: np.isin(x, (2, 3, 4, 5, 6, 7)).astype(np.int64)
    return _pictures(pixels, change.get(data, lambda x: x)(labels), features, **human)
