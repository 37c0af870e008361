"""Layouts of derivatives, and the isomorphism between tensors and matrices: to_layout, flatten, vec, inverses."""

from __future__ import annotations

import math
import operator
from typing import Any, Literal, TypeVar, get_args, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validate import Symbolic, as_plain_array

Layout = Literal["tensor", "numerator", "denominator"]
Order = Literal["F", "C"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

S = TypeVar("S", bound=Symbolic)


@overload
def to_layout(J: S, y_ndim: int, layout: Layout) -> S: ...
@overload
def to_layout(J: ArrayLike, y_ndim: int, layout: Layout) -> NDArray[Any]: ...
def to_layout(J: Any, y_ndim: int, layout: Layout) -> Any:
    """
    Arrange a derivative in tensor, numerator or denominator layout.

    ======================  ==============  ====================  ===================
    y by x                  ``"tensor"``    ``"numerator"``       ``"denominator"``
    ======================  ==============  ====================  ===================
    scalar by scalar        ()              (1, 1)                (1, 1)
    vector m by scalar      (m,)            (m, 1)                (1, m)
    matrix m×n by scalar    (m, n)          (m, n)                (n, m)
    scalar by vector n      (n,)            (1, n)                (n, 1)
    vector m by vector n    (m, n)          (m, n)                (n, m)
    scalar by matrix p×q    (p, q)          (q, p)                (p, q)
    anything else           y, x            (size y, size x)      (size x, size y)
    ======================  ==============  ====================  ===================

    Numerator layout is also called the Jacobian formulation, denominator layout the Hessian formulation.

    Parameters
    ----------
    J : array_like, shape y.shape + x.shape
        The derivative of y by x as a tensor.
    y_ndim : int
        How many of J's axes, from the first, are y's; the others are x's.
    layout : {"tensor", "numerator", "denominator"}
        ``"tensor"`` returns J as it is, the others a matrix.

    Returns
    -------
    ndarray
        A view of J where that is possible.

    Raises
    ------
    TypeError
        If J is no array of numbers, or y_ndim no integer.
    ValueError
        If J has fewer than y_ndim axes, or the layout is unknown.

    Notes
    -----
    The chain rule is a product of matrices: ∂f/∂x = ∂f/∂g ∂g/∂x in numerator layout, ∂f/∂x = ∂g/∂x ∂f/∂g in denominator
    layout. A derivative of a scalar by a matrix, or of a matrix by a scalar, keeps its classical form; use `flatten` to
    have it take part in the chain rule. "Anything else" stacks columns, as `flatten` does.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> J = np.zeros((2, 3, 4))  # a matrix by a vector
    >>> mg.to_layout(J, 2, "numerator").shape
    (6, 4)
    >>> mg.to_layout(J, 2, "denominator").shape
    (4, 6)
    """
    J = _numbers("to_layout", "J", J)
    y_ndim = _count_of_axes("to_layout", J, y_ndim)
    if layout not in LAYOUTS:
        raise ValueError(f'to_layout: layout is {layout!r} but must be "tensor", "numerator" or "denominator"')
    return arrange(J, y_ndim, layout)


def arrange(J: Any, y_ndim: int, layout: Layout) -> Any:
    """Do what `to_layout` does, for arguments that are known to be right."""
    if layout == "tensor":
        return J
    x_ndim = J.ndim - y_ndim
    if (y_ndim, x_ndim) == (2, 0):
        numerator = J
    elif (y_ndim, x_ndim) == (0, 2):
        numerator = J.T
    else:
        numerator = flatten(J, y_ndim)
    return numerator if layout == "numerator" else numerator.T


@overload
def flatten(J: S, y_ndim: int, order: Order = ...) -> S: ...
@overload
def flatten(J: ArrayLike, y_ndim: int, order: Order = ...) -> NDArray[Any]: ...
def flatten(J: Any, y_ndim: int, order: Order = "F") -> Any:
    """
    Flatten a derivative tensor to the matrix ∂vec(y)/∂vec(x).

    Parameters
    ----------
    J : array_like, shape y.shape + x.shape
        The derivative of y by x as a tensor.
    y_ndim : int
        How many of J's axes, from the first, are y's; the others are x's.
    order : {"F", "C"}
        ``"F"`` stacks columns, as `vec` does and the literature on matrix calculus; ``"C"`` rows, as `numpy.ravel`.

    Returns
    -------
    ndarray, shape (size of y, size of x)
        A view of J where that is possible.

    Raises
    ------
    TypeError
        If J is no array of numbers, or y_ndim no integer.
    ValueError
        If J has fewer than y_ndim axes, or the order is unknown.

    See Also
    --------
    unflatten : the inverse

    Examples
    --------
    The derivative of A X B by X flattens to Bᵀ ⊗ A:

    >>> import numpy as np
    >>> import matgrad as mg
    >>> A, B = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])
    >>> J = np.einsum("ik,lj->ijkl", A, B)
    >>> np.array_equal(mg.flatten(J, 2), np.kron(B.T, A))
    True
    """
    J = _numbers("flatten", "J", J)
    y_ndim = _count_of_axes("flatten", J, y_ndim)
    _check_order("flatten", order)
    rows, columns = math.prod(J.shape[:y_ndim]), math.prod(J.shape[y_ndim:])
    if order == "F":
        J = J.transpose(_reversed_groups(y_ndim, J.ndim))
    return J.reshape(rows, columns)


@overload
def unflatten(M: S, y_shape: int | tuple[int, ...], x_shape: int | tuple[int, ...], order: Order = ...) -> S: ...
@overload
def unflatten(
    M: ArrayLike, y_shape: int | tuple[int, ...], x_shape: int | tuple[int, ...], order: Order = ...
) -> NDArray[Any]: ...
def unflatten(M: Any, y_shape: int | tuple[int, ...], x_shape: int | tuple[int, ...], order: Order = "F") -> Any:
    """
    Restore the derivative tensor that `flatten` made a matrix of.

    Parameters
    ----------
    M : array_like, shape (size of y, size of x)
        The matrix ∂vec(y)/∂vec(x).
    y_shape, x_shape : tuple of int
        Shapes of y and x; an int is the length of a vector.
    order : {"F", "C"}
        As in `flatten`.

    Returns
    -------
    ndarray, shape y_shape + x_shape
        A view of M where that is possible.

    Raises
    ------
    TypeError
        If M is no array of numbers, or a shape isn't made of integers.
    ValueError
        If the shapes don't fit M, or the order is unknown.

    See Also
    --------
    flatten : the inverse

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.unflatten(np.zeros((6, 4)), (2, 3), (4,)).shape
    (2, 3, 4)
    """
    M = _numbers("unflatten", "M", M)
    y_shape, x_shape = _shape("unflatten", "y_shape", y_shape), _shape("unflatten", "x_shape", x_shape)
    _check_order("unflatten", order)
    if M.shape != (math.prod(y_shape), math.prod(x_shape)):
        raise ValueError(
            f"unflatten: M is {M.shape} but must be {(math.prod(y_shape), math.prod(x_shape))}, "
            f"because y_shape is {y_shape} and x_shape is {x_shape}"
        )
    if order == "C":
        return M.reshape(y_shape + x_shape)
    axes = _reversed_groups(len(y_shape), len(y_shape) + len(x_shape))
    return M.reshape(y_shape[::-1] + x_shape[::-1]).transpose(axes)


@overload
def vec(X: S) -> S: ...
@overload
def vec(X: ArrayLike) -> NDArray[Any]: ...
def vec(X: Any) -> Any:
    """
    Stack the columns of a matrix into one vector.

    Parameters
    ----------
    X : array_like
        A matrix, or an array of any number of axes, which is read in Fortran order.

    Returns
    -------
    ndarray, shape (size of X,)
        A view of X where that is possible.

    Raises
    ------
    TypeError
        If X is no array of numbers.

    See Also
    --------
    unvec : the inverse

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.vec([[1, 2], [3, 4]])
    array([1, 3, 2, 4])
    """
    return _numbers("vec", "X", X).T.reshape(-1)


@overload
def unvec(v: S, shape: int | tuple[int, ...]) -> S: ...
@overload
def unvec(v: ArrayLike, shape: int | tuple[int, ...]) -> NDArray[Any]: ...
def unvec(v: Any, shape: int | tuple[int, ...]) -> Any:
    """
    Restore the array whose columns `vec` stacked.

    Parameters
    ----------
    v : array_like, shape (size of the result,)
        The stacked columns.
    shape : tuple of int
        The shape of the result; an int is the length of a vector.

    Returns
    -------
    ndarray
        Of the given shape; a view of v where that is possible.

    Raises
    ------
    TypeError
        If v is no array of numbers, or the shape isn't made of integers.
    ValueError
        If v is no vector of as many elements as the shape has.

    See Also
    --------
    vec : the inverse

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.unvec([1, 3, 2, 4], (2, 2))
    array([[1, 2],
           [3, 4]])
    """
    v, shape = _numbers("unvec", "v", v), _shape("unvec", "shape", shape)
    if v.shape != (math.prod(shape),):
        raise ValueError(f"unvec: v is {v.shape} but must be {(math.prod(shape),)}, because shape is {shape}")
    return v.reshape(shape[::-1]).T


def _reversed_groups(y_ndim: int, ndim: int) -> tuple[int, ...]:
    """Return the order of axes that reverses y's axes among themselves, and x's."""
    return (*range(y_ndim - 1, -1, -1), *range(ndim - 1, y_ndim - 1, -1))


def _numbers(function: str, argument: str, value: Any) -> Any:
    if isinstance(value, Symbolic):
        return value
    array = as_plain_array(function, argument, value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{function}: {argument} has dtype {array.dtype} but must be an array of numbers")
    return array


def _count_of_axes(function: str, J: NDArray[Any], y_ndim: int) -> int:
    try:
        count = operator.index(y_ndim)
    except TypeError:
        raise TypeError(f"{function}: y_ndim is {y_ndim!r} but must be an integer") from None
    if not 0 <= count <= J.ndim:
        raise ValueError(f"{function}: y_ndim is {count} but must be from 0 to {J.ndim}, because J is {J.shape}")
    return count


def _check_order(function: str, order: str) -> None:
    if order not in ("F", "C"):
        raise ValueError(f'{function}: order is {order!r} but must be "F" or "C"')


def _shape(function: str, argument: str, shape: Any) -> tuple[int, ...]:
    try:
        lengths = tuple(map(operator.index, shape)) if np.iterable(shape) else (operator.index(shape),)
    except TypeError:
        raise TypeError(f"{function}: {argument} is {shape!r} but must be a tuple of integers") from None
    if any(length < 0 for length in lengths):
        raise ValueError(f"{function}: {argument} is {lengths} but must not be negative")
    return lengths
