"""Symbolic arrays: the class Expr, which operators and NumPy's functions build, its derivatives and printed forms."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from . import _core
from ._assignment import IN_PLACE, assign, point_of, replaced
from ._compile import compiled
from ._core import Node
from ._evaluation import Evaluation
from ._layout import LAYOUTS, Layout, arrange
from ._numpy_protocol import HOOKS, as_indices, called_by_numpy
from ._operands import NO_SYMBOLS, Symbols, check_fits, constant, merged
from ._tracing import SCOPE, TRACING, UnknownLength
from ._validate import Symbolic, is_array_like
from ._views import viewed

Mode = Literal["auto", "forward", "reverse", "cross_country"]


class Expr(Evaluation):
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

    # fmt: off
    __slots__ = (
        "__weakref__", "_checked", "_entry", "_function", "_node", "_points", "_scope", "_source", "_symbols", "_views",
        "_x_ndim",
    )
    # fmt: on

    _function: Any
    _entry: Any  # of a vector: its node, and the position in it
    _points: Any  # what was assigned entry by entry
    _scope: Any  # of the call of a function by a transform that made it
    _source: Any  # what it is a view of
    _views: Any

    def __init__(self, node: Node, symbols: Symbols, checked: tuple[Node, ...] = (), x_ndim: int | None = None) -> None:
        self._node = node
        self._symbols = symbols
        self._checked = checked
        self._x_ndim = x_ndim
        self._function = None
        self._entry = self._points = self._source = self._views = None
        self._scope = SCOPE.get()

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
        lengths = self._lengths
        if TRACING.get() and not all(isinstance(length, int) for length in lengths):
            raise UnknownLength
        return lengths

    @property
    def _lengths(self) -> tuple[Any, ...]:
        """What `shape` is, except that a function which is traced may not look at it."""
        return tuple(length if isinstance(length, int) else Expr(length, self._symbols) for length in self._node.shape)

    @property
    def size(self) -> Any:
        """The number of elements: an int where it is known, else a scalar expression."""
        size: Any = 1
        for length in self.shape:
            size = size * length
        return size

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64; the precision of a value is that of the arrays it is computed from."""
        if called_by_numpy(2) and self.ndim == 0:  # reductions of object arrays would make a number of their result
            raise AttributeError("dtype")
        tracing = TRACING.get()
        return np.dtype(np.float64) if tracing is None or tracing.dtype is None else tracing.dtype

    def equals(self, other: Expr) -> bool:
        """Return whether both are the same expression, which equal functions written differently often are."""
        return isinstance(other, Expr) and self._node == other._node

    def __hash__(self) -> int:
        return hash(self._node)

    def __reduce__(self) -> tuple[Any, ...]:
        return Expr, (self._node, self._symbols, self._checked, self._x_ndim)

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
            The order in which the chain rule is applied. All give the same function and, but for some long ones, the
            same expression.

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
        symbols = self._symbols
        for x in wrt:
            symbols = merged(symbols, x._symbols)
        derivative = Expr(_core.derivative(self._node, [x._node for x in wrt], mode), symbols)
        arranged: Expr = arrange(derivative, 1 if hessian else self.ndim, layout)
        x_ndim = wrt[-1].ndim if layout == "tensor" else None
        return Expr(arranged._node, symbols, (self._node, *self._checked), x_ndim)

    # --- Values ---

    def __call__(self, /, *arrays: Any, **values: Any) -> Any:
        """
        Compute the value, or substitute expressions.

        Parameters
        ----------
        **values : array_like, or Expr
            What stands for each symbol, by name. Symbols that dropped out may be left out.

        Returns
        -------
        ndarray, or a NumPy scalar if there are no axes; Expr if one of the values is an expression

        Raises
        ------
        TypeError
            If a symbol is missing or unknown, or if a value is no array of an accepted dtype.
        ValueError
            If shapes don't fit.

        Examples
        --------
        >>> import matgrad as mg
        >>> x, y = mg.vectors("x y")
        >>> (2 * x + y)(x=[1, 2], y=[10, 20])
        array([12., 24.])
        >>> print((x @ y)(x=mg.matrix("A") @ y))
        yᵀA y
        """
        if arrays:
            raise TypeError("values are given by name; the result of compile takes them by position")
        if Expr in map(type, values.values()):
            return self._substituted(values)
        cached = self._function
        if cached is None or cached[0].keys() != values.keys():
            self._check_names("the expression", values)
            symbols = {name: node for name, node in self._symbols.items() if name in values}
            cached = self._function = symbols, compiled([self], symbols, True)
        return cached[1](*[values[name] for name in cached[0]])

    def _substituted(self, values: Mapping[str, Any]) -> Expr:
        """Return the expression with others in place of symbols."""
        replacements, symbols = [], dict(self._symbols)
        given = {name: as_expr(name, value) for name, value in values.items()}
        for name, x in given.items():
            if name not in self._symbols:
                raise TypeError(f"the expression has no symbol {name}; it has {', '.join(self._symbols) or 'none'}")
            check_fits(name, symbols.pop(name).shape, x._node.shape)
            replacements.append((self._symbols[name], x._node))
        return Expr(_core.substitute(self._node, replacements), merged(symbols, union(list(given.values()))))

    # --- Operators and axes ---

    def __getitem__(self, key: Any) -> Expr:
        indices = as_indices(key, self.ndim)
        if indices is None:
            is_condition = isinstance(key, Expr) and key._node.is_condition
            return HOOKS["selection" if is_condition else "index"](self, key)  # type: ignore[no-any-return]
        has_ellipsis = Ellipsis in key if isinstance(key, tuple) else key is Ellipsis
        if len(indices) == self.ndim and all(type(item) is int for item in indices) and not has_ellipsis:
            known = point_of(self, key)
            entry = Expr(_core.index(self._node, indices) if known is None else known, self._symbols)
            if type(key) is int and key >= 0:
                entry._entry = self._node, key
            return entry
        return viewed(  # type: ignore[no-any-return]
            self,
            lambda node: _core.index(node, indices),
            lambda node, value: replaced(node, indices, value),
            lambda array: array[key],
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        assign(self, key, value if isinstance(value, Symbolic) else as_expr("assignment", value))

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
        return Expr(self._node, self._symbols, self._checked, self._x_ndim)

    @property
    def T(self) -> Expr:
        """The expression with its axes in reverse order."""
        return permuted(self, range(self.ndim - 1, -1, -1))

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
        view = reshaped(self, parts, lambda array: array.reshape(_core.reshape(self._node, parts).shape))
        view._symbols = symbols
        return view


for _name, _operator in IN_PLACE.items():
    setattr(Expr, _name, _operator)


def reshaped(x: Expr, parts: list[int | Node | None], of_array: Callable[[Any], Any]) -> Expr:
    """Return an expression with the same elements and another shape, of which NumPy makes a view where it can."""
    return viewed(  # type: ignore[no-any-return]
        x,
        lambda node: _core.reshape(node, parts),
        lambda node, value: _core.reshape(value, node.shape),
        of_array,
        may_copy=True,
    )


def permuted(x: Expr, order: Iterable[int]) -> Expr:
    """Return an expression with its axes in another order."""
    axes = [*order]
    inverse = bytes(map(axes.index, range(x.ndim)))
    return viewed(  # type: ignore[no-any-return]
        x,
        lambda node: _core.transpose(node, bytes(axes)),
        lambda node, value: _core.transpose(value, inverse),
        lambda array: array.transpose(axes),
    )


# --- Operands ---

_OPERANDS = (Expr, int, float, np.ndarray, np.generic, list, tuple)


def as_expr(function: str, value: Any) -> Expr:
    """Return an expression, a number or an array as an expression; raise TypeError naming the function for the rest."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, (np.ndarray, list, tuple)):
        joined = HOOKS["to expression"](function, value)
        if joined is not None:
            return joined  # type: ignore[no-any-return]
    return Expr(*constant(function, value))


def _binary(function: Callable[[Node, Node], Node], a: Any, b: Any) -> Expr:
    """Apply a function of two nodes; NotImplemented leaves operands of other types to them."""
    if type(a) is not Expr:
        if not isinstance(a, _OPERANDS) and not is_array_like(a):
            return NotImplemented  # type: ignore[no-any-return]
        a = as_expr(function.__name__, a)
    elif type(b) is not Expr:
        if not isinstance(b, _OPERANDS) and not is_array_like(b):
            return NotImplemented  # type: ignore[no-any-return]
        b = as_expr(function.__name__, b)
    return Expr(function(a._node, b._node), merged(a._symbols, b._symbols))


def elementwise(name: str, *values: Any) -> Expr:
    """Apply a row of the table of elementwise functions."""
    operands = [as_expr(name, value) for value in values]
    return Expr(_core.elementwise(name, [x._node for x in operands]), union(operands))


def union(operands: list[Expr]) -> Symbols:
    """Return the symbols of all operands."""
    symbols = NO_SYMBOLS
    for x in operands:
        symbols = merged(symbols, x._symbols)
    return symbols


def contract(
    function: str, operands: list[Expr], labels: list[list[int]], ndim: int, *, broadcast: bool = False
) -> Expr:
    """
    Multiply operands whose axes have labels: the result has those below ndim, in order; the others are summed.

    Summed axes of length 1 are broadcast only if `broadcast` says so.
    """
    nodes = [x._node for x in operands]
    return Expr(_core.einsum(function, nodes, [bytes(part) for part in labels], ndim, broadcast), union(operands))
