"""What a compiled function does at given sizes: its kernel calls, what they cost, and the memory that they take."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._operands import Symbols
from ._table import html_table, text_table


@dataclass(frozen=True)
class PlanRow:
    """
    A kernel call.

    Attributes
    ----------
    kernel : str
        What it is called.
    sizes : str
        The lengths of its loops: ``m×n×k`` for a product of an m×k and a k×n matrix, ``k of n`` for k calls of size n.
    operands : str
        What it reads and what it writes. Intermediate results are called t1, t2, … by where they are in memory.
    flops, bytes : float
        The floating-point operations, of which an elementwise function is one, and the bytes read and written, each
        counted once.
    where : str
        The loop over tiles that it is part of; empty if it goes over all of its operands at once.
    """

    kernel: str
    sizes: str
    operands: str
    flops: float
    bytes: float
    where: str


@dataclass(frozen=True)
class Plan:
    """
    The kernel calls by which a function is computed at given sizes; made by `Function.plan` and `Expr.cost`.

    It prints as a table.

    Attributes
    ----------
    rows : tuple of PlanRow
        The kernel calls, in order.
    memory : float
        Bytes of intermediate results: what a call allocates at most beside its results.
    """

    rows: tuple[PlanRow, ...]
    memory: float

    @property
    def flops(self) -> float:
        """The floating-point operations of all kernel calls."""
        return sum(row.flops for row in self.rows)

    @property
    def bytes(self) -> float:
        """The bytes that all kernel calls read and write, some of them in the cache."""
        return sum(row.bytes for row in self.rows)

    def __str__(self) -> str:
        return text_table("", self._table(), right={3, 4}) + "\n" + self._summary()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table("", self._table()) + f"<p>{html.escape(self._summary())}</p>"

    def _table(self) -> list[list[str]]:
        table = [["kernel", "sizes", "operands", "flops", "bytes", "where"]]
        table += [[r.kernel, r.sizes, r.operands, _short(r.flops), _short(r.bytes), r.where] for r in self.rows]
        return table if any(row.where for row in self.rows) else [row[:-1] for row in table]

    def _summary(self) -> str:
        return f"total: {_short(self.flops)} flops, {_short(self.bytes)} bytes, memory: {_short(self.memory)} bytes"


def planned(function: str, compiled: _core.Function, dtype: Any, sizes: Mapping[str, Any], known: Symbols) -> Plan:
    """Return the plan of a compiled function, from the sizes of symbols that it may not depend on."""
    item_size = np.dtype(dtype).itemsize
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"{function}: dtype is {np.dtype(dtype)} but must be float32 or float64")
    lengths = _lengths(function, known, sizes)
    missing: dict[str, None] = {}
    arguments: list[tuple[list[int], list[int] | None]] = []
    for name, symbol in symbols_of(compiled).items():
        given = sizes.get(name)
        shape: list[int] = []
        arguments.append((shape, _strides(given) if isinstance(given, np.ndarray) else None))
        for n in symbol.shape:
            if not isinstance(n, int) and n not in lengths:
                missing[n.dimension or name] = None
            else:
                shape.append(n if isinstance(n, int) else lengths[n])
    if missing:
        raise TypeError(f"{function}: the size of {', '.join(missing)} is missing")
    rows, memory = compiled._plan(arguments)
    made = (
        PlanRow(kernel, size, operands, flops, elements * item_size, where)
        for kernel, size, operands, where, flops, elements in rows
    )
    return Plan(tuple(made), memory * item_size)


def symbols_of(compiled: _core.Function) -> dict[str, _core.Node]:
    """Return the symbols that stand for the arguments of a compiled function, by their names."""
    _, symbols, names, _, _ = compiled._definition
    return dict(zip(names, symbols, strict=True))


def _lengths(function: str, symbols: Symbols, sizes: Mapping[str, Any]) -> dict[Any, int]:
    """Return the lengths that axes of symbols have, by the nodes that stand for them."""
    dimensions = {n.dimension: n for s in symbols.values() for n in s.shape if not isinstance(n, int) and n.dimension}
    lengths: dict[Any, int] = {}
    for name, given in sizes.items():
        size = given.shape if isinstance(given, np.ndarray) else given
        if name not in symbols and name not in dimensions:
            known = ", ".join([*symbols, *dimensions]) or "none"
            raise TypeError(f"{function}: there is no symbol or dimension {name}, only {known}")
        of_dimension = name in dimensions and not isinstance(size, tuple)
        axes = (dimensions[name],) if of_dimension else symbols[name].shape
        shape = size if isinstance(size, tuple) else (size,)
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in shape):
            raise TypeError(f"{function}: {name} is {size!r} but must be a length or a tuple of lengths")
        if len(shape) != len(axes):
            raise ValueError(f"{function}: {name} has {len(shape)} axes but must have {len(axes)}")
        for axis, length in zip(axes, shape, strict=True):
            wanted = axis if isinstance(axis, int) else lengths.setdefault(axis, int(length))
            if wanted != length:
                raise ValueError(f"{function}: {name} is {size!r} but that length is {wanted}")
    return lengths


def _strides(array: NDArray[Any]) -> list[int] | None:
    """Return an array's strides in elements; None for those of C order."""
    if array.flags.c_contiguous:
        return None
    return [0 if n == 1 else s // array.itemsize for s, n in zip(array.strides, array.shape, strict=True)]


def _short(count: float) -> str:
    """Return a number with three digits, such as 25.6 M."""
    for factor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= 0.9995 * factor:
            return f"{float(f'{count / factor:.3g}'):g}{prefix}"
    return f"{count:.0f}"
