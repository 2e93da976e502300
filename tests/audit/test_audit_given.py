"""The model that the user names: an estimator, or a network by its import path."""

import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from softtargets._errors import InputError
from softtargets.audit.given import as_network, read_model


def test_an_estimator_is_taken_as_an_object_by_its_path_or_from_a_function():
    own = DummyClassifier()
    assert read_model(own) is own
    assert read_model("audit.own_estimators:ready").C == 2.0
    assert [name for name, _ in read_model("audit.own_estimators:build").steps] == [
        "standardscaler",
        "logisticregression",
    ]
    assert isinstance(read_model("sklearn.linear_model:LogisticRegression"), LogisticRegression)


def test_a_function_of_shapes_makes_a_network():
    network = as_network(read_model("own_networks:plain"))
    assert network is not None
    assert network.path == "own_networks:plain"
    assert as_network(read_model("audit.own_estimators:build")) is None


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("audit.own_estimators", "model"),
        ("audit.own_estimators:missing", r"model.import: .*missing"),
        ("no_such_module:build", "model.import: .*no module 'no_such_module'"),
        ("audit.own_estimators:number", r"model: .*; got 'audit.own_estimators:number', a int; name another"),
        ("audit.own_estimators:without_probabilities", "a RidgeClassifier .*; add predict_proba"),
        ("audit.own_estimators:broken", "RuntimeError from 'audit.own_estimators:broken': no such file"),
        (7, "model: a scikit-learn estimator .*; got int"),
    ],
)
def test_everything_else_is_refused_with_its_name(model, said):
    with pytest.raises(InputError, match=said):
        read_model(model)
