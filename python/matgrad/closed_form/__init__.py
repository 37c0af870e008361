"""
Closed forms: one function a known derivative, on arrays and stacks of arrays.

Every function takes float32 or float64 arrays of any strides (integers and bools become float64) and computes in their
common precision. Leading axes are a stack: they broadcast as in `numpy.linalg`. ``out=`` must have the exact shape and
dtype of the result; it may overlap the operands. Shapes that don't fit raise `ValueError`, dtypes that aren't accepted
`TypeError`, a result larger than memory `MemoryError`; each names the function and the argument.
"""

from ._factorization import (
    factorization_gradient,
    factorization_hessian,
    factorization_loss,
    factorization_value_and_gradient,
)
from ._jacobian import gram_jacobian, matmul_jacobian, matvec_jacobian
from ._logsumexp import logsumexp, logsumexp_gradient, logsumexp_hessian
from ._quadratic import quadratic_form, quadratic_form_gradient, quadratic_form_hessian
from ._vector import bilinear_form_gradient, bilinear_form_hessian, distance_gradient, distance_hessian

__all__ = [
    "bilinear_form_gradient",
    "bilinear_form_hessian",
    "distance_gradient",
    "distance_hessian",
    "factorization_gradient",
    "factorization_hessian",
    "factorization_loss",
    "factorization_value_and_gradient",
    "gram_jacobian",
    "logsumexp",
    "logsumexp_gradient",
    "logsumexp_hessian",
    "matmul_jacobian",
    "matvec_jacobian",
    "quadratic_form",
    "quadratic_form_gradient",
    "quadratic_form_hessian",
]
