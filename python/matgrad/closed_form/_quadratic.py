"""Closed forms of the quadratic form xᵀA x: its value, its gradient and its Hessian."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from matgrad import _core


def quadratic_form(A: ArrayLike, x: ArrayLike, *, out: NDArray[Any] | None = None) -> Any:
    """
    Quadratic form xᵀA x.

    A is read once.

    Parameters
    ----------
    A : array_like, shape (..., n, n)
        Matrix, float32 or float64; integers become float64. Need not be symmetric.
    x : array_like, shape (..., n)
        Vector. Leading axes of A and x are stacks, broadcast against each other.
    out : ndarray, shape (...), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    scalar or ndarray, shape (...)
        In the precision of the operands.

    Raises
    ------
    TypeError
        If an operand's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> print(cf.quadratic_form(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0])))
    10.0
    """
    return _core.quadratic_form(A, x, out)


def quadratic_form_gradient(A: ArrayLike, x: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Gradient of the quadratic form xᵀA x by x: (A + Aᵀ) x.

    A is read once.

    Parameters
    ----------
    A : array_like, shape (..., n, n)
        Matrix, float32 or float64; integers become float64. Need not be symmetric.
    x : array_like, shape (..., n)
        Vector. Leading axes of A and x are stacks, broadcast against each other.
    out : ndarray, shape (..., n), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    ndarray, shape (..., n)
        In the shape of x, in the precision of the operands.

    Raises
    ------
    TypeError
        If an operand's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.

    Notes
    -----
    Petersen and Pedersen, *The Matrix Cookbook*, eq. (81).

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.quadratic_form_gradient(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0]))
    array([ 7., 13.])
    """
    return _core.quadratic_form_gradient(A, x, out)


def quadratic_form_hessian(A: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Hessian of the quadratic form xᵀA x by x: A + Aᵀ.

    The result is exactly symmetric.

    Parameters
    ----------
    A : array_like, shape (..., n, n)
        Matrix, float32 or float64; integers become float64. Leading axes are a stack.
    out : ndarray, shape (..., n, n), optional
        Where to write the result; must have its exact shape and dtype. Reusing it spares a large result the cost of
        fresh memory.

    Returns
    -------
    ndarray, shape (..., n, n)
        In the precision of A.

    Raises
    ------
    TypeError
        If A's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.

    Notes
    -----
    Petersen and Pedersen, *The Matrix Cookbook*, eq. (98).

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.quadratic_form_hessian(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[2., 5.],
           [5., 8.]])
    """
    return _core.quadratic_form_hessian(A, out)
