"""Transfer to the classes that a run leaves out: against a probe by hand, and what is refused."""

import pytest
import torch
from measures.small_runs import trained

from softtargets._errors import InputError
from softtargets.analysis import linear_probe
from softtargets.data import load
from softtargets.data.spec import DataSpec
from softtargets.measures.probe import PENALTIES
from softtargets.measures.subject import Subject
from softtargets.measures.transfer import transfer

SIX = (0, 1, 2, 3, 4, 5)
ON_SIX = DataSpec.parse({"name": "digits", "classes": SIX, "limit": {"train": 200, "validation": 60, "test": 90}})


@pytest.fixture(scope="module")
def six(store):
    return Subject(trained(store, data=ON_SIX), store, None)


def test_it_is_the_best_probe_of_the_features_of_the_other_classes(six) -> None:
    others = load(ON_SIX.changed(classes=(6, 7, 8, 9)))
    own = load(ON_SIX)
    pixels = own.inputs[own.splits["train"]].double() / 255
    mean, std = pixels.mean(), pixels.std(correction=0)

    def features(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        rows = others.splits[split]
        seen = ((others.inputs[rows].double() / 255 - mean) / std).float()
        with torch.no_grad():
            return six.network.features(seen), others.labels[rows]

    def reached(l2: float, split: str) -> float:
        settings = {"l2": l2, "num_classes": 4, "tolerance": 1e-4, "steps": 200}
        return float(linear_probe(*features("train"), *features(split), **settings).accuracy)

    best = max(PENALTIES, key=lambda l2: (reached(l2, "validation"), l2))
    assert transfer(six)["transfer.accuracy"] == pytest.approx(reached(best, "test"), abs=1 / 90 + 1e-9)
    # the four classes are digits that the network has never seen, and their features still tell them apart
    assert transfer(six)["transfer.accuracy"] > 0.5


def test_a_run_on_all_classes_has_none(store) -> None:
    assert transfer(Subject(trained(store), store, None)) == {}


def test_one_class_left_out_is_refused(store) -> None:
    data = ON_SIX.changed(classes=tuple(range(9)))
    with pytest.raises(InputError, match=r"data\.classes: at least two classes left out, for transfer; got 1"):
        transfer(Subject(trained(store, data=data), store, None))
