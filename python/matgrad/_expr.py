"""Symbolic arrays: the class Expr, which operators and NumPy's functions build, its derivatives and printed forms."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NoReturn

import numpy as np

from . import _core
from ._core import Node
from ._layout import LAYOUTS, Layout, arrange
from ._numpy_protocol import ArrayMethods
from ._validate import as_float_array

Mode = Literal["auto", "forward", "reverse", "cross_country"]
Symbols = Mapping[str, Node]
"""The symbols that an expression came from, by name, in the order in which they appeared."""
_NO_SYMBOLS: Symbols = {}
_OPERANDS = (int, float, np.ndarray, np.generic, list, tuple)


class Expr(ArrayMethods):
    """
    An array that isn't known yet: a symbol, or a function of symbols.

    Made by `scalar`, `vector`, `matrix` and `tensor`, by operators, and by NumPy's functions of expressions. It is
    immutable. Operators and comparisons are elementwise, as NumPy's; `equals` compares expressions.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> X, U, V = mg.matrices("X U V")
    >>> f = np.sum((X - U @ V) ** 2)
    >>> f.ndim
    0
    >>> f.diff(V).equals(-2 * U.T @ (X - U @ V))
    True
    """

    __slots__ = ("_function", "_node", "_symbols")

    _function: Any
    _node: Node
    _symbols: Symbols

    def __init__(self, node: Node, symbols: Symbols) -> None:
        self._node = node
        self._symbols = symbols
        self._function = None

    # --- What it is ---

    @property
    def name(self) -> str | None:
        """The name of a symbol; None for any other expression."""
        return self._node.name

    @property
    def symbols(self) -> tuple[Expr, ...]:
        """The symbols that it came from, in the order in which they appeared; a derivative keeps its function's."""
        return tuple(Expr(node, {name: node}) for name, node in self._symbols.items())

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._node.ndim

    @property
    def shape(self) -> tuple[Any, ...]:
        """The lengths of the axes: an int where it is known, else a scalar expression."""
        return tuple(length if isinstance(length, int) else Expr(length, self._symbols) for length in self._node.shape)

    @property
    def size(self) -> Any:
        """The number of elements: an int where it is known, else a scalar expression."""
        size: Any = 1
        for length in self.shape:
            size = size * length
        return size

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """float64; the precision of a value is that of the arrays it is computed from."""
        return np.dtype(np.float64)

    def equals(self, other: Expr) -> bool:
        """Return whether both are the same expression, which equal functions written differently often are."""
        return isinstance(other, Expr) and self._node == other._node

    def __hash__(self) -> int:
        return hash(self._node)

    def __reduce__(self) -> tuple[Any, ...]:
        return Expr, (self._node, self._symbols)

    # --- Derivatives ---

    def diff(self, *wrt: Expr, layout: Layout = "tensor", mode: Mode = "auto") -> Expr:
        """
        Differentiate by one symbol, or by several one after the other.

        Parameters
        ----------
        *wrt : Expr
            The symbols; several give a derivative of higher order.
        layout : {"tensor", "numerator", "denominator"}
            The arrangement of the derivative, as in `to_layout`; other than ``"tensor"`` it is for one symbol, or for
            two vectors and a scalar function.
        mode : {"auto", "forward", "reverse", "cross_country"}
            The order in which the chain rule is applied. All give the same expression.

        Returns
        -------
        Expr
            In tensor layout it has the axes of the function and then those of each symbol; in the others two axes.

        Raises
        ------
        TypeError
            If `wrt` is not made of symbols.
        ValueError
            If the layout or mode is unknown, or the layout is for fewer symbols.

        Notes
        -----
        The derivative by a symmetric matrix treats its entries as independent. At a kink it is 0, at a tie of a maximum
        the equal split.

        Examples
        --------
        >>> import matgrad as mg
        >>> A, x = mg.matrix("A"), mg.vector("x")
        >>> (x @ A @ x).diff(x).equals(A @ x + A.T @ x)
        True
        >>> (x @ A @ x).diff(x, layout="numerator").ndim
        2
        """
        if not wrt:
            raise TypeError("diff: needs at least one symbol to differentiate by")
        for x in wrt:
            if not isinstance(x, Expr) or x.name is None:
                raise TypeError(f"diff: {x!r} is not a symbol, and a derivative is by symbols only")
        if layout not in LAYOUTS:
            raise ValueError(f"diff: layout is {layout!r} but must be one of {', '.join(map(repr, LAYOUTS))}")
        hessian = len(wrt) == 2 and self.ndim == 0 and wrt[0].ndim == wrt[1].ndim == 1
        if layout != "tensor" and len(wrt) > 1 and not hessian:
            raise ValueError(
                f"diff: layout is {layout!r} but must be 'tensor' for a derivative by {len(wrt)} symbols, "
                "unless it is that of a scalar by two vectors"
            )
        node, symbols = self._node, self._symbols
        for x in wrt:
            symbols = merged(symbols, x._symbols)
            (node,) = _core.diff(node, [x._node], mode)
        derivative = Expr(node, symbols)
        arranged: Expr = arrange(derivative, 1 if hessian else self.ndim, layout)
        return arranged

    # --- Printed forms ---

    def __str__(self) -> str:
        return _core.to_matrix(self._node)

    __repr__ = __str__

    def to_latex(self) -> str:
        """Return the formula in LaTeX, without dollar signs."""
        return _core.to_latex(self._node)

    def to_index(self) -> str:
        """Return the formula in index notation; the axes of the result are i, j, k, l, …, then come the summed ones."""
        return _core.to_index(self._node)

    def to_numpy(self) -> str:
        """
        Return NumPy source over `np` and the symbols' names.

        It is an expression where it can be, else statements of which the last assigns `result`.
        """
        return _core.to_numpy(self._node, list(self._symbols.values()))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    # --- What needs values ---

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError(
            f"the expression {self} has no values yet, so it can't become an array: call it with values for its "
            "symbols, or use NumPy functions that matgrad supports"
        )

    def __bool__(self) -> NoReturn:
        raise TypeError(f"the truth value of the expression {self} is not known yet; np.where(condition, a, b) chooses")

    def __float__(self) -> NoReturn:
        raise TypeError(f"the value of the expression {self} is not known yet, so it can't become a Python number")

    __int__ = __float__
    __complex__ = __float__

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of an expression without axes")
        length = self._node.shape[0]
        if not isinstance(length, int):
            raise TypeError(f"the length of the first axis of the expression {self} is not known yet")
        return length

    def __iter__(self) -> Iterator[Expr]:
        return iter([self[k] for k in range(len(self))])

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError("an expression can't be assigned to: it is immutable")

    def __getitem__(self, key: Any) -> Expr:
        items = list(key) if isinstance(key, tuple) else [key]
        ellipses = [k for k, item in enumerate(items) if item is Ellipsis]
        if len(ellipses) > 1:
            raise IndexError("an index can only have a single ellipsis ('...')")
        for k in ellipses:
            used = sum(item is not None for item in items) - 1
            items[k : k + 1] = [slice(None)] * (self.ndim - used)
        indices = [_index(item) for item in items]
        return Expr(_core.index(self._node, indices), self._symbols)

    # --- Operators ---

    def __add__(self, other: Any) -> Expr:
        return _binary(_core.add, self, other)

    def __radd__(self, other: Any) -> Expr:
        return _binary(_core.add, other, self)

    def __sub__(self, other: Any) -> Expr:
        return _binary(_core.subtract, self, other)

    def __rsub__(self, other: Any) -> Expr:
        return _binary(_core.subtract, other, self)

    def __mul__(self, other: Any) -> Expr:
        return _binary(_core.multiply, self, other)

    def __rmul__(self, other: Any) -> Expr:
        return _binary(_core.multiply, other, self)

    def __truediv__(self, other: Any) -> Expr:
        return _binary(_core.divide, self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return _binary(_core.divide, other, self)

    def __pow__(self, other: Any) -> Expr:
        return _binary(_core.power, self, other)

    def __rpow__(self, other: Any) -> Expr:
        return _binary(_core.power, other, self)

    def __matmul__(self, other: Any) -> Expr:
        return _binary(_core.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Expr:
        return _binary(_core.matmul, other, self)

    def __neg__(self) -> Expr:
        return _binary(_core.multiply, -1, self)

    def __pos__(self) -> Expr:
        return self

    # --- Axes ---

    @property
    def T(self) -> Expr:
        """The expression with its axes in reverse order."""
        return Expr(_core.transpose(self._node, bytes(range(self.ndim - 1, -1, -1))), self._symbols)

    def reshape(self, *shape: Any, order: Literal["C", "F"] = "C") -> Expr:
        """Return it with the same elements and another shape, as `numpy.reshape`; a length may be an expression."""
        lengths = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        if order == "F":
            return self.T.reshape(lengths[::-1]).T
        symbols = self._symbols
        parts: list[int | Node | None] = []
        for length in lengths:
            if isinstance(length, Expr):
                symbols = merged(symbols, length._symbols)
                parts.append(length._node)
            else:
                n = operator.index(length)
                parts.append(n if n >= 0 else None)
        if parts.count(None) > 1:
            raise ValueError(f"reshape: only one length may be -1, but the shape is {lengths}")
        return Expr(_core.reshape(self._node, parts), symbols)


def _index(item: Any) -> int | slice | None:
    """Return one item between brackets as Python's own object of that kind."""
    if item is None:
        return None
    try:
        if isinstance(item, slice):
            bounds = (None if b is None else operator.index(b) for b in (item.start, item.stop, item.step))
            start, stop, step = bounds
            if step == 0:
                raise ValueError("slice step cannot be zero")
            return slice(start, stop, step)
        if not isinstance(item, (bool, np.bool)):
            return operator.index(item)
    except TypeError:
        pass
    raise NotImplementedError(f"indexing an expression by {item!r} is not supported: only integers and slices are")


# --- Operands ---


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


def as_expr(function: str, value: Any) -> Expr:
    """Return an expression, a number or an array as an expression; raise TypeError naming the function for the rest."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, (int, float)):
        return Expr(_core.number(float(value)), _NO_SYMBOLS)
    array = as_float_array(function, "a constant", value)
    if array.ndim == 0:
        return Expr(_core.number(float(array)), _NO_SYMBOLS)
    native = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    return Expr(_core.array(native), _NO_SYMBOLS)


def _binary(function: Callable[[Node, Node], Node], a: Any, b: Any) -> Expr:
    """Apply a function of two nodes; NotImplemented leaves operands of other types to them."""
    if type(a) is not Expr:
        if not isinstance(a, _OPERANDS):
            return NotImplemented  # type: ignore[no-any-return]
        a = as_expr(function.__name__, a)
    elif type(b) is not Expr:
        if not isinstance(b, _OPERANDS):
            return NotImplemented  # type: ignore[no-any-return]
        b = as_expr(function.__name__, b)
    return Expr(function(a._node, b._node), merged(a._symbols, b._symbols))


def elementwise(name: str, *values: Any) -> Expr:
    """Apply a row of the table of elementwise functions."""
    operands = [as_expr(name, value) for value in values]
    return Expr(_core.elementwise(name, [x._node for x in operands]), union(operands))


def union(operands: list[Expr]) -> Symbols:
    """Return the symbols of all operands."""
    symbols = _NO_SYMBOLS
    for x in operands:
        symbols = merged(symbols, x._symbols)
    return symbols


def contract(function: str, operands: list[Expr], labels: list[list[int]], ndim: int) -> Expr:
    """Multiply operands whose axes have labels: the result has those below ndim, in order; the others are summed."""
    nodes = [x._node for x in operands]
    return Expr(_core.einsum(function, nodes, [bytes(part) for part in labels], ndim), union(operands))
