"""Snippets as values: one call of a class, or the options of a command line. Nothing is evaluated or imported."""

import ast
import math
import operator
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from softtargets._errors import InputError, fail, nearest, shortened, unknown

LONGEST = 2**16
# The number of classes in errors: an argument of the function, and an option of the command line.
CLASSES = "num_classes (--classes)"
# Functions around a list of numbers, which is what counts.
_TENSORS = ("tensor", "Tensor", "FloatTensor", "DoubleTensor", "as_tensor", "array", "asarray")
# The end of a line that goes on in the next one.
_JOINED = re.compile(r"\\\r?\n")
# Methods that return the loss or the list as it is.
_MOVES = ("to", "cuda", "cpu", "double", "float", "half", "bfloat16")
_FILLED = {"ones": 1.0, "zeros": 0.0}
_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
# How similar an unknown option may be to one that is read. A more similar one is taken for a typing error.
_SIMILAR = 0.7


@dataclass(frozen=True)
class Call:
    """The last part of the name of a class, and its arguments by name."""

    name: str
    arguments: Mapping[str, Any]


def read_call(
    argument: str, text: str, signatures: Mapping[str, Sequence[str]], advice: Mapping[str, str] | None = None
) -> Call:
    """Read one call of a class with literal arguments; a variable it is assigned to, and `.to(...)`, are skipped.

    Args:
        argument: where the text comes from, for errors.
        text: such as "CrossEntropyLoss(label_smoothing=0.1)".
        signatures: names of parameters in their order, by class.
        advice: what to do instead, by name of a class that is not read.

    Raises:
        InputError: if the text is not one call, or an unknown class or parameter is named.
    """
    example = f"write one call, such as {next(iter(signatures))}(...)"
    body = _without_moves(_expression(argument, text, example))
    if not isinstance(body, ast.Call):
        raise fail(argument, "one call of a loss class", f"'{shortened(text.strip())}'", example)
    name = _last_name(body.func)
    if name is None or name not in signatures:
        raise _unknown_loss(argument, _source(body.func) if name is None else name, signatures, advice)
    parameters = signatures[name]
    if len(body.args) > len(parameters):
        raise fail(argument, f"at most {len(parameters)} arguments of {name}", len(body.args), "remove the others")
    found: dict[str, Any] = {}
    pairs = [*zip(parameters, body.args, strict=False), *((word.arg, word.value) for word in body.keywords)]
    for key, node in pairs:
        if key is None or isinstance(node, ast.Starred):
            raise fail(argument, "arguments that are written out", "* or **", "write each argument by its name")
        if key not in parameters:
            raise unknown(f"argument of {name}", key, parameters)
        if key in found:
            raise fail(key, "given once", "two values", "remove one of them")
        found[key] = _value(key, node)
    return Call(name, found)


def _expression(argument: str, text: str, example: str) -> ast.expr:
    if len(text) > LONGEST:
        raise fail(argument, f"at most {LONGEST} characters", len(text), "give the call alone")
    refused = fail(argument, "one call of a loss class", f"'{shortened(text.strip())}'", example)
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refused from None
    if len(body) != 1 or not isinstance(body[0], ast.Expr | ast.Assign | ast.AnnAssign) or body[0].value is None:
        raise refused
    return body[0].value


def _without_moves(node: ast.expr) -> ast.expr:
    """Return `c` of `c.to(device)`, `c.cuda()` and the like."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MOVES:
        node = node.func.value
    return node


def _unknown_loss(argument: str, name: str, signatures: Iterable[str], advice: Mapping[str, str] | None) -> InputError:
    """Build the error of a loss that is not read: many names end in Loss, so only a similar one is suggested."""
    known = list(signatures)
    close = nearest(name, known, cutoff=_SIMILAR)
    remedy = f"did you mean '{close}'?" if close is not None else "use one of these, or check this loss by hand"
    return fail(argument, f"one of {', '.join(known)}", f"'{name}'", (advice or {}).get(name, remedy))


def _last_name(node: ast.expr) -> str | None:
    """Return `c` of `a.b.c`, or None for another expression."""
    if isinstance(node, ast.Attribute):
        return node.attr if _last_name(node.value) is not None else None
    return node.id if isinstance(node, ast.Name) else None


def _value(key: str, node: ast.expr) -> Any:
    node = _without_moves(node)
    if isinstance(node, ast.Call) and _last_name(node.func) in _TENSORS and node.args:
        return _value(key, node.args[0])
    try:
        return _computed(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, ArithmeticError):
        got = f"'{_source(node)}'"
        remedy = f"write it in quotes: {key}='{node.id}'" if isinstance(node, ast.Name) else "write the value itself"
        raise fail(key, "a number, text, True, False, None or a list of numbers", got, remedy) from None


def _source(node: ast.expr) -> str:
    """Return the beginning of the code of an expression, for errors."""
    try:
        return shortened(ast.unparse(node))
    except RecursionError:
        return "a deeply nested expression"


def _computed(node: ast.expr) -> Any:
    """Return a literal, a list, `torch.ones(10)`, or a number such as 2/3.

    Raises:
        ValueError: if it is something else.
        ArithmeticError: if a number cannot be computed.
    """
    if isinstance(node, ast.List | ast.Tuple):
        return [_computed(each) for each in node.elts]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _computed(node.left), _computed(node.right)
        return _OPERATIONS[type(node.op)](number("number", left), number("number", right))
    if isinstance(node, ast.Call) and _last_name(node.func) in _FILLED and len(node.args) == 1 and not node.keywords:
        count = ast.literal_eval(node.args[0])
        if isinstance(count, int) and 0 < count <= LONGEST:
            return [_FILLED[_last_name(node.func) or ""]] * count
    return ast.literal_eval(node)


def read_options(
    argument: str, text: str, known: Mapping[str, str], others: Iterable[str] = (), *, script: str = "train.py"
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read the options of a command line.

    Args:
        argument: where the text comes from, for errors.
        text: such as "--smoothing 0.1 --mixup 0.8"; what is before the first option is skipped.
        known: the options that are read: "flag", "number", "numbers" or "text", by name.
        others: names of options that resemble those and are not read.
        script: how the name of the script ends; with it, no option at all stands for the defaults.

    Returns:
        The values by name, and the names of the options that were not read.

    Raises:
        InputError: if the text has no option, a value is missing or not a number, or an option resembles a known one.
    """
    found: dict[str, Any] = {}
    not_read: list[str] = []
    for name, values in _grouped(argument, text, script):
        if name in known:
            found[name] = _converted(f"--{name}", known[name], values)
        else:
            check_name(argument, name, known, others)
            not_read.append(name)
    return found, tuple(dict.fromkeys(not_read))


