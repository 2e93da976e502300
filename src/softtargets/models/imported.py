"""The user's own network, by the import path of a function or class that returns it."""

import functools
import hashlib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import AfterValidator, ConfigDict, create_model, model_validator
from torch import Tensor, nn

from softtargets._errors import InputError, fail, nearest, unknown
from softtargets._storage import read_regular
from softtargets.data.tokens import as_shape
from softtargets.models.adapter import adapt, first_line, run
from softtargets.models.arguments import frozen, written
from softtargets.models.network import ModelSpec, check_size, model

IMPORT = "import"
GIVEN = ("input_shape", "num_classes")


def _check_path(path: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", path):
        raise ValueError("a module and a name in it, such as 'my_package.nets:build'")
    return path


# "import" cannot be written as a field in a class, since it is a keyword of Python.
_PATH: Any = {IMPORT: (Annotated[str, AfterValidator(_check_path)], ...)}
_WithPath: Any = create_model("_WithPath", __base__=ModelSpec, **_PATH)


def named(data: Any) -> Any:
    """Add the name of the specification to a table that has an import path and no name."""
    return {"name": IMPORT, **data} if isinstance(data, Mapping) and IMPORT in data else data


@model(IMPORT)
class ImportedSpec(_WithPath):
    """The user's own network: ``import = "my_package.nets:build"``, and the arguments of that function or class.

    It is called with `input_shape`, `num_classes` and the other keys of the table, and returns a torch.nn.Module whose
    output is (N, K) logits. Modules are found in the working directory too.

    The module's own `features(inputs)` -> (N, D) and `head` are used if head(features(inputs)) gives the logits.
    Otherwise the last nn.Linear becomes the head, if its output is the logits.

    A run is identified by the import path, the arguments, and a hash of the source file that defines the function or
    class. Other files that it imports are not part of the identity.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")
    # whether it gives good results in bfloat16 is not known
    reduced_precision: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        for key in GIVEN if isinstance(data, Mapping) else ():
            if key in data:
                raise fail(key, "not among the keys, since it is set from the data", repr(data[key]), "drop it")
        return data

    @model_validator(mode="after")
    def _freeze_arguments(self) -> Self:
        extra = self.__pydantic_extra__ or {}
        for key, value in extra.items():
            try:
                extra[key] = frozen(value)
            except ValueError as error:
                raise fail(key, str(error), repr(value), "write it as one of these") from None
        return self

    @property
    def path(self) -> str:
        """The import path, "module:name"."""
        return getattr(self, IMPORT)

    def assemble(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Call the user's function."""
        arguments = {key: written(value) for key, value in (self.__pydantic_extra__ or {}).items()}
        make = self._callable()
        given: dict[str, Any] = {"input_shape": as_shape(input_shape), "num_classes": num_classes, **arguments}
        _check_arguments(make, self.path, given)
        try:
            made = make(**given)
        except Exception as error:  # of the user's code: any class of error
            got = f"{type(error).__name__}: {first_line(error)}"
            raise fail(
                "model", f"a network from '{self.path}' for inputs {given['input_shape']}", got, "fix it"
            ) from error
        if not isinstance(made, nn.Module):
            raise fail("model", f"a torch.nn.Module from '{self.path}'", type(made).__name__, "return the network")
        return made

    def build(self, input_shape: Sequence[int], num_classes: int) -> nn.Module:
        """Build the network; see :meth:`ModelSpec.build`. It is also checked as :func:`adapt` says.

        Raises:
            InputError: if it cannot be imported or built, does not take the keys or the inputs, returns something else
                than logits, or if two networks from the same seed differ.
        """
        shape = as_shape(input_shape)
        first = self._reference(shape, num_classes)
        network = self._adapted(shape, num_classes)
        if _layout(network) != first:
            raise _unsteady(self.path, dict(first), dict(_layout(network)))
        return network

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the number of parameters; builds the network."""
        with torch.random.fork_rng(devices=()):
            return sum(parameter.numel() for parameter in self._adapted(input_shape, num_classes).parameters())

    def source(self) -> str:
        """Return the SHA-256 of the source file that defines the function or class."""
        made = self._callable()
        module = sys.modules.get(getattr(made, "__module__", None) or "", self._module())
        file = getattr(module, "__file__", None)
        if file is None or not file.endswith(".py"):
            got = f"'{module.__name__}' without one"
            raise fail(f"model.{IMPORT}", "a module with a source file", got, "wrap it in a function of your own")
        return hashlib.sha256(read_regular(Path(file))).hexdigest()

    def _module(self) -> ModuleType:
        name = self.path.split(":")[0]
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.append(os.getcwd())
        required = "the import path of a function, 'module:name'"
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                got = f"'{self.path}', but there is no module '{error.name}'"
                remedy = "check the spelling, run in the folder that contains it, or put that folder on PYTHONPATH"
                raise fail(f"model.{IMPORT}", required, got, remedy) from error
            raise self._broken(required, error) from error
        except Exception as error:  # of the user's code: any class of error
            raise self._broken(required, error) from error

    def _broken(self, required: str, error: Exception) -> InputError:
        got = f"'{self.path}', whose import fails ({type(error).__name__}: {first_line(error)})"
        return fail(f"model.{IMPORT}", required, got, "fix that module")

    def imported(self) -> Any:
        """Return what the import path names.

        Raises:
            InputError: if it cannot be imported.
        """
        found: Any = self._module()
        for name in self.path.split(":")[1].split("."):
            if not hasattr(found, name):
                known = [each for each in vars(found) if not each.startswith("_") and callable(vars(found)[each])]
                raise unknown(f"model.{IMPORT}", name, known)
            found = getattr(found, name)
        return found

    def _callable(self) -> Callable[..., Any]:
        found = self.imported()
        if not callable(found):
            got = f"'{self.path}', a {type(found).__name__}"
            raise fail(f"model.{IMPORT}", "a function or class that returns a network", got, "name another")
        return found

    def _adapted(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        network = self.assemble(input_shape, num_classes)
        try:
            logits = run(network, input_shape)
        except InputError:
            raise
        except Exception as error:  # of the user's code: any class of error
            got = f"{type(error).__name__}: {first_line(error)}"
            required = (
                f"a network from '{self.path}' that takes inputs of shape (N, {', '.join(map(str, input_shape))})"
            )
            raise fail("model", required, got, "fix it, or resize the inputs") from error
        adapted = adapt(network, input_shape, num_classes, logits)
        check_size(sum(parameter.numel() for parameter in adapted.parameters()), input_shape)
        return adapted

    @functools.lru_cache(maxsize=256)  # noqa: B019 (specifications are small values)
    def _reference(self, input_shape: tuple[int, ...], num_classes: int) -> tuple[tuple[str, str], ...]:
        """Build twice from one seed, compare the networks, and return the layout of their tensors."""
        states: list[dict[str, Tensor]] = []
        for _ in range(2):
            with torch.random.fork_rng(devices=()):
                torch.default_generator.manual_seed(0)
                states.append(self._adapted(input_shape, num_classes).state_dict())
        first, second = states
        if _layout_of(second) != _layout_of(first):
            raise _unsteady(self.path, dict(_layout_of(first)), dict(_layout_of(second)))
        for name, value in first.items():
            if not torch.equal(value, second[name]) and not bool(value.isnan().any()):
                required = f"the same initial weights from '{self.path}' for the same seed of torch"
                raise fail("model", required, f"other values of '{name}'", "draw all initial weights with torch")
        return _layout_of(first)


def _check_arguments(make: Callable[..., Any], path: str, given: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # of a callable that has none, whose own error says what is wrong
        return
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    taken = [name for name, kind in kinds.items() if kind in (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY)]
    open_ended = any(kind == kind.VAR_KEYWORD for kind in kinds.values())
    for name in given:
        if name not in taken and not open_ended:
            if name in GIVEN:
                raise fail("model", f"a function with the argument {name}", f"'{path}{signature}'", "add that argument")
            close = nearest(name, [each for each in taken if each not in GIVEN])
            remedy = f"did you mean '{close}'?" if close else "drop it"
            raise fail(f"model.{name}", f"an argument of '{path}{signature}'", f"'{name}'", remedy)
    for name in taken:
        if name not in given and signature.parameters[name].default is inspect.Parameter.empty:
            raise fail(f"model.{name}", f"given, since '{path}{signature}' requires it", "nothing", "add this key")


def _layout(network: nn.Module) -> tuple[tuple[str, str], ...]:
    return _layout_of(network.state_dict())


def _layout_of(state: Mapping[str, Tensor]) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"{value.dtype} {tuple(value.shape)}") for name, value in state.items())


def _unsteady(path: str, first: dict[str, str], second: dict[str, str]) -> InputError:
    names = [*first, *second]
    differing = next((name for name in names if first.get(name) != second.get(name)), "their order")
    got = f"'{differing}': {first.get(differing, 'absent')}, then {second.get(differing, 'absent')}"
    required = f"a network from '{path}' with the same tensors each time"
    return fail("model", required, got, "build the same layers for the same arguments")
