"""The variables of expressions: scalar, vector, matrix, tensor, and several at once."""

from __future__ import annotations

import keyword
from operator import index

from . import _core
from ._expr import Expr

Length = int | str | None


def scalar(name: str) -> Expr:
    """
    Make a symbol without axes.

    Parameters
    ----------
    name : str
        A Python identifier.

    Returns
    -------
    Expr

    See Also
    --------
    scalars : Several at once.

    Examples
    --------
    >>> import matgrad as mg
    >>> t = mg.scalar("t")
    >>> (t**3).diff(t).equals(3 * t**2)
    True
    """
    return _symbol("scalar", name, ())


def vector(name: str, length: Length = None) -> Expr:
    """
    Make a symbol with one axis.

    Parameters
    ----------
    name : str
        A Python identifier.
    length : int or str, optional
        The length of the axis, or a name for it that other symbols may share. Without it, the length is that of the
        value. An axis is broadcast only if its length is given as 1.

    Returns
    -------
    Expr

    See Also
    --------
    vectors : Several at once.

    Examples
    --------
    >>> import matgrad as mg
    >>> x = mg.vector("x", 3)
    >>> x.shape
    (3,)
    """
    return _symbol("vector", name, (length,))


def matrix(name: str, rows: Length = None, columns: Length = None, *, symmetric: bool = False) -> Expr:
    """
    Make a symbol with two axes.

    Parameters
    ----------
    name : str
        A Python identifier.
    rows, columns : int or str, optional
        The lengths of the axes, as in `vector`.
    symmetric : bool
        An assumption that simplifies: the matrix is its own transpose, and square. A derivative by it treats its
        entries as independent.

    Returns
    -------
    Expr

    Raises
    ------
    ValueError
        If it is symmetric and has different lengths.

    See Also
    --------
    matrices : Several at once.

    Examples
    --------
    >>> import matgrad as mg
    >>> S = mg.matrix("S", symmetric=True)
    >>> S.T.equals(S)
    True
    """
    if symmetric:
        rows, columns = rows if rows is not None else columns, columns if columns is not None else rows
        if rows != columns:
            raise ValueError(f"matrix: the symmetric {name} has lengths {rows} and {columns} but must be square")
    return _symbol("matrix", name, (rows, columns), symmetric)


def tensor(name: str, *lengths: Length, ndim: int | None = None) -> Expr:
    """
    Make a symbol with any number of axes.

    Parameters
    ----------
    name : str
        A Python identifier.
    *lengths : int or str
        One int: the number of axes. Else the length of each axis, as in `vector`.
    ndim : int, optional
        The number of axes, instead of their lengths.

    Returns
    -------
    Expr

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.tensor("T", 3).ndim
    3
    >>> mg.tensor("T", 4, 5, "n").shape[:2]
    (4, 5)
    """
    if ndim is not None and lengths:
        raise TypeError(f"tensor: ndim is given beside the lengths {lengths}, but only one of both may be")
    if len(lengths) == 1 and lengths[0] is not None and not isinstance(lengths[0], str):
        ndim = index(lengths[0])
    if ndim is not None:
        if ndim < 0:
            raise ValueError(f"tensor: the number of axes is {ndim} but must not be negative")
        lengths = (None,) * index(ndim)
    return _symbol("tensor", name, lengths)


def scalars(names: str) -> tuple[Expr, ...]:
    """
    Make several symbols without axes.

    Parameters
    ----------
    names : str
        The names, separated by spaces or commas.

    Returns
    -------
    tuple of Expr

    Examples
    --------
    >>> import matgrad as mg
    >>> w, x = mg.scalars("w x")
    >>> ((w + x) ** 2).diff(w).equals(2 * (w + x))
    True
    """
    return tuple(scalar(name) for name in _names("scalars", names))


def vectors(names: str, length: Length = None) -> tuple[Expr, ...]:
    """
    Make several symbols with one axis.

    Parameters
    ----------
    names : str
        The names, separated by spaces or commas.
    length : int or str, optional
        The length of each, as in `vector`.

    Returns
    -------
    tuple of Expr

    Examples
    --------
    >>> import matgrad as mg
    >>> a, x = mg.vectors("a x")
    >>> (a @ x).diff(x).equals(a)
    True
    """
    return tuple(vector(name, length) for name in _names("vectors", names))


def matrices(names: str, rows: Length = None, columns: Length = None, *, symmetric: bool = False) -> tuple[Expr, ...]:
    """
    Make several symbols with two axes.

    Parameters
    ----------
    names : str
        The names, separated by spaces or commas.
    rows, columns : int or str, optional
        The lengths of each, as in `vector`.
    symmetric : bool
        As in `matrix`.

    Returns
    -------
    tuple of Expr

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> A, X = mg.matrices("A X")
    >>> np.trace(A @ X).diff(X).equals(A.T)
    True
    """
    return tuple(matrix(name, rows, columns, symmetric=symmetric) for name in _names("matrices", names))


def _names(function: str, names: str) -> list[str]:
    if not isinstance(names, str):
        raise TypeError(f"{function}: names is {names!r} but must be a string, such as 'A B'")
    return names.replace(",", " ").split()


def _symbol(function: str, name: str, lengths: tuple[Length, ...], symmetric: bool = False) -> Expr:
    if not isinstance(name, str):
        raise TypeError(f"{function}: name is {name!r} but must be a string")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{function}: name is {name!r} but must be a Python identifier")
    for length in lengths:
        _check_length(function, name, length)
    node = _core.symbol(name, [n if n is None or isinstance(n, str) else index(n) for n in lengths], symmetric)
    return Expr(node, {name: node})


def _check_length(function: str, name: str, length: Length) -> None:
    if length is None or (isinstance(length, str) and length.isidentifier() and not keyword.iskeyword(length)):
        return
    if isinstance(length, str):
        raise ValueError(f"{function}: a length of {name} is {length!r} but a name must be a Python identifier")
    if isinstance(length, bool) or not hasattr(length, "__index__"):
        raise TypeError(f"{function}: a length of {name} is {length!r} but must be an integer or a name")
    if index(length) < 0:
        raise ValueError(f"{function}: a length of {name} is {length} but must not be negative")
