"""Arguments and results made of several arrays: tuples, dicts and lists of arrays, taken apart and put together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Structure = Any
"""What is left of a tree without its leaves: None for a leaf, else (type, keys, structures). Hashable."""


def flatten(
    tree: Any, leaves: list[Any], paths: list[str] | None = None, path: str = "", numbers_apart: bool = False
) -> Structure:
    """
    Append the leaves of a tree to `leaves`, and names made of the keys to them to `paths`; return its structure.

    A list of numbers is one array, unless `numbers_apart` says that each is a leaf.
    """
    items: Any
    if isinstance(tree, tuple) or (type(tree) is list and (numbers_apart or not _is_array(tree))):
        keys, items = None, enumerate(tree)
    elif type(tree) in _DICTS:
        keys, items = tuple(tree), tree.items()
    else:
        leaves.append(tree)
        if paths is not None:
            paths.append(path)
        return None
    parts = (flatten(item, leaves, paths, f"{path}_{key}", numbers_apart) for key, item in items)
    return (type(tree), keys, tuple(parts))


def unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    """Return the tree of that structure, with the next leaves."""
    if structure is None:
        return next(leaves)
    kind, keys, structures = structure
    items = [unflatten(item, leaves) for item in structures]
    if kind in _DICTS:
        return kind(zip(keys, items, strict=True))
    return kind._make(items) if hasattr(kind, "_make") else kind(items)


def leaves(tree: Any) -> list[Any]:
    """Return the leaves of a tree, but for those that are None."""
    found: list[Any] = []
    flatten(tree, found)
    return [leaf for leaf in found if leaf is not None]


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return a tree with what a function gives for its leaves; None stays."""
    found: list[Any] = []
    structure = flatten(tree, found)
    return unflatten(structure, (None if leaf is None else function(leaf) for leaf in found))


def alike(structure: Structure, tree: Any, found: list[Any]) -> bool:
    """Append the leaves of a tree to `found` if it has that structure; return whether it has."""
    if structure is None:
        found.append(tree)
        return True
    kind, keys, parts = structure
    if kind in _DICTS:
        return (
            isinstance(tree, dict)
            and tree.keys() == set(keys)
            and all(alike(part, tree[key], found) for key, part in zip(keys, parts, strict=True))
        )
    return (
        isinstance(tree, (tuple, list))
        and len(tree) == len(parts)
        and all(alike(part, item, found) for part, item in zip(parts, tree, strict=True))
    )


_DICTS = (dict, OrderedDict)


def _is_array(items: Any) -> bool:
    """Whether a list is one of numbers, or of lists of numbers."""
    return all(
        isinstance(item, (bool, int, float, np.generic)) or (isinstance(item, (list, tuple)) and _is_array(item))
        for item in items
    )
