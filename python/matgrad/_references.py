"""What a Python function refers to: the variables it closed over, its globals, and those of the functions it calls."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

Reference = tuple[Any, Any, Any]
"""A cell, dict, list or other object; the key or attribute; and what it holds there."""

_FOREIGN = {"matgrad", "numpy", "scipy", *sys.stdlib_module_names}  # whose functions and objects don't change
_MOST_ITEMS = 1024  # of a container that is looked into
_MOST = 4096  # references altogether
_DEEPEST = 4  # containers within containers


def references(fun: Any) -> list[Reference]:
    """Return what `fun` and Python functions that it refers to refer to, and the items of containers among that."""
    found: dict[tuple[int, Any], Reference] = {}
    pending, seen = [(fun, 0)], set()
    while pending and len(found) < _MOST:
        value, depth = pending.pop()
        if id(value) in seen or depth > _DEEPEST:
            continue
        seen.add(id(value))
        for container, key, content in _direct(value):
            if container is not value or not isinstance(container, tuple):
                found[id(container), key] = (container, key, content)
            pending.append((content, 0 if isinstance(content, FunctionType) else depth + 1))
    return list(found.values())


def names(found: list[Reference]) -> dict[int, str]:
    """Return the names of the arrays among references, by their identity."""
    return {id(value): key for _, key, value in found if isinstance(value, np.ndarray) and isinstance(key, str)}


def _direct(value: Any) -> Iterator[Reference]:
    """Yield what a function, or the content of a variable, refers to itself."""
    if isinstance(value, FunctionType):
        if not _is_foreign(value):
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                yield from _content(cell, name)
            for name in ("__defaults__", "__kwdefaults__"):
                if getattr(value, name):
                    yield value, name, getattr(value, name)
            used = {*_global_names(value.__code__)}
            for name in used & value.__globals__.keys():
                content = value.__globals__[name]
                yield value.__globals__, name, content
                if isinstance(content, ModuleType) and content.__name__.split(".")[0] not in _FOREIGN:
                    yield from ((vars(content), key, vars(content)[key]) for key in used & vars(content).keys())
    elif isinstance(value, (MethodType, functools.partial)):
        names = ("__self__", "__func__") if isinstance(value, MethodType) else ("func", "args", "keywords")
        yield from ((value, name, getattr(value, name)) for name in names)
    elif isinstance(value, (dict, list, tuple)):
        if len(value) <= _MOST_ITEMS:
            yield from ((value, key, item) for key, item in _items(value))
    elif isinstance(value, type):
        yield from _class_attributes(value, value)
    elif not isinstance(value, ModuleType):
        yield from _attributes(value)


def _attributes(value: Any) -> Iterator[Reference]:
    """Yield the attributes of an object, and what calling it calls."""
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict and len(attributes) <= _MOST_ITEMS:
        yield from ((attributes, key, item) for key, item in list(attributes.items()))
    if _is_foreign(type(value)):
        return
    yield from _class_attributes(value, type(value))
    call = inspect.getattr_static(type(value), "__call__", None)
    if isinstance(call, FunctionType):
        yield type(value), "__call__", call


def _class_attributes(value: Any, kind: type) -> Iterator[Reference]:
    """Yield the data that a class, or an object of it, has from the class: its variables, and slots of objects."""
    if _is_foreign(kind):
        return
    for base in kind.__mro__[:-1]:
        for name, item in list(vars(base).items())[:_MOST_ITEMS]:
            is_slot = isinstance(item, MemberDescriptorType) and value is not kind
            is_data = is_slot or not (name.startswith("__") or hasattr(item, "__get__"))
            if is_data and hasattr(value, name):  # a slot may be empty
                yield value, name, getattr(value, name)


def _is_foreign(function_or_type: Any) -> bool:
    return (function_or_type.__module__ or "").split(".")[0] in _FOREIGN


def _content(cell: CellType, name: str) -> Iterator[Reference]:
    try:
        yield cell, name, cell.cell_contents
    except ValueError:  # a variable without a value yet
        return


def _items(container: Any) -> Iterator[tuple[Any, Any]]:
    return iter(list(container.items()) if isinstance(container, dict) else list(enumerate(container)))


def _global_names(code: CodeType) -> Iterator[str]:
    """Yield the names that code, and the functions defined in it, may look up as globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
