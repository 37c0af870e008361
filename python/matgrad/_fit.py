"""Fits a low-rank factorization X ≈ U V by L-BFGS, with the gradient of matgrad or the same in NumPy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse
from numpy.typing import NDArray

from matgrad import closed_form as cf

Array = NDArray[np.float64]
Loss = Callable[[Array, Array], tuple[float, tuple[Array, Array]]]


@dataclass(frozen=True)
class Fit:
    """A factorization X ≈ U V, and how the minimisation went."""

    U: Array
    V: Array
    losses: list[float]  # before the first and after every iteration
    gradients: int  # how many were computed
    seconds: float


def matgrad_loss(X: Any, l2: float) -> Loss:
    """Return (U, V) ↦ ‖X − U V‖² + l2 (‖U‖² + ‖V‖²), over the observed entries if X is sparse, with its gradients."""

    def loss(U: Array, V: Array) -> tuple[float, tuple[Array, Array]]:
        value, (dU, dV) = cf.factorization_value_and_gradient(X, U, V, l2=l2)
        return float(value), (dU, dV)

    return loss


def numpy_loss(X: Any, l2: float) -> Loss:
    """Return the same in NumPy and SciPy, as an expert would write it."""
    sparse = not isinstance(X, np.ndarray)
    if sparse:
        rows = rows_of(X)
        flat = rows * X.shape[1] + X.indices
        product_is_cheaper = X.shape[0] * X.shape[1] <= 32 * X.nnz  # than gathering rows of U and Vᵀ

    def loss(U: Array, V: Array) -> tuple[float, tuple[Array, Array]]:
        if sparse:
            residual = np.take(U @ V, flat) if product_is_cheaper else product_at(rows, X.indices, U, V)
            residual -= X.data
            value = residual @ residual
            R: Any = scipy.sparse.csr_array((residual, X.indices, X.indptr), shape=X.shape)
            dU, dV = R @ np.ascontiguousarray(V.T), np.ascontiguousarray((R.T @ U).T)
        else:
            R = U @ V
            R -= X
            value = np.vdot(R, R)
            dU, dV = R @ V.T, U.T @ R
        for derivative, factor in ((dU, U), (dV, V)):
            if l2:
                derivative += l2 * factor
            derivative *= 2
        return float(value + l2 * (np.vdot(U, U) + np.vdot(V, V))), (dU, dV)

    return loss


def rows_of(X: Any) -> NDArray[np.intp]:
    """Return the row of every stored entry of a CSR matrix."""
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))


def product_at(rows: NDArray[Any], columns: NDArray[Any], U: Array, V: Array) -> Array:
    """Return the entries of U V in these rows and columns, gathering few enough at a time to stay in cache."""
    result, W = np.empty(len(rows)), np.ascontiguousarray(V.T)
    for start in range(0, len(rows), 4096):
        part = slice(start, start + 4096)
        np.einsum("kr,kr->k", U[rows[part]], W[columns[part]], out=result[part])
    return result


def random_start(shape: tuple[int, int], rank: int) -> tuple[Array, Array]:
    """Return factors that are the same random ones each time, whose product has entries of about 1."""
    m, n = shape
    start = np.random.default_rng(0).standard_normal((m + n) * rank) / math.sqrt(rank)
    return start[: m * rank].reshape(m, rank), start[m * rank :].reshape(rank, n)


def minimize(
    loss: Loss,
    start: tuple[Array, Array],
    iterations: int,
    report: Callable[[int, float], None] = lambda done, loss: None,
    **tolerances: float,
) -> Fit:
    """
    Minimise a loss of (U, V) by L-BFGS; `report` is told each iteration and its loss.

    The tolerances are the options ``ftol`` and ``gtol`` of SciPy's L-BFGS-B.
    """
    split, shapes = start[0].size, [factor.shape for factor in start]

    def factors(w: Array) -> tuple[Array, Array]:
        return w[:split].reshape(shapes[0]), w[split:].reshape(shapes[1])

    def value_and_gradient(w: Array) -> tuple[float, Array]:
        value, derivatives = loss(*factors(w))
        return value, np.concatenate(derivatives, axis=None)

    losses = [loss(*start)[0]]

    def callback(intermediate_result: Any) -> None:
        losses.append(float(intermediate_result.fun))
        report(len(losses) - 1, losses[-1])

    options: Any = {"maxiter": iterations, "maxfun": 10 * iterations + 10, **tolerances}
    began = time.perf_counter()
    with _one_blas_thread():
        found = scipy.optimize.minimize(
            value_and_gradient,
            np.concatenate(start, axis=None),
            jac=True,
            method="L-BFGS-B",
            callback=callback,
            options=options,
        )
    U, V = factors(found.x)
    return Fit(U, V, losses, int(found.nfev), time.perf_counter() - began)


def _one_blas_thread() -> AbstractContextManager[Any]:
    """
    Return a context in which BLAS has one thread, if threadpoolctl is installed.

    L-BFGS-B calls BLAS for a few small vectors; the threads would then spin on the cores that the gradients need.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        return nullcontext()
    return threadpool_limits(1, "blas")  # type: ignore[no-any-return]


def time_side_by_side(losses: Sequence[Loss], U: Array, V: Array) -> list[float]:
    """
    Seconds that each loss with its gradients takes, the least of three rounds of turns.

    A turn lasts longer than the threads of the turn before it stay awake.
    """
    least = [math.inf] * len(losses)
    for k, loss in list(enumerate(losses)) * 3:
        turn_ends = time.perf_counter() + 0.25
        while (began := time.perf_counter()) < turn_ends:
            loss(U, V)
            least[k] = min(least[k], time.perf_counter() - began)
    return least
