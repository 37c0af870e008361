"""Log-sum-exp, its gradient (softmax) and its Hessian."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from matgrad import _core


def logsumexp(x: ArrayLike, *, out: NDArray[Any] | None = None) -> Any:
    """
    Logarithm of the sum of exponentials over the last axis: log Σ exp(x[i]).

    Never overflows, and is accurate also where the sum is close to 1. An empty sum gives −inf.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Exponents, float32 or float64; integers become float64. Leading axes are a stack.
    out : ndarray, shape (...), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    ndarray, shape (...), or a NumPy scalar
        In the precision of x.

    Raises
    ------
    TypeError
        If x's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.

    Notes
    -----
    The value is m + log k + log(1 + Σ exp(x[i] − m)/k), where m is the maximum, k the number of exponents equal to it,
    and the sum is over the others: Blanchard, Higham and Higham, *Accurately computing the log-sum-exp and softmax
    functions*, IMA Journal of Numerical Analysis 41 (2021). Infinities give what `scipy.special.logsumexp` gives.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.logsumexp(np.array([0.0, 0.0]))
    np.float64(0.6931471805599453)
    >>> cf.logsumexp(np.array([[1000.0, 1000.0], [-np.inf, -np.inf]]))
    array([1000.69314718,          -inf])
    """
    return _core.logsumexp(x, out)


def logsumexp_gradient(x: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Gradient of log Σ exp(x[i]) by x, which is softmax: s = exp(x)/Σ exp(x[i]).

    Never overflows.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Exponents, float32 or float64; integers become float64. Leading axes are a stack.
    out : ndarray, shape (..., n), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    ndarray, shape (..., n)
        In the shape of x, in its precision.

    Raises
    ------
    TypeError
        If x's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.

    Notes
    -----
    Where the maximum of x is infinite, ratios of infinities or of zeros are meant, and all of s is NaN, as
    `scipy.special.softmax` has it.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.logsumexp_gradient(np.array([0.0, np.log(2)]))
    array([0.33333333, 0.66666667])
    """
    return _core.logsumexp_gradient(x, out)


def logsumexp_hessian(x: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Hessian of log Σ exp(x[i]) by x: diag(s) − s sᵀ with s = exp(x)/Σ exp(x[i]).

    Symmetric to the last bit.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Exponents, float32 or float64; integers become float64. Leading axes are a stack.
    out : ndarray, shape (..., n, n), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    ndarray, shape (..., n, n)
        In the precision of x.

    Raises
    ------
    TypeError
        If x's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.
    MemoryError
        If the result cannot fit in memory.

    Notes
    -----
    Boyd and Vandenberghe, *Convex Optimization* (2004), section 3.1.5. Where the maximum of x is infinite, all is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.logsumexp_hessian(np.array([0.0, 0.0]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    return _core.logsumexp_hessian(x, out)
