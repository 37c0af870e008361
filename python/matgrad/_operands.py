"""What expressions are built from: constants as nodes, and the symbols of several operands together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _core
from ._core import Node
from ._tracing import TRACING
from ._validate import as_float_array

Symbols = Mapping[str, Node]
"""The symbols that an expression came from, by name, in the order in which they appeared."""
NO_SYMBOLS: Symbols = {}


def merged(a: Symbols, b: Symbols) -> Symbols:
    """Return the symbols of both, or raise ValueError if one name has different properties in them."""
    if a is b or not b:
        return a
    if not a:
        return b
    added = {}
    for name, node in b.items():
        known = a.get(name)
        if known is None:
            added[name] = node
        elif known != node:
            raise ValueError(
                f"two different symbols are called {name!r}: they differ in their number of axes, lengths or symmetry"
            )
    return {**a, **added} if added else a


def constant(function: str, value: Any) -> tuple[Node, Symbols]:
    """Return the node of a number or an array; raise TypeError naming the function for anything else."""
    if isinstance(value, (int, float)):
        return _core.number(float(value)), NO_SYMBOLS
    array = as_float_array(function, "a constant", value)
    if array.ndim == 0:
        return _core.number(float(array)), NO_SYMBOLS
    tracing = TRACING.get()
    if tracing and (known := tracing.input(value if isinstance(value, np.ndarray) else array)):
        node, name, symbol = known
        return node, {name: symbol}
    is_mask = isinstance(value, np.ndarray) and value.dtype == bool  # takes the precision of what it is joined with
    native = np.require(array, np.float32 if is_mask else array.dtype.newbyteorder("="), ["C", "A"])
    return _core.array(native), NO_SYMBOLS


def check_fits(name: str, wanted: tuple[int | Node, ...], given: tuple[int | Node, ...]) -> None:
    """Raise ValueError if an expression can't stand in place of a symbol."""
    if len(wanted) != len(given):
        raise ValueError(f"{name} has {len(wanted)} axes but would become an expression with {len(given)}")
    for axis, (m, n) in enumerate(zip(wanted, given, strict=True)):
        if isinstance(m, int) and m != n and (isinstance(n, int) or m == 1):
            raise ValueError(f"axis {axis} of {name} has length {m} but would become one of another length")
