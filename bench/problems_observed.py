"""Implementations of the factorization loss over observed entries, X a sparse matrix of ratings, with its gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from bench.peers import Implementation, anp, autograd, by_autograd, by_jax, by_numpy, by_torch, jax, jnp, ours, torch
from bench.problems_factorization import factors


def ratings(users: int, items: int, count: int) -> sparse.csr_array:
    """Return `count` ratings from 1 to 5; how many a user and an item have falls by power laws, as in MovieLens."""
    generator = np.random.default_rng(count)
    activity = generator.permutation(np.arange(1, users + 1) ** -0.6)
    popularity = generator.permutation(np.arange(1, items + 1) ** -0.9)
    # Gumbel's trick: the largest of log p + noise are a sample without replacement with probabilities p.
    scores = np.log(activity)[:, None] + np.log(popularity) + generator.gumbel(size=(users, items))
    chosen = np.argpartition(scores.reshape(-1), -count)[-count:]
    rows, columns = np.divmod(np.sort(chosen), items)
    stars = generator.integers(1, 6, count).astype(float)
    return sparse.csr_array((stars, (rows, columns)), shape=(users, items))


class Observed:
    """Ways of an expert in NumPy and SciPy; what depends on the positions of the ratings alone is computed once."""

    def __init__(self, X: sparse.csr_array, r: int) -> None:
        self.stars = X.data
        self.rows, self.columns = (index.astype(np.intp) for index in X.tocoo().coords)
        self.flat = self.rows * X.shape[1] + self.columns
        self.residual = X.copy()
        positions = sparse.csr_array((np.arange(X.nnz), X.indices, X.indptr), shape=X.shape).T.tocsr()
        self.order = positions.data
        self.transposed = sparse.csr_array(
            (X.data[self.order], positions.indices, positions.indptr), shape=X.shape[::-1]
        )
        self.mask = np.zeros(X.shape, X.dtype)
        self.mask[self.rows, self.columns] = 1.0
        self.dense = X.toarray()
        self.E = np.empty(X.shape, X.dtype)
        self.U_rows, self.V_columns = np.empty((2, X.nnz, r), X.dtype)

    def gradients(self, e: np.ndarray, U: np.ndarray, V: np.ndarray) -> Any:
        """Return the value and both products with the sparse residual, each row by row."""
        self.residual.data = e
        self.transposed.data = e[self.order]
        dU, dVt = self.residual @ V.T.copy(), self.transposed @ U
        dU *= 2
        dVt *= 2
        return e.dot(e), (dU, dVt.T)

    def gradients_one_order(self, e: np.ndarray, U: np.ndarray, V: np.ndarray) -> Any:
        """Return the value and both products, where the transpose is a view of the same residual by columns."""
        self.residual.data = e
        dU, dVt = self.residual @ V.T.copy(), self.residual.T @ U
        dU *= 2
        dVt *= 2
        return e.dot(e), (dU, dVt.T)

    def product_and_gather(self, gradients: Callable[..., Any]) -> Callable[..., Any]:
        def value_and_gradient(U: np.ndarray, V: np.ndarray) -> Any:
            np.dot(U, V, self.E)
            e = self.E.reshape(-1).take(self.flat)
            e -= self.stars
            return gradients(e, U, V)

        return value_and_gradient

    def gathers(self, U: np.ndarray, V: np.ndarray) -> Any:
        U.take(self.rows, 0, self.U_rows, "clip")
        V.T.copy().take(self.columns, 0, self.V_columns, "clip")
        e = np.einsum("ij,ij->i", self.U_rows, self.V_columns)
        e -= self.stars
        return self.gradients(e, U, V)

    def masked(self, rows: int) -> Callable[..., Any]:
        """Return three dense products for each block of rows, the residual of what isn't observed set to 0."""

        def value_and_gradient(U: np.ndarray, V: np.ndarray) -> Any:
            total, dU, dV, Vt = 0.0, np.empty_like(U), np.zeros_like(V), V.T
            for start in range(0, len(U), rows):
                part = slice(start, start + rows)
                E, U_rows = self.E[part], U[part]
                np.dot(U_rows, V, E)
                np.multiply(E, self.mask[part], E)
                np.subtract(E, self.dense[part], E)
                flat = E.reshape(-1)
                total += flat.dot(flat)
                np.dot(E, Vt, dU[part])
                dV += U_rows.T.dot(E)
            dU *= 2
            dV *= 2
            return total, (dU, dV)

        return value_and_gradient