def check_name(argument: str, name: str, known: Iterable[str], others: Iterable[str] = ()) -> None:
    """Require a name that is known, or that resembles none of the known ones."""
    known = list(known)
    if name not in known and name not in others and nearest(name, known, cutoff=_SIMILAR) is not None:
        raise unknown(f"{argument}: option", name, known)


def _grouped(argument: str, text: str, script: str) -> list[tuple[str, list[str]]]:
    if len(text) > LONGEST:
        raise fail(argument, f"at most {LONGEST} characters", len(text), "give the options alone")
    try:
        words = shlex.split(_JOINED.sub(" ", text), comments=False)
    except ValueError:
        raise fail(argument, "options as a shell takes them", "a quote that is not closed", "close it") from None
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if _is_option(word):
            name, sign, value = word.lstrip("-").partition("=")
            groups.append((name, [value] if sign else []))
        elif groups:
            groups[-1][1].append(word)
    if not groups and not any(word.endswith(script) for word in words):
        got = f"'{shortened(text.strip())}'"
        raise fail(argument, "options that begin with --", got, "write them as on the command line")
    return groups


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word.lstrip("-")) > 0 and not word.lstrip("-")[0].isdigit() and word[1] != "."


def _converted(name: str, kind: str, values: list[str]) -> Any:
    if kind == "flag":
        return True
    if not values:
        raise fail(name, "a value", "nothing", "write it after the option")
    if kind == "text":
        return values[0]
    numbers = [_number(name, value) for value in values]
    return numbers if kind == "numbers" else numbers[0]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise fail(name, "a number", f"'{shortened(text)}'", "write it in digits") from None


def number(name: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number in [low, high].

    Raises:
        InputError: if it is another value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fail(name, "a number", repr(value), "write it in digits")
    if not (math.isfinite(value) and low <= value <= high):
        required = f"in [{low:g}, {high:g}]" if math.isfinite(low) and math.isfinite(high) else "a finite number"
        if math.isfinite(low) != math.isfinite(high):
            required += f" of at least {low:g}" if math.isfinite(low) else f" of at most {high:g}"
        raise fail(name, required, value, f"write {'a number ' if required.startswith('in') else ''}{required}")
    return float(value)


def smoothing_of(name: str, value: Any) -> float:
    """Return a smoothing of at most 1; libraries accept a negative one."""
    found = number(name, value)
    if found > 1:
        raise fail(name, "at most 1", value, "choose a value in [0, 1]")
    return found


def whole(name: str, value: Any, *, low: float = -math.inf) -> int:
    """Return a whole number of at least `low`."""
    found = number(name, value, low=low)
    if found != int(found):
        raise fail(name, "a whole number", value, "write it without a fraction")
    return int(found)


def numbers(name: str, value: Any, *, low: float = -math.inf, least: int = 2) -> tuple[float, ...] | None:
    """Return a list of at least `least` numbers as a tuple; None stays None."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) < least:
        raise fail(name, "a list of one number for each class", shortened(repr(value)), "write [1.0, 2.0, ...]")
    return tuple(number(f"{name}[{place}]", each, low=low) for place, each in enumerate(value))


def switch(name: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise fail(name, "True or False", repr(value), "write one of them")
    return value


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return one of the known words."""
    if value not in known:
        raise unknown(name, value if isinstance(value, str) else repr(value), known)
    return value


def class_count(
    given: int | None, lists: Mapping[str, Sequence[float] | None], default: int, *, least: int = 2
) -> tuple[int, bool]:
    """Return K: the length of the lists of one number for each class, else what was given, else the default.

    Args:
        given: what the user says it is; None: nothing.
        lists: the lists by name; one of a single number is for every class, and for the only one if no K is given.
        default: K if nothing says what it is.
        least: the smallest K: 1 if a single output is possible.

    Returns:
        K, and whether it is the default.

    Raises:
        InputError: if two of them differ, or K is too small.
    """
    lengths = {name: len(each) for name, each in lists.items() if each is not None}
    sizes = {name: length for name, length in lengths.items() if length > 1}
    if given is not None:
        sizes[CLASSES] = whole(CLASSES, given, low=least)
    if len(set(sizes.values())) > 1:
        got = ", ".join(f"{size} in {name}" for name, size in sizes.items())
        raise fail(CLASSES, "one number of classes", got, "make them equal")
    known = [*sizes.values(), *lengths.values()]
    return (known[0], False) if known else (default, True)


def for_each_class(values: tuple[float, ...] | None, count: int) -> tuple[float, ...] | None:
    """Return one number for each class, where a single one is for all of them."""
    return values * count if values is not None and len(values) == 1 else values


def not_covered(argument: str, what: str, known: str) -> InputError:
    """Build the error of a setting that no reader covers."""
    return fail(argument, known, what, "leave it out, or check this loss by hand")
