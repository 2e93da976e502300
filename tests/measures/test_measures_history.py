"""How fast a run learned."""

import json

from measures.simulated import of_record

from softtargets.measures import MEASURES
from softtargets.runs.record import Record


def test_how_fast_it_learnt() -> None:
    rows = [{"epoch": 1, "objective": 2.0}]
    rows += [{"epoch": e, "objective": 1.0, "validation_accuracy": a} for e, a in ((2, 0.85), (4, 0.8), (6, 0.96))]
    record = Record({}, history=tuple(json.loads(json.dumps(rows))))
    found = {name: of_record(name, record) for name in MEASURES if name.startswith("epochs")}
    assert found == {
        "epochs.validation80": 2.0,
        "epochs.validation90": 6.0,
        "epochs.validation95": 6.0,
        "epochs.validation98": None,
    }
    assert of_record("train.objective", record) == 1.0