def value_and_gradient(users: int, items: int, count: int, r: int, dtype: str = "float64") -> Iterator[Implementation]:
    """Σ over observed i, j of (X[i,j] − (UV)[i,j])², and its gradients by U and V."""
    X = ratings(users, items, count).astype(dtype)
    U, V = factors(users, items, r, dtype)
    expert = Observed(X, r)
    i, j, stars = expert.rows, expert.columns, expert.stars

    yield ours("factorization_value_and_gradient", X, U, V, out=(np.full_like(U, np.nan), np.full_like(V, np.nan)))
    yield by_numpy("full product, gather, CSR and its transpose", expert.product_and_gather(expert.gradients), U, V)
    yield by_numpy("full product, gather, CSR", expert.product_and_gather(expert.gradients_one_order), U, V)
    yield by_numpy("gathers, einsum, CSR and its transpose", expert.gathers, U, V)
    for rows in (64, 256, users):
        if rows <= users:
            yield by_numpy(f"masked dense, blocks of {rows} rows", expert.masked(rows), U, V)
    if jax:

        def loss(U, V, i, j, stars):
            return jnp.sum((jnp.sum(U[i] * V.T[j], axis=1) - stars) ** 2)

        def by_hand(U, V, i, j, stars):
            Ui, Vj = U[i], V.T[j]
            e = (Ui * Vj).sum(axis=1) - stars
            w = 2 * e[:, None]
            dU = jax.ops.segment_sum(w * Vj, i, users, indices_are_sorted=True)
            return e @ e, (dU, jax.ops.segment_sum(w * Ui, j, items).T)

        def masked(U, V, mask, dense):
            E = (U @ V) * mask - dense
            return (E * E).sum(), (2 * (E @ V.T), 2 * (U.T @ E))

        yield by_jax("value_and_grad of gathers", jax.value_and_grad(loss, (0, 1)), U, V, i, j, stars)
        yield by_jax("gathers, segment sums", by_hand, U, V, i, j, stars)
        yield by_jax("masked dense", masked, U, V, expert.mask, expert.dense)
    if torch:

        def gathers(U, V, i, j, stars):
            Ui, Vj = U.index_select(0, i), V.T.contiguous().index_select(0, j)
            e = torch.linalg.vecdot(Ui, Vj).sub_(stars)
            w = (2 * e)[:, None]
            dU = torch.zeros_like(U).index_add_(0, i, Vj.mul_(w))
            return e.dot(e), (dU, torch.zeros(items, r, dtype=U.dtype).index_add_(0, j, Ui.mul_(w)).T)

        def torch_masked(U, V, mask, dense, E):
            torch.mm(U, V, out=E).mul_(mask).sub_(dense)
            flat = E.view(-1)
            return flat.dot(flat), (E.mm(V.T).mul_(2), U.T.mm(E).mul_(2))

        def backward(U, V, i, j, stars):
            U, V = U.detach().requires_grad_(), V.detach().requires_grad_()
            value = ((U[i] * V.T[j]).sum(1) - stars).square().sum()
            return value.detach(), torch.autograd.grad(value, (U, V))

        yield by_torch("autograd of gathers", backward, U, V, i, j, stars)
        yield by_torch("gathers, index_add", gathers, U, V, i, j, stars)
        yield by_torch("masked dense", torch_masked, U, V, expert.mask, expert.dense, np.empty((users, items), dtype))
    if autograd:
        loss_of_both = lambda UV: anp.sum((anp.sum(UV[0][i] * UV[1].T[j], axis=1) - stars) ** 2)  # noqa: E731
        derived = autograd.value_and_grad(loss_of_both)
        yield by_autograd("value_and_grad of gathers", lambda U, V: derived((U, V)), U, V)
