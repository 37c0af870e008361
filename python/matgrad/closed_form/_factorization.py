"""Closed forms of the matrix factorization loss ‖X − U V‖², dense or over observed entries."""

from __future__ import annotations

import functools
import operator
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matgrad import _core
from matgrad._validate import as_float_array

if TYPE_CHECKING:
    from matgrad._structured import Structured


def factorization_loss(X: ArrayLike, U: ArrayLike, V: ArrayLike, *, out: NDArray[Any] | None = None) -> Any:
    """
    Squared Frobenius norm of the residual of a factorization: ‖X − U V‖².

    The residual is never stored.

    Parameters
    ----------
    X : array_like, shape (..., m, n)
        Matrix to be approximated, float32 or float64; integers become float64.
    U : array_like, shape (..., m, r)
        Left factor.
    V : array_like, shape (..., r, n)
        Right factor. Leading axes of X, U and V are stacks, broadcast against each other.
    out : ndarray, shape (...), optional
        Where to write the result; must have its exact shape and dtype.

    Returns
    -------
    scalar, or ndarray of shape (...)
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
    >>> cf.factorization_loss(np.ones((2, 3)), np.zeros((2, 1)), np.ones((1, 3)))
    np.float64(6.0)
    """
    return _core.factorization_loss(X, U, V, out)


