"""Jacobian tensors of products by their factors, expanded: each is a small core times Kronecker deltas."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from matgrad import _core


def matvec_jacobian(A: ArrayLike, x: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Jacobian tensor of A x by A: ∂(A x)[i]/∂A[k, l] = δ[i, k] x[l].

    Parameters
    ----------
    A : array_like, shape (..., m, n)
        Matrix, float32 or float64; integers become float64. Its values don't matter.
    x : array_like, shape (..., n)
        Vector. Leading axes of A and x are stacks, broadcast against each other.
    out : ndarray, shape (..., m, m, n), optional
        Where to write the result; must have its exact shape and dtype. Reusing it spares a large result the cost of
        fresh memory.

    Returns
    -------
    ndarray, shape (..., m, m, n)
        In the precision of the operands.

    Raises
    ------
    TypeError
        If an operand's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.
    MemoryError
        If the result doesn't fit in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.matvec_jacobian(np.zeros((2, 3)), np.array([1.0, 2.0, 3.0]))
    array([[[1., 2., 3.],
            [0., 0., 0.]],
    <BLANKLINE>
           [[0., 0., 0.],
            [1., 2., 3.]]])
    """
    return _core.matvec_jacobian(A, x, out)


def matmul_jacobian(
    A: ArrayLike,
    B: ArrayLike,
    *,
    out: tuple[NDArray[Any] | None, NDArray[Any] | None] | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """
    Jacobian tensors of A B by A and by B.

    ∂(A B)[i, j]/∂A[p, q] = δ[i, p] B[q, j] and ∂(A B)[i, j]/∂B[p, q] = A[i, p] δ[j, q].

    Parameters
    ----------
    A : array_like, shape (..., m, k)
        Matrix, float32 or float64; integers become float64.
    B : array_like, shape (..., k, n)
        Matrix. Leading axes of A and B are stacks, broadcast against each other.
    out : tuple of two ndarrays, optional
        Where to write the results; must have their exact shapes and dtype. Either may be None.

    Returns
    -------
    by_A : ndarray, shape (..., m, n, m, k)
    by_B : ndarray, shape (..., m, n, k, n)
        In the precision of the operands.

    Raises
    ------
    TypeError
        If an operand's dtype isn't accepted, or out isn't two arrays of the result's dtype.
    ValueError
        If shapes don't fit.
    MemoryError
        If a result doesn't fit in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> A, B = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0], [6.0]])
    >>> by_A, by_B = cf.matmul_jacobian(A, B)
    >>> by_A[1, 0]
    array([[0., 0.],
           [5., 6.]])
    >>> by_B[1, 0]
    array([[3.],
           [4.]])
    """
    return _core.matmul_jacobian(A, B, out)


def gram_jacobian(R: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """
    Jacobian tensor of the Gram matrix RᵀR by R: ∂(RᵀR)[p, q]/∂R[i, j] = δ[j, p] R[i, q] + δ[j, q] R[i, p].

    Parameters
    ----------
    R : array_like, shape (..., m, n)
        Matrix, float32 or float64; integers become float64. Leading axes are a stack.
    out : ndarray, shape (..., n, n, m, n), optional
        Where to write the result; must have its exact shape and dtype. Reusing it spares a large result the cost of
        fresh memory.

    Returns
    -------
    ndarray, shape (..., n, n, m, n)
        In the precision of R.

    Raises
    ------
    TypeError
        If R's dtype isn't accepted, or out's isn't the result's.
    ValueError
        If shapes don't fit.
    MemoryError
        If the result doesn't fit in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> cf.gram_jacobian(np.array([[1.0, 2.0]]))
    array([[[[2., 0.]],
    <BLANKLINE>
            [[2., 1.]]],
    <BLANKLINE>
    <BLANKLINE>
           [[[2., 1.]],
    <BLANKLINE>
            [[0., 4.]]]])
    """
    return _core.gram_jacobian(R, out)
