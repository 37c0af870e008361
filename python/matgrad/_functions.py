"""Functions that NumPy lacks, of arrays and of expressions: log-sum-exp, softmax, sigmoid and others."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, closed_form
from ._expr import Expr, elementwise
from ._numpy_reductions import Axis, normalized_axes, reduction
from ._symbols import tensor
from ._validate import as_float_array


def logsumexp(x: Expr | ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """
    Logarithm of the sum of exponentials, log Σ exp(x[i]).

    Never overflows.

    Parameters
    ----------
    x : Expr or array_like
        Exponents.
    axis : int or tuple of int, optional
        The axes to sum over; None is all of them.
    keepdims : bool
        Whether those axes stay, with length 1.

    Returns
    -------
    Expr or ndarray
        As x is; a NumPy scalar if no axes remain.

    See Also
    --------
    matgrad.closed_form.logsumexp : The same over the last axis, with ``out=``.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.logsumexp([0.0, 0.0])
    np.float64(0.6931471805599453)
    >>> x = mg.vector("x")
    >>> mg.logsumexp(x).diff(x).equals(mg.softmax(x))
    True
    """
    if isinstance(x, Expr):
        return reduction("logsumexp", x, axis, keepdims)
    array = as_float_array("logsumexp", "x", x)
    axes = normalized_axes("logsumexp", array, axis)
    result = closed_form.logsumexp(_last(array, axes))
    return np.expand_dims(result, axes) if keepdims else result


def softmax(x: Expr | ArrayLike, axis: Axis = None) -> Any:
    """
    Exponentials over their sum, exp(x)/Σ exp(x[i]): the gradient of log-sum-exp.

    Never overflows.

    Parameters
    ----------
    x : Expr or array_like
        Exponents.
    axis : int or tuple of int, optional
        The axes to sum over; None is all of them.

    Returns
    -------
    Expr or ndarray
        As x is, and of its shape.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.softmax([0.0, 0.0])
    array([0.5, 0.5])
    """
    if isinstance(x, Expr):
        return np.exp(log_softmax(x, axis))
    array = as_float_array("softmax", "x", x)
    axes = normalized_axes("softmax", array, axis)
    last = _last(array, axes)
    moved = closed_form.logsumexp_gradient(last).reshape(_moved(array, axes).shape)
    return np.moveaxis(moved, range(-len(axes), 0), axes)


def log_softmax(x: Expr | ArrayLike, axis: Axis = None) -> Any:
    """
    Logarithm of softmax, x − log Σ exp(x[i]).

    Parameters
    ----------
    x : Expr or array_like
        Exponents.
    axis : int or tuple of int, optional
        The axes to sum over; None is all of them.

    Returns
    -------
    Expr or ndarray
        As x is, and of its shape.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    """
    if isinstance(x, Expr):
        return x - logsumexp(x, axis, keepdims=True)
    array = as_float_array("log_softmax", "x", x)
    axes = normalized_axes("log_softmax", array, axis)
    largest = np.max(array, axis=axes, keepdims=True, initial=-np.inf)
    shifted = array - np.where(np.isfinite(largest), largest, 0).astype(array.dtype)
    return shifted - logsumexp(shifted, axes, keepdims=True)


def sigmoid(x: Expr | ArrayLike) -> Any:
    """
    Logistic function σ(x) = 1/(1 + exp(−x)), elementwise.

    Parameters
    ----------
    x : Expr or array_like

    Returns
    -------
    Expr or ndarray
        As x is, and of its shape.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.sigmoid(0.0)
    np.float64(0.5)
    >>> print(mg.sigmoid(mg.vector("x")))
    σ(x)
    """
    return _map("sigmoid", x)


def softplus(x: Expr | ArrayLike) -> Any:
    """
    Smooth ramp log(1 + exp(x)), elementwise; its derivative is `sigmoid`.

    Never overflows.

    Parameters
    ----------
    x : Expr or array_like

    Returns
    -------
    Expr or ndarray
        As x is, and of its shape.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.softplus([-1000.0, 0.0, 1000.0])
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    return _map("softplus", x)


def relu(x: Expr | ArrayLike) -> Any:
    """
    Ramp max(x, 0), elementwise; its derivative at 0 is 0.

    Parameters
    ----------
    x : Expr or array_like

    Returns
    -------
    Expr or ndarray
        As x is, and of its shape.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.relu([-1.0, 0.0, 2.0])
    array([0., 0., 2.])
    """
    return elementwise("relu", x) if isinstance(x, Expr) else np.maximum(as_float_array("relu", "x", x), 0)