def factorization_gradient(
    X: ArrayLike, U: ArrayLike, V: ArrayLike, *, out: tuple[NDArray[Any], NDArray[Any]] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """
    Gradients of ‖X − U V‖² by U and V: −2 (X − U V) Vᵀ and −2 Uᵀ (X − U V).

    The residual is never stored.

    Parameters
    ----------
    X : array_like, shape (..., m, n)
        Matrix to be approximated, float32 or float64; integers become float64.
    U : array_like, shape (..., m, r)
        Left factor.
    V : array_like, shape (..., r, n)
        Right factor. Leading axes of X, U and V are stacks, broadcast against each other.
    out : tuple of ndarray, shapes (..., m, r) and (..., r, n), optional
        Where to write the results; must have their exact shapes and dtype.

    Returns
    -------
    dU : ndarray, shape (..., m, r)
        Gradient by U.
    dV : ndarray, shape (..., r, n)
        Gradient by V.

    Raises
    ------
    TypeError
        If an operand's dtype isn't accepted, or out's isn't the results'.
    ValueError
        If shapes don't fit.

    Notes
    -----
    Petersen and Pedersen, *The Matrix Cookbook*, eq. (119), with the chain rule.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> dU, dV = cf.factorization_gradient(np.eye(2), np.ones((2, 1)), np.ones((1, 2)))
    >>> dU
    array([[2.],
           [2.]])
    >>> dV
    array([[2., 2.]])
    """
    return _core.factorization_gradient(X, U, V, out)


def factorization_value_and_gradient(
    X: Any,
    U: ArrayLike,
    V: ArrayLike,
    weights: ArrayLike | None = None,
    l2: float = 0.0,
    *,
    out: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> tuple[Any, tuple[NDArray[Any], NDArray[Any]]]:
    """
    Loss Σ W ⊙ (X − U V)² + l2 (‖U‖² + ‖V‖²) of a factorization, and its gradients by U and V.

    With R = X − U V the gradients are −2 (W ⊙ R) Vᵀ + 2 l2 U and −2 Uᵀ (W ⊙ R) + 2 l2 V. A sparse X stands for its
    observed entries: the sum runs over the stored ones, explicit zeros too, and over no others. R is never stored.

    Parameters
    ----------
    X : array_like of shape (..., m, n), or scipy.sparse CSR array of shape (m, n)
        Matrix to be approximated, float32 or float64; integers become float64.
    U : array_like, shape (..., m, r)
        Left factor.
    V : array_like, shape (..., r, n)
        Right factor. Leading axes of the operands are stacks, broadcast against each other.
    weights : array_like, shape (..., m, n), optional
        W, the weight of each squared residual; 1 if not given. Only for dense X.
    l2 : float, optional
        Factor of the penalty ‖U‖² + ‖V‖².
    out : tuple of ndarray, shapes (..., m, r) and (..., r, n), optional
        Where to write the gradients; must have their exact shapes and dtype.

    Returns
    -------
    value : scalar, or ndarray of shape (...)
        The loss.
    gradient : tuple of ndarray, shapes (..., m, r) and (..., r, n)
        Its gradients by U and by V.

    Raises
    ------
    TypeError
        If an operand's dtype or sparse format isn't accepted, or out's dtype isn't the results', or weights are given
        for a sparse X.
    ValueError
        If shapes don't fit, or the indices of a sparse X are not those of a CSR array.

    Notes
    -----
    Petersen and Pedersen, *The Matrix Cookbook*, eq. (119), with the chain rule.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> from matgrad import closed_form as cf
    >>> U, V = np.ones((2, 1)), np.ones((1, 2))
    >>> value, (dU, dV) = cf.factorization_value_and_gradient(np.eye(2), U, V, l2=0.5)
    >>> value
    np.float64(4.0)
    >>> dV
    array([[3., 3.]])
    >>> observed = scipy.sparse.csr_array(3 * np.eye(2))
    >>> value, (dU, dV) = cf.factorization_value_and_gradient(observed, U, V)
    >>> value
    np.float64(8.0)
    """
    gradient = _gradient_buffers(out)
    if "scipy.sparse" in sys.modules and sys.modules["scipy.sparse"].issparse(X):
        value, dU, dV = _observed(X, U, V, weights, l2, gradient)
    else:
        value, dU, dV = _core.factorization_value_and_gradient(X, U, V, weights, l2, gradient)
    return value, (dU, dV)


def _gradient_buffers(out: Any) -> tuple[None, Any, Any] | None:
    """``out`` of all three results, from that of the two gradients."""
    if out is None:
        return None
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(
            "factorization_value_and_gradient: out must be a tuple of 2 arrays, for the gradients by U and V"
        )
    return (None, *out)


def _observed(X: Any, U: Any, V: Any, weights: Any, l2: float, out: Any) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    """Value and gradients over the stored entries of a CSR array."""
    function = "factorization_value_and_gradient"
    if X.format != "csr":
        raise TypeError(f"{function}: X is a sparse array in {X.format} format but must be in csr format: X.tocsr()")
    if weights is not None:
        raise TypeError(f"{function}: weights is given but must be None for a sparse X, whose stored entries weigh 1")
    U, V = as_float_array(function, "U", U), as_float_array(function, "V", V)
    if U.ndim < 2 or V.ndim < 2 or X.shape != (U.shape[-2], V.shape[-1]) or U.shape[-1] != V.shape[-2]:
        raise ValueError(
            f"{function}: X is {X.shape}, U is {U.shape}, V is {V.shape} but must be (m, n), (m, r), (r, n)"
        )
    values = as_float_array(function, "X", np.asarray(X.data))
    return _core.factorization_value_and_gradient_sparse(values, U, V, l2, X.indptr, X.indices, out)


@functools.cache
def _structured() -> type[Structured]:
    """Return the class of structured derivatives; it needs SciPy, which is imported at its first use."""
    from matgrad._structured import Structured

    return Structured


def factorization_hessian(U: ArrayLike, m: int) -> Structured:
    """
    Hessian of the factorization loss ‖X − U V‖² by V, kept as a Kronecker product: 2UᵀU ⊗ I.

    H[i,j,k,l] = ∂²‖X − U V‖² / ∂V[i,j]∂V[k,l] = 2 (UᵀU)[i,k] δ[j,l]; only 2UᵀU is stored.

    Parameters
    ----------
    U : array_like, shape (n, r)
        Left factor, float32 or float64; integers become float64.
    m : int
        Number of columns of V, which has shape (r, m).

    Returns
    -------
    Structured, tensor_shape (r, m, r, m)
        A `scipy.sparse.linalg.LinearOperator` that multiplies in O(r²m) and solves by factorizing 2UᵀU alone.

    Raises
    ------
    TypeError
        If U's dtype isn't accepted, or m isn't an integer.
    ValueError
        If U isn't a matrix, or m is negative.

    Notes
    -----
    The Hessian by U is the same of the transposed problem, Xᵀ ≈ VᵀUᵀ: ``factorization_hessian(V.T, n)`` by Uᵀ.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> H = cf.factorization_hessian(np.array([[1.0, 2.0], [3.0, 4.0]]), 3)
    >>> H.describe()
    '2UᵀU ⊗ I'
    >>> H.tensor_shape, H.shape, H.nbytes
    ((2, 3, 2, 3), (6, 6), 32)
    >>> np.linalg.norm(H @ H.solve(np.ones(6)) - 1) < 1e-12
    np.True_
    """
    core = _core.factorization_hessian(U, None)
    if core.ndim != 2:
        raise ValueError(f"factorization_hessian: U has shape {np.shape(U)} but must be a matrix, without a stack")
    if type(m) is not int:
        try:
            m = operator.index(m)
        except TypeError:
            raise TypeError(f"factorization_hessian: m is {m!r} but must be an integer") from None
    if m < 0:
        raise ValueError(f"factorization_hessian: m is {m} but must not be negative")
    return _structured().of_matrix(core, m, "2UᵀU")
