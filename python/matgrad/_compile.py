"""Compiling expressions: one or several of them as a function of arrays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from numpy.typing import ArrayLike

from . import _core
from ._core import Function, Node
from ._operands import NO_SYMBOLS, Symbols, merged
from ._validate import Symbolic


def compile(results: Any, symbols: Sequence[Any] | None = None) -> Function:
    """
    Return the values of expressions as one function of arrays, which computes what they have in common once.

    Parameters
    ----------
    results : Expr or sequence of Expr
        The expressions.
    symbols : sequence of Expr, optional
        The symbols whose values are the arguments, in that order; by default those of the expressions, in the order in
        which they first appear. Symbols that dropped out may be there or not.

    Returns
    -------
    Function
        ``fn(*arrays, out=None)``. It returns a tuple, or the value alone if `results` is one expression; ``out`` is a
        tuple likewise, in which None stands for a new array. It may be pickled, and called from several threads.

    Raises
    ------
    TypeError
        If `results` aren't expressions, or `symbols` aren't theirs.
    ValueError
        If two symbols that differ have the same name.

    See Also
    --------
    Expr.compile : The same of one expression.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> A, x = mg.matrix("A"), mg.vector("x")
    >>> f = x @ A @ x
    >>> fn = mg.compile([f, f.diff(x)], [A, x])
    >>> fn(np.eye(2), np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """
    single = _is_expression(results)
    expressions = [results] if single else list(results)
    known = NO_SYMBOLS
    for k, e in enumerate(expressions):
        if not _is_expression(e):
            raise TypeError(f"compile: results[{k}] is {e!r} but must be an expression")
        known = merged(known, e._symbols)
    chosen = known if symbols is None else _arguments(symbols)
    check_names("compile: the expression" if single else "compile: the list of expressions", expressions, chosen)
    merged(known, chosen)
    return compiled(expressions, chosen, single)


def plan(self: Function, dtype: Any = "float64", /, **sizes: Any) -> Any:
    """
    Return the kernel calls by which the function is computed at given sizes, and what they cost.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        The precision.
    **sizes : int, tuple of int or ndarray
        Lengths by the names of dimensions (``n=200``), and shapes by those of symbols (``X=(100, 80)``); an int will do
        for the length of a vector, and an array stands for its shape and strides.

    Returns
    -------
    Plan
        A table with the totals ``flops``, ``bytes`` and ``memory``.

    Raises
    ------
    TypeError
        If a size is missing, unknown, or neither an int nor a tuple of ints.
    ValueError
        If sizes don't fit.

    Notes
    -----
    Arguments that are given by their shapes are taken to be in C order.

    Examples
    --------
    >>> import matgrad as mg
    >>> U, V = mg.matrices("U V")
    >>> (U @ V).compile().plan(U=(1000, 16), V=(16, 800))
    kernel  sizes        operands        flops   bytes
    gemm    1000×800×16  U, V → result  25.6 M  6.63 M
    total: 25.6 M flops, 6.63 M bytes, memory: 0 bytes
    """
    from ._plan import planned, symbols_of

    return planned("plan", self, dtype, sizes, symbols_of(self))


def map(self: Function, /, *arrays: ArrayLike, out: Any = None) -> Any:
    """
    Return the results for stacks of arguments, computed together.

    Parameters
    ----------
    *arrays : array_like
        The arguments. Axes in front of those of its symbol are an argument's stack; stacks are broadcast together as by
        NumPy, and what has none is shared by all problems.
    out : ndarray or tuple, optional
        Takes the results, as when the function is called.

    Returns
    -------
    ndarray or tuple of ndarray
        The function's results, with the axes of the stack in front.

    Raises
    ------
    ValueError
        If stacks don't fit each other, or arguments don't fit the function.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> A, x = mg.matrix("A"), mg.vector("x")
    >>> gradient = (x @ A @ x).diff(x).compile(A, x)
    >>> gradient.map(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    array([[ 2.,  4.],
           [ 6.,  8.],
           [10., 12.]])
    """
    return self._map(*arrays, out=out)


Function.map = map  # type: ignore[method-assign]
Function.plan = plan  # type: ignore[method-assign]


def compiled(results: Sequence[Any], symbols: Symbols, single: bool) -> Function:
    """Return expressions as a function of symbols that are known to be all that they need."""
    checked = [node for e in results for node in checked_by(e, symbols)]
    return _core.Function([e._node for e in results], list(symbols.values()), list(symbols), single, checked)


def checked_by(e: Any, symbols: Symbols) -> tuple[Node, ...]:
    """Return what must have axes that agree beside an expression itself, if its symbols are there."""
    return tuple(node for node in e._checked if {*_core.symbol_names(node)} <= symbols.keys())


def check_names(what: str, results: Sequence[Any], names: Collection[str]) -> None:
    """Raise TypeError unless all symbols that the values depend on are there, and no unknown ones."""
    known = {name: None for e in results for name in e._symbols}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise TypeError(f"{what} has no symbol {unknown[0]}; it has {', '.join(known) or 'none'}")
    missing = [name for e in results for name in _core.symbol_names(e._node) if name not in names]
    if missing:
        raise TypeError(f"{what} needs a value for its symbol {missing[0]}")


def _arguments(symbols: Sequence[Any]) -> Symbols:
    """Return the symbols that stand for arguments by their names."""
    chosen: dict[str, Node] = {}
    for x in symbols:
        if not _is_expression(x) or x.name is None:
            raise TypeError(f"compile: {x!r} is not a symbol, and an argument stands for a symbol only")
        if x.name in chosen:
            raise TypeError(f"compile: the symbol {x.name} is there twice")
        chosen[x.name] = x._node
    return chosen


def _is_expression(value: Any) -> bool:
    return isinstance(value, Symbolic)
