"""What a Python function refers to: the variables it closed over, its globals, and those of the functions it calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

Reference = tuple[Any, Any, Any]
"""A cell, dict or list; the key in it; and what it holds there."""

_FOREIGN = ("numpy", "scipy", "matgrad")  # packages whose functions don't change
_MOST_ITEMS = 32  # of a container that is looked into
_MOST = 256  # references altogether


def references(fun: Any) -> list[Reference]:
    """Return what `fun` and Python functions that it refers to refer to, and the items of containers among that."""
    found: dict[tuple[int, Any], Reference] = {}
    pending, seen = [(fun, True)], set()
    while pending and len(found) < _MOST:
        value, is_direct = pending.pop()
        if id(value) in seen or not (is_direct or isinstance(value, FunctionType)):
            continue
        seen.add(id(value))
        for container, key, content in _direct(value):
            found[id(container), key] = (container, key, content)
            pending.append((content, isinstance(value, FunctionType)))
    return list(found.values())


def names(found: list[Reference]) -> dict[int, str]:
    """Return the names of the arrays among references, by their identity."""
    return {id(value): key for _, key, value in found if isinstance(value, np.ndarray) and isinstance(key, str)}


def _direct(value: Any) -> Iterator[Reference]:
    """Yield what a function, or the content of a variable, refers to itself."""
    if isinstance(value, MethodType):
        yield from _items(getattr(value.__self__, "__dict__", None))
        value = value.__func__
    elif isinstance(value, functools.partial):
        value = value.func
    elif not isinstance(value, (FunctionType, type, ModuleType, np.ndarray)):
        yield from _items(value if isinstance(value, (dict, list)) else getattr(value, "__dict__", None))
        value = inspect.getattr_static(type(value), "__call__", None)
    if isinstance(value, FunctionType) and (value.__module__ or "").split(".")[0] not in _FOREIGN:
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield from _content(cell, name)
        for name in _global_names(value.__code__):
            if name in value.__globals__:
                yield value.__globals__, name, value.__globals__[name]


def _content(cell: CellType, name: str) -> Iterator[Reference]:
    try:
        yield cell, name, cell.cell_contents
    except ValueError:  # a variable without a value yet
        return


def _items(container: Any) -> Iterator[Reference]:
    if type(container) is dict and len(container) <= _MOST_ITEMS:
        yield from ((container, key, value) for key, value in container.items())
    elif type(container) is list and len(container) <= _MOST_ITEMS:
        yield from ((container, index, value) for index, value in enumerate(container))


def _global_names(code: CodeType) -> Iterator[str]:
    """Yield the names that code, and the functions defined in it, may look up as globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
