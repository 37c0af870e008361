"""Stacks of arguments that are no plain stack: several axes, axes that are broadcast, and what isn't an array yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core import Function, require_memory
from ._validate import as_arrays

Array = NDArray[Any]


def mapped(function: Function, arguments: Sequence[Any], out: Any) -> Any:
    """Return the results of a function for stacks of arguments, as `Function.map` says."""
    results, symbols, names, single, _ = function._definition
    arrays = as_arrays("map", tuple(names), tuple(arguments), True)
    ndims = [symbol.ndim for symbol in symbols]
    stacks = {}
    for name, array, ndim in zip(names, arrays, ndims, strict=True):
        assert array is not None
        if array.ndim < ndim:
            raise ValueError(f"map: {name} has shape {array.shape} but must have {ndim} axes, or more for a stack")
        stacks[name] = array.shape[: array.ndim - ndim]
    try:
        stack = np.broadcast_shapes(*stacks.values())
    except ValueError:
        found = ", ".join(f"{name} {shape}" for name, shape in stacks.items() if shape)
        raise ValueError(f"map: stacks don't fit each other: {found}") from None
    flat = [
        _flat(name, array, stack if any(n != 1 for n in stacks[name]) else (), ndim)
        for name, array, ndim in zip(names, arrays, ndims, strict=True)
    ]
    made = function._map(*flat)
    values = []
    for value, node in zip((made,) if single else made, results, strict=True):
        core = np.shape(value)[np.ndim(value) - node.ndim :]
        full = np.ndim(value) > node.ndim
        values.append(value.reshape(stack + core) if full else np.broadcast_to(value, stack + core).copy())
    if not stack:
        values = [value[()] for value in values]
    written = _written([out] if single else out, values)
    return written[0] if single else tuple(written)


def _flat(name: str, array: Any, stack: tuple[int, ...], ndim: int) -> Array:
    """Return an argument with one axis for the stack, or with none if `stack` has none."""
    core = array.shape[array.ndim - ndim :]
    if not stack:
        return array.reshape(core)  # type: ignore[no-any-return]
    repeated = np.broadcast_to(array, stack + core)
    if array.shape != repeated.shape:
        require_memory("map", f"{name} for all problems", repeated.shape, array.dtype.itemsize)
    return repeated.reshape(math.prod(stack), *core)


def _written(out: Any, values: list[Array]) -> list[Any]:
    """Return the values, in the arrays that are given for them."""
    if out is None:
        return list(values)
    if not isinstance(out, (list, tuple)) or len(out) != len(values):
        raise TypeError(f"map: out must be a tuple of {len(values)} arrays")
    for given, value in zip(out, values, strict=True):
        if given is None:
            continue
        if type(given) is not np.ndarray or given.dtype != value.dtype or not given.dtype.isnative:
            kind = f"has dtype {given.dtype}" if isinstance(given, np.ndarray) else f"is of type {type(given).__name__}"
            raise TypeError(f"map: out {kind} but must be a numpy.ndarray of dtype {value.dtype}")
        if given.shape != value.shape:
            raise ValueError(f"map: out has shape {given.shape} but must be {value.shape}")
        if not given.flags.writeable:
            raise ValueError("map: out is read-only")
    written = []
    for given, value in zip(out, values, strict=True):
        if given is not None:
            given[...] = value
        written.append(value if given is None else given)
    return written