def polygamma(n: Expr | ArrayLike, x: Expr | ArrayLike) -> Any:
    """
    Differentiate the digamma function ψ = (log Γ)′ n times, elementwise.

    Parameters
    ----------
    n : Expr or array_like
        The order, integers ≥ 0.
    x : Expr or array_like

    Returns
    -------
    Expr or ndarray
        As n and x are, and of the shape to which they broadcast.

    See Also
    --------
    scipy.special.polygamma : The same of arrays only.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import digamma
    >>> import matgrad as mg
    >>> mg.polygamma(1, [1.0, 2.0])
    array([1.64493407, 0.64493407])
    >>> x = mg.vector("x")
    >>> np.sum(digamma(x)).diff(x).equals(mg.polygamma(1, x))
    True
    """
    if not isinstance(n, Expr) and not isinstance(x, Expr):
        from scipy.special import polygamma as of_arrays

        return np.asarray(of_arrays(cast(Any, n), as_float_array("polygamma", "x", x)))[()]
    is_zero = np.equal(n, 0)
    if not isinstance(is_zero, Expr) and not np.any(is_zero):
        return elementwise("polygamma", n, x)
    derivative = elementwise("polygamma", n + is_zero, x)
    return elementwise("where", is_zero, elementwise("psi", x), derivative)


def logdet(A: Expr | ArrayLike) -> Any:
    """
    Logarithm of the determinant of a square matrix.

    Parameters
    ----------
    A : Expr or array_like, shape (..., n, n)
        Leading axes are a stack.

    Returns
    -------
    Expr or ndarray, shape (...)
        As A is; NaN where the determinant is negative.

    See Also
    --------
    numpy.linalg.slogdet : Sign and logarithm of any determinant.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.logdet(np.eye(3))
    np.float64(0.0)
    >>> X = mg.matrix("X")
    >>> mg.logdet(X).diff(X).equals(np.linalg.inv(X).T)
    True
    """
    if isinstance(A, Expr):
        return Expr(_core.linalg("logdet", A._node), A._symbols)
    sign, logarithm = np.linalg.slogdet(as_float_array("logdet", "A", A))
    return np.where(sign < 0, logarithm.dtype.type(np.nan), logarithm)[()]


def expm(A: Expr | ArrayLike) -> Any:
    """
    Exponential of a square matrix, Σ Aᵏ/k!, as `scipy.linalg.expm` computes it.

    Parameters
    ----------
    A : Expr or array_like, shape (..., n, n)
        Leading axes are a stack.

    Returns
    -------
    Expr or ndarray, shape (..., n, n)
        As A is.

    Notes
    -----
    By scaling and squaring with Padé approximants (Higham 2005). The derivative in a direction E is a block of the
    exponential of [[A, E], [0, A]] (Higham 2008, theorem 3.6).

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.expm([[0.0, 1.0], [0.0, 0.0]])
    array([[1., 1.],
           [0., 1.]])
    >>> mg.grad(lambda A: np.trace(mg.expm(A)))(np.eye(2)).round(3)
    array([[2.718, 0.   ],
           [0.   , 2.718]])
    """
    if isinstance(A, Expr):
        return Expr(_core.linalg("expm", A._node), A._symbols)
    array = as_float_array("expm", "A", A)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"expm: A has shape {array.shape} but must be square")
    return _expm_of_arrays(array.ndim)(array)


@cache
def _expm_of_arrays(ndim: int) -> Any:
    A = tensor("A", ndim)
    return expm(A).compile(A)


def _map(name: str, x: Expr | ArrayLike) -> Any:
    if isinstance(x, Expr):
        return elementwise(name, x)
    array = as_float_array(name, "x", x)
    contiguous = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    return _core.map(name, contiguous)[()]


def _moved(array: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Return the array with the given axes last."""
    return np.moveaxis(array, axes, range(-len(axes), 0))


def _last(array: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Return the array with the given axes ravelled into the last one."""
    moved = _moved(array, axes)
    kept = moved.shape[: array.ndim - len(axes)]
    return moved.reshape(*kept, np.prod(moved.shape[len(kept) :], dtype=int))
