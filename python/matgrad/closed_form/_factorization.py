"""Closed forms of matrix factorization, ‖X − U V‖²."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from matgrad._validate import as_float_array

if TYPE_CHECKING:
    from matgrad._structured import Structured


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
    factor = as_float_array("factorization_hessian", "U", U)
    try:
        columns = operator.index(m)
    except TypeError:
        raise TypeError(f"factorization_hessian: m is {m!r} but must be an integer") from None
    if factor.ndim != 2:
        raise ValueError(f"factorization_hessian: U has shape {factor.shape} but must be a matrix (n, r)")
    if columns < 0:
        raise ValueError(f"factorization_hessian: m is {columns} but must not be negative")
    core = factor.T @ factor
    core += core
    return _structured().of_matrix(core, columns, "2UᵀU")
