"""Arguments of traced functions: what they are called, what stands for them, and what of them a trace is for."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._expr import Expr
from ._references import references

IMMUTABLE = (int, float, complex, str, bytes, frozenset, type(None), np.generic, np.dtype)
"""Types of arguments whose values are part of what a trace is for."""
_fresh = itertools.count()


class Leaf(NamedTuple):
    """An argument: its name, its value, and whether the transform differentiates by it."""

    name: str
    value: Any
    is_variable: bool


class Mode(NamedTuple):
    """How a function is traced."""

    fixed_lengths: bool  # whether for one shape only
    integers_are_symbols: bool  # or data that the function looks at


def parameter_names(fun: Callable[..., Any], count: int) -> list[str]:
    """Return names for `count` positional arguments."""
    found: list[str] = []
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):  # functions written in C don't say
        parameters = []
    for p in parameters:
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            found.append(p.name)
        elif p.kind is p.VAR_POSITIONAL:
            found += (f"{p.name}{k}" for k in range(count - len(found)))
    return [*found, *(f"x{k}" for k in range(len(found), count))][:count]


def fresh_name(name: str) -> str:
    """Return a name like this one that no other symbol has, and no parameter can have."""
    return f"{name}′{next(_fresh)}"


def symbol_of(leaf: Leaf, mode: Mode, name: str) -> Expr | None:
    """Return what stands for an argument in the trace; None where it is its value."""
    value = leaf.value
    if type(value) is float:
        shape: tuple[int | None, ...] = ()
    elif not isinstance(value, np.ndarray) or (is_data(leaf) and not mode.integers_are_symbols):
        return None
    elif mode.fixed_lengths:
        shape = value.shape
    else:
        shape = tuple(1 if length == 1 else None for length in value.shape)
    node = _core.symbol(name, shape, False)
    return Expr(node, {name: node})


def is_mask(leaf: Leaf) -> bool:
    """Whether an argument is an array of bools."""
    return isinstance(leaf.value, np.ndarray) and leaf.value.dtype.kind == "b"


def is_data(leaf: Leaf) -> bool:
    """Whether an argument is an array of integers or bools, which may be data that the function looks at."""
    return not leaf.is_variable and isinstance(leaf.value, np.ndarray) and leaf.value.dtype.kind in "iub"


def precision_of(leaves: list[Leaf]) -> np.dtype[Any]:
    """Return the common precision of all arrays among the arguments."""
    found = {leaf.value.dtype for leaf in leaves if isinstance(leaf.value, np.ndarray)}
    return np.dtype(np.float32 if found == {np.dtype(np.float32)} else np.float64)


def kind_of(leaf: Leaf) -> Hashable:
    """Return what of an argument a trace is always for."""
    value = leaf.value
    if type(value) is float:
        return float
    if isinstance(value, np.ndarray):
        return (value.dtype.char, tuple(length == 1 for length in value.shape))
    if isinstance(value, IMMUTABLE):
        return (type(value), value)
    if isinstance(value, set):
        return (set, frozenset(value))
    state = tuple((id(container), name, id(content)) for container, name, content in references(value))
    try:
        hash(value)
    except TypeError:
        return (id(value), state)
    return (type(value), value, state)


def details_of(leaves: list[Leaf], mode: Mode) -> Iterator[Hashable]:
    """Yield what of the arguments a trace in this mode is for, beyond their kinds."""
    for leaf in leaves:
        if mode.fixed_lengths and isinstance(leaf.value, np.ndarray):
            yield leaf.value.shape
        if not mode.integers_are_symbols and is_data(leaf):
            yield (leaf.value.shape, leaf.value.tobytes())


def modes(leaves: list[Leaf]) -> list[Mode]:
    """Return the ways to trace, the most general first."""
    choices = (True, False) if any(map(is_data, leaves)) else (True,)
    return [Mode(fixed, symbols) for symbols in choices for fixed in (False, True)]


def pattern_of(arg: Any, mode: Mode) -> Any:
    """Return what an argument must be for the dispatcher to take it for the same kind; None if it can't tell."""
    if type(arg) is float:
        return float
    if type(arg) is np.ndarray:
        if arg.dtype not in (np.float32, np.float64):
            return None
        fixed = mode.fixed_lengths
        return (arg.dtype.char, tuple(length if fixed or length == 1 else None for length in arg.shape))
    return ("is", arg) if arg is None or isinstance(arg, (bool, int, str)) else None
