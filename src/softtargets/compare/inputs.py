"""The checked inputs of a comparison: the data set with its one split, and the specification that all runs share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from softtargets._errors import fail
from softtargets.compare.recipe import given_tables, recipe_of
from softtargets.compare.request import CompareRequest
from softtargets.data import fingerprint
from softtargets.data.dataset import SPLITS, Dataset
from softtargets.data.noise import observe
from softtargets.data.sources import forget_changed, load_cached
from softtargets.data.spec import DataSpec
from softtargets.runs.spec import ResolvedRun, RunSpec
from softtargets.runs.store import RunStore
from softtargets.runs.streams import generator
from softtargets.train.execute import resolve

# Fewest rows of each split. With fewer test rows, an accuracy is known to no better than 10 points.
LEAST_ROWS = {"train": 100, "validation": 50, "test": 100}


@dataclass(frozen=True, eq=False)
class CompareInputs:
    """The inputs of a comparison.

    Args:
        dataset: the data set.
        content: the tables of the specification that all runs share, without `objective` and `seeds`.
        store: of the runs.
        prints: fingerprints of the data sets by their specifications.
        seed: first seed of the runs, and seed of added label noise.
        noise: label noise that the specification adds, in words; None: the labels are those of the data.
        own_test: whether the data set has a test split of its own.
    """

    dataset: Dataset
    content: Mapping[str, Any]
    store: RunStore
    prints: Mapping[DataSpec, str]
    seed: int
    noise: str | None
    own_test: bool

    def tables(self, objective: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return the specification of a run, as tables that `softtargets train` takes.

        Label noise that the specification adds is the same in all runs.

        Args:
            objective: the table `objective`.
            seed: the number of the repetition, added to the first seed.
        """
        streams = ("initialisation", "order", "augmentation", "method", "dropout")
        seeds = dict.fromkeys(streams, self.seed + seed) | {"noise": self.seed}
        return {**self.content, "objective": dict(objective), "seeds": seeds}

    def resolved(self, objective: Mapping[str, Any], seed: int) -> ResolvedRun:
        """Return the resolved run of an objective and a seed; see :meth:`tables`."""
        run = RunSpec.parse(self.tables(objective, seed), source="specification")
        return resolve(run, self.prints[run.data], self.prints)


def gather(request: CompareRequest) -> CompareInputs:
    """Read the data set and the specification, and check that they can be compared on.

    Raises:
        InputError: an invalid file, column, table or label; data that are too small, or that lack a class in a split.
    """
    options = request.options
    tables = given_tables(options)
    store = RunStore(options.runs)
    forget_changed()
    data = _data(request, tables)
    spec = DataSpec.parse(data, source="data")
    dataset = load_cached(spec, str(store.cache))
    _check(dataset)
    content = {"data": data, **recipe_of(dataset, options, tables)}
    run = RunSpec.parse({**content, "objective": {"name": "cross_entropy"}}, source="specification")
    prints = {each: fingerprint(each, cache=store.cache) for each in run.data_sets()}
    noise = None
    if run.noise is not None:
        observed = observe(run.noise, dataset, generator("noise", options.seed))
        rates = " and ".join(f"{100 * rate:.1f} % of the {split} labels" for split, rate in observed.rates.items())
        noise = f"noise of the kind '{run.noise.name}' was added: {rates} are wrong"
    own = bool((dataset.origin[dataset.splits["test"]] == SPLITS.index("test")).all())
    return CompareInputs(dataset, content, store, prints, options.seed, noise, own)


def _data(request: CompareRequest, tables: Mapping[str, Any]) -> dict[str, Any]:
    options = request.options
    given = dict(tables.get("data", {}))
    given.pop("name", None)
    names = ("label", "votes", "annotators", "text", "features")
    columns = {name: getattr(options, name) for name in names}
    named = {column: value for column, value in columns.items() if value}
    return {"split_seed": options.seed, **given, **named, "name": request.data}


def _check(dataset: Dataset) -> None:
    """Require data with labels that are large enough, and rows of every class in every split."""
    if dataset.is_sequence:
        remedy = "compare the objectives with softtargets train"
        raise fail("data", "rows with one label each", "a network that writes rows of tokens", remedy)
    for split, least in LEAST_ROWS.items():
        rows = len(dataset.labelled_splits[split])
        if rows < least:
            raise fail("data", *_too_small(dataset, split, rows, least))
    names = dataset.class_names
    for split, rows in dataset.labelled_splits.items():
        counts = dataset.labels[rows].bincount(minlength=dataset.num_classes)
        if dataset.votes is not None:
            counts = dataset.votes[rows].sum(0)
        absent = int(torch.nonzero(counts == 0)[0]) if bool((counts == 0).any()) else None
        if absent is not None:
            have = int((dataset.labels == absent).sum())
            got = f"none of class '{names[absent]}' in {split}, of {have} in the data"
            remedy = "add rows of that class, leave it out, or hold out larger splits in specification.data"
            raise fail("label", "at least one row of every class in train, validation and test", got, remedy)


def _too_small(dataset: Dataset, split: str, rows: int, least: int) -> tuple[str, str, str]:
    total = sum(len(part) for part in dataset.labelled_splits.values())
    needed = -(-least * total // max(rows, 1))
    shares = f"of {total:,} labelled rows" if rows else f"({total:,} labelled rows, and no {split} split)"
    # half of the width of a 95 % interval, if a tenth of the rows is predicted differently
    answered = 1.96 * (0.1 / max(len(dataset.splits["test"]), 1)) ** 0.5
    said = (
        f"with its {len(dataset.splits['test']):,} test rows only differences of accuracy above about "
        f"{100 * answered:.0f} points could be shown; softtargets audit and softtargets train take it as it is"
    )
    required = f"at least {least} {split} rows"
    size = (
        f"add rows (about {needed:,} in all) or hold out a larger share in specification.data"
        if rows
        else ("remove the share of 0 in specification.data")
    )
    return required, f"{rows} {shares}", f"{size}; {said}"
