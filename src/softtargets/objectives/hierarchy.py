"""Hierarchies of classes: trees written as nested tables, and the distances between their leaves."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import AfterValidator
from torch import Tensor

from softtargets._errors import fail, nearest


def _checked(tree: Any) -> Any:
    """Return the path of a file as it is, or a tree with tuples for lists."""
    if isinstance(tree, str):
        if not tree:
            raise fail("hierarchy", "a length of at least 1", "''", "write a longer text")
        return tree
    return _frozen(tree, "hierarchy")


def _frozen(tree: Any, place: str) -> Any:
    if isinstance(tree, dict):
        if not tree:
            raise fail("hierarchy", "at least one branch in every table", f"none in {place}", "drop that table")
        return {name: _frozen(branch, f"{place}.{name}") for name, branch in tree.items()}
    if isinstance(tree, list | tuple):
        for entry in tree:
            if type(entry) not in (str, int):
                required = "class names or indices in the innermost lists"
                raise fail("hierarchy", required, f"{entry!r} in {place}", "write the classes of that branch")
        if not tree:
            raise fail("hierarchy", "at least one class in every list", f"none in {place}", "drop that list")
        return tuple(tree)
    required = "the path of a file, or tables whose innermost values are lists of classes"
    raise fail("hierarchy", required, f"{tree!r} in {place}", "write a list of classes there")


# the path of a file, or nested tables whose innermost values are lists of class names or indices
Tree = Annotated[Any, AfterValidator(_checked)]


def tree_distances(argument: str, tree: Any, class_names: Sequence[str], source: str) -> Tensor:
    """Return the height of the lowest common ancestor of each pair of classes, divided by the height of the tree.

    The height of a node is the largest number of edges to a class below it, and 0 for a class. This is the distance of
    Bertinetto et al. 2020, Sec. 3.

    Args:
        argument: the field, for errors.
        tree: nested tables whose innermost values are lists of class names or indices.
        class_names: of the data set.
        source: where the tree comes from, for errors.

    Returns:
        (K, K) float64 in [0, 1], 0 on the diagonal.

    Raises:
        InputError: if the tree is not of this form, or a class is unknown, missing or given twice.

    Example:
        >>> tree_distances("hierarchy", {"a": [0, 1], "b": [2]}, ["x", "y", "z"], "here").tolist()
        [[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    distances = torch.zeros(len(class_names), len(class_names), dtype=torch.float64)
    places: dict[int, str] = {}

    def visit(node: Any, place: str) -> tuple[list[int], int]:
        """Return the classes below a node and its height, and set the distances between its branches."""
        if isinstance(node, dict):
            found = [visit(branch, f"{place}.{name}" if place else name) for name, branch in node.items()]
        else:
            found = [([_index(argument, entry, class_names, f"{place} of {source}")], 0) for entry in node]
            for (index,), _ in found:
                if index in places:
                    got = f"'{class_names[index]}' in {places[index]} and in {place or 'the root'} of {source}"
                    raise fail(argument, "every class in one place", got, "drop one of the two")
                places[index] = place or "the root"
        height = 1 + max(height for _, height in found)
        classes: list[int] = []
        for members, _ in found:
            rows, columns = torch.tensor(classes, dtype=torch.int64), torch.tensor(members)
            distances[rows[:, None], columns] = height
            distances[columns[:, None], rows] = height
            classes += members
        return classes, height

    _, height = visit(_frozen(tree, source), "")
    missing = [name for index, name in enumerate(class_names) if index not in places]
    if missing:
        got = f"no place for '{missing[0]}'" + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
        raise fail(argument, "every class of the data set in the hierarchy", f"{got} in {source}", "add it")
    return distances / height


def _index(argument: str, entry: str | int, class_names: Sequence[str], place: str) -> int:
    if isinstance(entry, int):
        if 0 <= entry < len(class_names):
            return entry
        required = f"class indices of at least 0 and below {len(class_names)}"
        raise fail(argument, required, f"{entry} in {place}", "fix that index")
    if entry not in class_names:
        close = nearest(entry, class_names)
        remedy = f"did you mean '{close}'?" if close else "use the names of the data set's classes"
        raise fail(argument, "classes of the data set", f"'{entry}' in {place}", remedy)
    return list(class_names).index(entry)
