"""Closed forms of expressions: what each computes, for functions that are traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._functions import logsumexp, softmax
from .._transforms import grad, hessian, jacobian
from .._validate import Symbolic


def quadratic_form(A: Any, x: Any) -> Any:
    return x @ A @ x


def bilinear_form(a: Any, b: Any, x: Any) -> Any:
    return (a @ x) * (x @ b)


def distance(x: Any, a: Any) -> Any:
    return np.linalg.norm(x - a)


def factorization_loss(X: Any, U: Any, V: Any) -> Any:
    return np.sum((X - U @ V) ** 2)


def factorization_value_and_gradient(X: Any, U: Any, V: Any, weights: Any, l2: float) -> Any:
    def loss(U: Any, V: Any) -> Any:
        squares = (X - U @ V) ** 2
        return np.sum(squares if weights is None else weights * squares) + l2 * (np.sum(U**2) + np.sum(V**2))

    return loss(U, V), *grad(loss, (0, 1))(U, V)


_DEFINITIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "quadratic_form": ("A x", quadratic_form),
    "quadratic_form_gradient": ("A x", grad(quadratic_form, 1)),
    "quadratic_form_hessian": ("A", lambda A: A + A.T),
    "bilinear_form_gradient": ("a b x", grad(bilinear_form, 2)),
    "bilinear_form_hessian": ("a b", lambda a, b: np.outer(a, b) + np.outer(b, a)),
    "distance_gradient": ("x a", grad(distance)),
    "distance_hessian": ("x a", hessian(distance)),
    "logsumexp": ("x", logsumexp),
    "logsumexp_gradient": ("x", softmax),
    "logsumexp_hessian": ("x", hessian(logsumexp)),
    "matvec_jacobian": ("A x", jacobian(np.matmul)),
    "matmul_jacobian": ("A B", jacobian(np.matmul, (0, 1))),
    "gram_jacobian": ("R", jacobian(lambda R: R.T @ R)),
    "factorization_loss": ("X U V", factorization_loss),
    "factorization_gradient": ("X U V", grad(factorization_loss, (1, 2))),
    "factorization_value_and_gradient": ("X U V weights", factorization_value_and_gradient),
}
"""Names of operands, matrices in upper case, and the function."""


def of_expressions(name: str, operands: Sequence[Any], numbers: Sequence[float], out: Any) -> Any:
    """Return what a closed form is of expressions, None if no operand is one."""
    if not any(isinstance(x, Symbolic) for x in operands):
        return None
    if name not in _DEFINITIONS or out is not None:
        what = "its operands" if out is None else "operands with out="
        raise TypeError(f"{name}: {what} must be arrays but one is an expression")
    names, function = _DEFINITIONS[name]
    for operand, x in zip(names.split(), operands, strict=True):
        ndim = 1 if operand in "abx" else 2
        if x is not None and np.ndim(x) != ndim:
            raise ValueError(
                f"{name}: {operand} has {np.ndim(x)} axes but must have {ndim}, as an operand is an expression"
            )
    return function(*operands, *numbers)
