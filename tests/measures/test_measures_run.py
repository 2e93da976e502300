"""Measuring a finished run: what is computed, what is kept, and what is said where that fails."""

import math

import pytest
from measures.small_runs import CLASSES, trained

from softtargets.measures import (
    MEASURES,
    TRACES,
    Measured,
    measure_network,
    measure_record,
    measure_run,
    run,
    trace_run,
)
from softtargets.measures.registry import GROUPS, NETWORK_TRACES
from softtargets.runs.record import read_history
from softtargets.runs.spec import canonical_json
from softtargets.runs.store import RunStore


def test_a_number_that_is_not_defined_is_left_out(store, monkeypatch) -> None:
    resolved = trained(store, seeds=1)
    monkeypatch.setitem(GROUPS, "collapse", lambda subject: {"nc1": 1.0, "nc2.angles": math.nan})
    assert measure_network(resolved, store, ["nc1", "nc2.angles"]) == Measured({"nc1": 1.0})


def test_what_was_computed_is_kept_until_the_version_is_raised(store, monkeypatch) -> None:
    resolved = trained(store, seeds=2)
    computed = []
    monkeypatch.setitem(GROUPS, "collapse", lambda subject: computed.append(1) or {"nc1": 1.0})
    for _ in range(2):
        assert measure_network(resolved, store, ["nc1"]) == Measured({"nc1": 1.0})
    assert len(computed) == 1
    monkeypatch.setattr(run, "ANALYSES_VERSION", run.ANALYSES_VERSION + 1)
    measure_network(resolved, store, ["nc1"])
    assert len(computed) == 2


def test_on_a_full_disk_the_number_is_still_there(store, monkeypatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    resolved = trained(store, seeds=3)
    monkeypatch.setattr(RunStore, "put_derived", full)
    found = measure_network(resolved, store, ["nc1"])
    assert found.values["nc1"] > 0
    assert found.problems == ()
    assert measure_record(store, resolved.identity)["test.accuracy"] > 0


def test_a_network_that_is_gone_is_said(store) -> None:
    resolved = trained(store).changed(fingerprint="other")
    found = measure_network(resolved, store, ["nc1"])
    assert found.values == {}
    assert len(found.problems) == 1
    assert found.problems[0].startswith("collapse not computed: ")


def test_a_run_is_measured_whole(store) -> None:
    resolved = trained(store)
    wanted = ["information", "test.accuracy", "nc1"]
    found = measure_run(resolved, store, wanted, CLASSES)
    of_record = measure_record(store, resolved.identity)
    assert [*found.values] == [*of_record, "information", "nc1"]
    assert found.values == of_record | measure_network(resolved, store, ["information", "nc1"], CLASSES).values
    assert found.problems == ()
    assert measure_run(resolved, store) == Measured(of_record)


def test_one_measure_that_fails_leaves_the_others(store) -> None:
    found = measure_run(trained(store), store, ["information", "nc1"])
    assert found.values["nc1"] > 0
    assert "information" not in found.values
    assert [problem.partition(":")[0] for problem in found.problems] == ["information not computed"]


def test_kept_numbers_stay_valid_as_long_as_versions_and_names_do(store) -> None:
    """The keys under which numbers were kept by earlier releases."""
    resolved = trained(store, seeds=4)
    names = sorted(name for name, measure in MEASURES.items() if measure.of is not None)
    of_record = canonical_json({"measures": names, "version": run.MEASURES_VERSION})
    of_network = canonical_json(
        {"analysis": {"group": "collapse", "classes": CLASSES}, "version": run.ANALYSES_VERSION}
    )
    store.put_derived(resolved.identity, of_record, {"test.accuracy": 2.0})
    store.put_derived(resolved.identity, of_network, {"nc1": 3.0})
    found = measure_run(resolved, store, ["nc1"], CLASSES)
    assert found == Measured({"test.accuracy": 2.0, "nc1": 3.0})


def test_a_trace_is_a_column_of_the_history_or_the_network_at_each_snapshot(store) -> None:
    resolved = trained(store, training={"snapshot_every": 2, "evaluate_every": 3})
    history = read_history(store.path(resolved.identity))
    for name in TRACES.keys() - NETWORK_TRACES.keys():
        # the history has validation numbers of evaluated epochs alone
        expected = {row["epoch"]: row[name] for row in history if name in row}
        assert trace_run(resolved, store, name) == expected
        # a run without unlabelled rows has no pseudo-labels, and one without votes no scores against them
        assert (3 in expected) != name.startswith(("pseudo_label", "validation_votes"))
    found = trace_run(resolved, store, "information", CLASSES)
    assert [*found] == [0, 2, 3]
    last = measure_network(resolved, store, ["information"], CLASSES).values["information"]
    assert found[3] == pytest.approx(last, abs=1e-12)
    assert trace_run(resolved, store, "information", CLASSES) == found
