"""The model that the user names for an audit: a scikit-learn estimator or a network."""

import inspect
from typing import Any

from softtargets._errors import fail
from softtargets.models.adapter import first_line
from softtargets.models.imported import GIVEN, IMPORT, ImportedSpec

_REQUIRED = "a scikit-learn estimator with fit and predict_proba, or a network"


def read_model(model: Any) -> Any:
    """Return the estimator that was given or named, or the specification of the network that was named.

    A function or class with the arguments `input_shape` and `num_classes` makes a network; another one is called
    without arguments and makes an estimator.

    Args:
        model: an estimator, or an import path, "module:name", of an estimator or of a function or class.

    Raises:
        InputError: if it cannot be imported or called, or is something else.
    """
    if not isinstance(model, str):
        return _checked(model, type(model).__name__)
    specification = ImportedSpec.parse({IMPORT: model}, source="model")
    found = specification.imported()
    if not isinstance(found, type) and _is_estimator(found):
        return found
    if not callable(found):
        raise fail("model", _REQUIRED, f"'{model}', a {type(found).__name__}", "name another")
    if _makes_network(found):
        return specification
    try:
        made = found()
    except Exception as error:  # of the user's code: any class of error
        got = f"{type(error).__name__} from '{model}': {first_line(error)}"
        remedy = f"give a function without arguments, or one with {' and '.join(GIVEN)}"
        raise fail("model", _REQUIRED, got, remedy) from error
    return _checked(made, f"a {type(made).__name__} from '{model}'")


def as_network(model: Any) -> ImportedSpec | None:
    """Return the specification if the model is a network; None for an estimator."""
    return model if isinstance(model, ImportedSpec) else None


def _makes_network(found: Any) -> bool:
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):  # of a callable that has none
        return False
    return set(GIVEN) <= set(parameters)


def _checked(made: Any, got: str) -> Any:
    if not _is_estimator(made):
        remedy = "add predict_proba (such as CalibratedClassifierCV around a support vector machine)"
        raise fail("model", _REQUIRED, got, remedy)
    return made


def _is_estimator(found: Any) -> bool:
    return all(callable(getattr(found, name, None)) for name in ("fit", "predict_proba", "get_params"))
