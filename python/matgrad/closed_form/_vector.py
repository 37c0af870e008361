"""Closed forms of a bilinear form aᵀx xᵀb and of a distance ‖x − a‖."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from matgrad import _core


def bilinear_form_gradient(
    a: ArrayLike, b: ArrayLike, x: ArrayLike, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """
    Gradient of the bilinear form aᵀx xᵀb by x: (bᵀx) a + (aᵀx) b.

    Parameters
    ----------
    a, b : array_like, shape (..., n)
        Coefficients, float32 or float64; integers become float64.
    x : array_like, shape (..., n)
        Where to evaluate. Leading axes of a, b and x are stacks, broadcast against each other.
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
    The product rule on aᵀx · bᵀx.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.bilinear_form_gradient(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1.0, 1.0]))
    array([16., 26.])
    """
    return _core.bilinear_form_gradient(a, b, x, out)


def bilinear_form_hessian(a: ArrayLike, b: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Hessian of the bilinear form aᵀx xᵀb by x: a bᵀ + b aᵀ.

    It is the same at every x, and symmetric to the last bit.

    Parameters
    ----------
    a, b : array_like, shape (..., n)
        Coefficients, float32 or float64; integers become float64. Leading axes of a and b are stacks, broadcast against
        each other.
    out : ndarray, shape (..., n, n), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    ndarray, shape (..., n, n)
        In the precision of the operands.

    Raises
    ------
    TypeError
        If an operand's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.
    MemoryError
        If the result cannot fit in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.bilinear_form_hessian(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array([[ 6., 10.],
           [10., 16.]])
    """
    return _core.bilinear_form_hessian(a, b, out)


def distance_gradient(x: ArrayLike, a: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Gradient of the distance ‖x − a‖ by x: (x − a)/‖x − a‖.

    At x = a, where the distance has a kink, the gradient is 0. Squares that would overflow or underflow do no harm.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Where to evaluate, float32 or float64; integers become float64.
    a : array_like, shape (..., n)
        The point that distance is measured from. Leading axes of x and a are stacks, broadcast against each other.
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
    Petersen and Pedersen, *The Matrix Cookbook*, eq. (129).

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.distance_gradient(np.array([4.0, 6.0]), np.array([1.0, 2.0]))
    array([0.6, 0.8])
    >>> cf.distance_gradient(np.zeros(2), np.zeros(2))
    array([0., 0.])
    """
    return _core.distance_gradient(x, a, out)


def distance_hessian(x: ArrayLike, a: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Hessian of the distance ‖x − a‖ by x: (I − r rᵀ)/‖x − a‖ with r = (x − a)/‖x − a‖.

    Symmetric to the last bit. At x = a, where the distance has a kink, the Hessian is 0.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Where to evaluate, float32 or float64; integers become float64.
    a : array_like, shape (..., n)
        The point that distance is measured from. Leading axes of x and a are stacks, broadcast against each other.
    out : ndarray, shape (..., n, n), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    ndarray, shape (..., n, n)
        In the precision of the operands.

    Raises
    ------
    TypeError
        If an operand's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.
    MemoryError
        If the result cannot fit in memory.

    Notes
    -----
    Petersen and Pedersen, *The Matrix Cookbook*, eq. (130).

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.distance_hessian(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([[0.5, 0. ],
           [0. , 0. ]])
    """
    return _core.distance_hessian(x, a, out)
