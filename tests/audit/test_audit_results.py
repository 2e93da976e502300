"""The results of an audit as data and as one sentence."""

import json
from dataclasses import replace

import pytest
from audit.audit_examples import make

from softtargets.audit.files import as_json


def test_the_data_hold_everything_and_no_number_that_json_does_not_know():
    said = json.loads(as_json(make()), parse_constant=lambda name: pytest.fail(name))
    assert said["estimates"][1]["condition"] is None
    assert said["recommendation"]["action"] == "compare corrections"
    assert said["reference"]["noise_rate"] == 0.1234
    assert said["confusions"] == [
        {"clean": "class 0", "observed": "class 1", "estimate": 41.0, "low": 33.0, "high": 52.0}
    ]
    assert [cut["first"] for cut in said["cuts"]] == [1, 10, 20, 50, 64, 100, 1000]


def test_a_result_is_shown_as_one_short_paragraph():
    shown = repr(make())
    assert shown == (
        "AuditResults: 1,000 labels of simulated, 3 classes. Estimated noise rate 15.0 % (range 14.0 % to 17.0 %), 70 "
        "suspects. Recommended: compare corrections."
    )
    results = make()
    unknown = replace(results, recommendation=replace(results.recommendation, action="get better predictions"))
    assert "No finding" in repr(unknown)
    assert "15.0 %" not in repr(unknown)


def test_the_dictionary_is_the_content_of_the_json_file():
    results = make(judged=False)
    assert results.to_dict()["reference"] is None
    assert json.loads(as_json(results))["classes"] == results.to_dict()["classes"]
