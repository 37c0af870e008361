"""Arguments and results made of several arrays: tuples, dicts and lists of arrays, taken apart and put together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Structure = Any
"""What is left of a tree without its leaves: None for a leaf, else (type, keys, structures). Hashable."""


def flatten(tree: Any, leaves: list[Any], paths: list[str] | None = None, path: str = "") -> Structure:
    """Append the leaves of a tree to `leaves`, and names made of the keys to them to `paths`; return its structure."""
    items: Any
    if isinstance(tree, tuple) or (type(tree) is list and not _is_array(tree)):
        keys, items = None, enumerate(tree)
    elif type(tree) is dict:
        keys, items = tuple(tree), tree.items()
    else:
        leaves.append(tree)
        if paths is not None:
            paths.append(path)
        return None
    return (type(tree), keys, tuple(flatten(item, leaves, paths, f"{path}_{key}") for key, item in items))


def unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    """Return the tree of that structure, with the next leaves."""
    if structure is None:
        return next(leaves)
    kind, keys, structures = structure
    items = [unflatten(item, leaves) for item in structures]
    if kind is dict:
        return dict(zip(keys, items, strict=True))
    return kind._make(items) if hasattr(kind, "_make") else kind(items)


def _is_array(items: Any) -> bool:
    """Whether a list is one of numbers, or of lists of numbers."""
    return all(
        isinstance(item, (bool, int, float, np.generic)) or (isinstance(item, (list, tuple)) and _is_array(item))
        for item in items
    )
