"""Implementations of logistic regression, Σ log(1 + exp(−y ⊙ Xw)) + ½‖w‖²: gradient, Hessian and Newton step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs
from scipy.special import expit

import matgrad as mg
from bench.peers import (
    Implementation,
    anp,
    autograd,
    by_autograd,
    by_jax,
    by_numpy,
    by_tensorgrad,
    by_torch,
    compiled,
    jax,
    jnp,
    tensorgrad,
    torch,
    transformed,
)

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


def data(n: int, d: int, dtype: str) -> Triple:
    """Return n points of d features, so scaled that Xw is of order one, their labels ±1 and weights."""
    generator = np.random.default_rng(n)
    X, w = generator.standard_normal((n, d)) / np.sqrt(d), generator.standard_normal(d)
    y = np.where(generator.random(n) < expit(X @ w), 1.0, -1.0)
    return tuple(array.astype(dtype) for array in (X, y, w))


def loss(X: Any, y: Any, w: Any) -> Any:
    """As a user writes it."""
    return np.sum(np.log(1 + np.exp(-y * (X @ w)))) + 0.5 * np.sum(w**2)


def symbolic() -> tuple[list[mg.Expr], mg.Expr]:
    X, y, w = mg.matrix("X"), mg.vector("y"), mg.vector("w")
    return [X, y, w], loss(X, y, w)


def jax_loss(w, X, y):
    return jax.nn.softplus(-y * (X @ w)).sum() + 0.5 * (w @ w)


def torch_loss(w, X, y):
    return torch.nn.functional.softplus(-y * (X @ w)).sum() + 0.5 * (w @ w)


def autograd_loss(w, X, y):
    return anp.sum(anp.logaddexp(0, -y * anp.dot(X, w))) + 0.5 * anp.dot(w, w)


def in_tensorgrad() -> tuple[Any, Any]:
    """Return tensorgrad's w and the loss."""
    import tensorgrad.functions as F
    from sympy import Symbol

    n, d = Symbol("n"), Symbol("d")
    X, y, w = tensorgrad.Variable("X", n, d), tensorgrad.Variable("y", n), tensorgrad.Variable("w", d)
    return w, F.sum(F.log(F.exp(-y * (X @ w)) + 1)) + 0.5 * F.frobenius2(w)


def row_blocks(n: int) -> list[int]:
    return [rows for rows in (64, 256, 1024) if rows < n]


def gradient(n: int, d: int, dtype: str = "float64") -> Iterator[Implementation]:
    """w − Xᵀ(y ⊙ σ(−y ⊙ Xw))."""
    X, y, w = data(n, d, dtype)
    gemv = get_blas_funcs("gemv", dtype=dtype)

    def textbook(X, y, w):
        t = np.exp(-y * X.dot(w))
        return w - X.T.dot(y * t / (1 + t))

    def with_expit(X, y, w):
        z = X.dot(w)
        z *= y
        np.negative(z, z)
        expit(z, z)
        z *= y
        g = z.dot(X)
        return np.subtract(w, g, g)

    def with_exp(X, y, w):
        z = X.dot(w)
        z *= y
        np.exp(z, z)
        z += 1
        np.divide(y, z, z)
        g = z.dot(X)
        return np.subtract(w, g, g)

    def in_row_blocks(rows: int) -> Callable[..., np.ndarray]:
        def gradient(X, y, w):
            g = w.copy()
            for start in range(0, n, rows):
                Xt, labels = X[start : start + rows].T, y[start : start + rows]
                z = gemv(1, Xt, w, trans=1)
                z *= labels
                np.exp(z, z)
                z += 1
                np.divide(labels, z, z)
                g = gemv(-1, Xt, z, beta=1, y=g, overwrite_y=1)
            return g

        return gradient

    symbols, f = symbolic()
    yield compiled(f.diff(symbols[2]), symbols, X, y, w)
    yield transformed("grad", mg.grad(loss, 2), X, y, w)
    yield by_numpy("as matrixcalculus.org writes it", textbook, X, y, w)
    yield by_numpy("expit in place", with_expit, X, y, w)
    yield by_numpy("exp in place", with_exp, X, y, w)
    for rows in row_blocks(n):
        yield by_numpy(f"exp in place, blocks of {rows} rows", in_row_blocks(rows), X, y, w)
    if jax:
        yield by_jax("grad", jax.grad(jax_loss), w, X, y)
        yield by_jax("by hand", lambda X, y, w: w - (y * jax.nn.sigmoid(-y * (X @ w))) @ X, X, y, w)
    if torch:

        def by_torch_hand(X, y, w):
            z = X.mv(w).mul_(y).neg_().sigmoid_().mul_(y)
            return torch.addmv(w, X.T, z, alpha=-1)

        yield by_torch("func.grad", torch.func.grad(torch_loss), w, X, y)
        yield by_torch("by hand", by_torch_hand, X, y, w)
    if autograd:
        yield by_autograd("grad", autograd.grad(autograd_loss), w, X, y)
    if tensorgrad:
        variable, value = in_tensorgrad()
        yield by_tensorgrad([value.grad(variable, {"d": "k"})], {"n": n, "d": d}, X=X, y=y, w=w)


class Curvature:
    """An expert's ways to XᵀDX + I with D = σ(1 − σ), in arrays that are used again."""

    def __init__(self, n: int, d: int, dtype: str) -> None:
        self.B, self.H, self.part = (np.empty(shape, dtype) for shape in ((n, d), (d, d), (d, d)))
        self.syrk, self.gemv = get_blas_funcs(("syrk", "gemv"), dtype=dtype)
        self.posv = get_lapack_funcs("posv", dtype=dtype)
        self.diagonal = np.einsum("ii->i", self.H)

    def sigmoid(self, X: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return σ(−y ⊙ Xw)."""
        z = X.dot(w)
        z *= y
        np.exp(z, z)
        z += 1
        return np.reciprocal(z, z)

    def root_weights(self, s: np.ndarray) -> np.ndarray:
        """Return the square root of s (1 − s)."""
        weights = 1 - s
        weights *= s
        return np.sqrt(weights, weights)[:, None]

    def by_gemm(self, X: np.ndarray, s: np.ndarray) -> np.ndarray:
        np.multiply(X, (s * (1 - s))[:, None], self.B)
        np.dot(X.T, self.B, self.H)
        self.diagonal += 1
        return self.H

    def by_dot(self, X: np.ndarray, s: np.ndarray) -> np.ndarray:
        """NumPy takes BLAS's syrk for the product of an array and its transpose, and mirrors it."""
        np.multiply(X, self.root_weights(s), self.B)
        np.dot(self.B.T, self.B, self.H)
        self.diagonal += 1
        return self.H

    def by_blocks(self, rows: int) -> Callable[..., np.ndarray]:
        def curvature(X: np.ndarray, s: np.ndarray) -> np.ndarray:
            root = self.root_weights(s)
            for start in range(0, len(X), rows):
                part = slice(start, start + rows)
                block = self.B[: len(X[part])]
                np.multiply(X[part], root[part], block)
                np.dot(block.T, block, self.part if start else self.H)
                if start:
                    np.add(self.H, self.part, self.H)
            self.diagonal += 1
            return self.H

        return curvature

    def by_accumulating_syrk(self, rows: int) -> Callable[..., np.ndarray]:
        """Return blocks whose sum BLAS forms in one triangle, which is mirrored at the end."""

        def curvature(X: np.ndarray, s: np.ndarray) -> np.ndarray:
            root = self.root_weights(s)
            for start in range(0, len(X), rows):
                part = slice(start, start + rows)
                block = self.B[: len(X[part])]
                np.multiply(X[part], root[part], block)
                self.syrk(1, block.T, beta=float(start > 0), c=self.H.T, overwrite_c=1)
            d = len(self.H)
            for start in range(0, d, 64):
                edge = start + 64
                self.H[start:edge, edge:] = self.H[edge:, start:edge].T
                corner = self.H[start:edge, start:edge]
                lower = np.tril(corner)
                np.copyto(corner, lower + np.tril(lower, -1).T)
            self.diagonal += 1
            return self.H

        return curvature

    def ways(self, n: int) -> dict[str, Callable[..., np.ndarray]]:
        ways = {"gemm": self.by_gemm, "dot, by syrk": self.by_dot}
        for rows in row_blocks(n):
            ways[f"dot, by syrk, blocks of {rows} rows"] = self.by_blocks(rows)
            ways[f"accumulating syrk, blocks of {rows} rows"] = self.by_accumulating_syrk(rows)
        return ways


def hessian(n: int, d: int, dtype: str = "float64") -> Iterator[Implementation]:
    """
    Xᵀdiag(σ(1 − σ))X + I.

    The logistic regression of Laue, Mitterreiter, Giesen, NeurIPS 2018, section 4, where n = 2d.
    """
    X, y, w = data(n, d, dtype)
    curvature = Curvature(n, d, dtype)

    def textbook(X, y, w):
        t = np.exp(-y * X.dot(w))
        return X.T.dot((y * y * t / (1 + t) ** 2)[:, None] * X) + np.eye(d, dtype=dtype)

    def way(product: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        return lambda X, y, w: product(X, curvature.sigmoid(X, y, w))

    symbols, f = symbolic()
    yield compiled(f.diff(symbols[2], symbols[2]), symbols, X, y, w)
    yield transformed("hessian", mg.hessian(loss, 2), X, y, w)
    yield by_numpy("as matrixcalculus.org writes it", textbook, X, y, w)
    for name, product in curvature.ways(n).items():
        yield by_numpy(name, way(product), X, y, w)
    if jax:

        def by_hand(X, y, w):
            s = jax.nn.sigmoid(y * (X @ w))
            return (X.T * (s * (1 - s))) @ X + jnp.eye(d, dtype=X.dtype)

        yield by_jax("hessian", jax.hessian(jax_loss), w, X, y)
        yield by_jax("by hand", by_hand, X, y, w)
    if torch:

        def by_torch_hand(X, y, w):
            s = X.mv(w).mul_(y).sigmoid_()
            H = (X.T * (s * (1 - s))) @ X
            H.diagonal().add_(1)
            return H

        yield by_torch("func.hessian", torch.func.hessian(torch_loss), w, X, y)
        yield by_torch("by hand", by_torch_hand, X, y, w)
    if autograd and d <= 30:
        yield by_autograd("hessian", autograd.hessian(autograd_loss), w, X, y)
    if tensorgrad:
        variable, value = in_tensorgrad()
        second = value.grad(variable, {"d": "k"}).grad(variable, {"d": "l"})
        yield by_tensorgrad([second], {"n": n, "d": d}, X=X, y=y, w=w)


def newton_step(n: int, d: int, dtype: str = "float64") -> Iterator[Implementation]:
    """
    w − H⁻¹g.

    The row "newton_step" of tensorgrad's benchmarks/newton_step.py, there with 2048 points of 256 features in float32.
    """
    X, y, w = data(n, d, dtype)
    curvature = Curvature(n, d, dtype)

    def textbook(X, y, w):
        s = 1 / (1 + np.exp(y * X.dot(w)))
        H = X.T.dot((s * (1 - s))[:, None] * X) + np.eye(d, dtype=dtype)
        return w - np.linalg.solve(H, w - X.T.dot(y * s))

    def way(product: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def step(X, y, w):
            s = curvature.sigmoid(X, y, w)
            H = product(X, s)
            s *= y
            descent = s.dot(X)
            descent -= w
            solution = curvature.posv(H.T, descent, overwrite_a=1, overwrite_b=1)[1]
            return np.add(w, solution, solution)

        return step

    symbols, f = symbolic()
    gradient, hessian = f.diff(symbols[2]), f.diff(symbols[2], symbols[2])
    both = mg.compile([gradient, hessian], symbols)

    def derived_then_solved(X, y, w):
        g, H = both(X, y, w)
        return w - np.linalg.solve(H, g)

    yield compiled(symbols[2] - np.linalg.solve(hessian, gradient), symbols, X, y, w)
    yield transformed("compile gradient and Hessian, np.linalg.solve", derived_then_solved, X, y, w)
    yield by_numpy("textbook", textbook, X, y, w)
    for name, product in curvature.ways(n).items():
        yield by_numpy(f"{name}, posv", way(product), X, y, w)
    if jax:

        def differentiated(w, X, y):
            return w - jnp.linalg.solve(jax.hessian(jax_loss)(w, X, y), jax.grad(jax_loss)(w, X, y))

        def by_hand(X, y, w):
            s = jax.nn.sigmoid(-y * (X @ w))
            H = (X.T * (s * (1 - s))) @ X + jnp.eye(d, dtype=X.dtype)
            return w - jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(H), True), w - (y * s) @ X)

        yield by_jax("hessian, solve", differentiated, w, X, y)
        yield by_jax("by hand, Cholesky", by_hand, X, y, w)
    if torch:

        def by_func(w, X, y):
            H, g = torch.func.hessian(torch_loss)(w, X, y), torch.func.grad(torch_loss)(w, X, y)
            return w - torch.linalg.solve(H, g)

        def by_torch_hand(X, y, w):
            s = X.mv(w).mul_(y).neg_().sigmoid_()
            H = (X.T * (s * (1 - s))) @ X
            H.diagonal().add_(1)
            g = torch.addmv(w, X.T, s * y, alpha=-1)
            return w - torch.cholesky_solve(g[:, None], torch.linalg.cholesky(H))[:, 0]

        yield by_torch("func.hessian, solve", by_func, w, X, y)
        yield by_torch("by hand, Cholesky", by_torch_hand, X, y, w)
    if autograd and d <= 30:
        gradient_of, hessian_of = autograd.grad(autograd_loss), autograd.hessian(autograd_loss)
        step = lambda w, X, y: w - np.linalg.solve(hessian_of(w, X, y), gradient_of(w, X, y))  # noqa: E731
        yield by_autograd("hessian, solve", step, w, X, y)
    if tensorgrad:
        variable, value = in_tensorgrad()
        first, second = value.grad(variable, {"d": "k"}), value.grad(variable, {"d": "k"}).grad(variable, {"d": "l"})
        program = by_tensorgrad([first, second], {"n": n, "d": d}, X=X, y=y, w=w)

        def solved(*tensors):
            g, H = program.call(*tensors)
            return torch.from_numpy(w) - torch.linalg.solve(H, g)

        yield Implementation("tensorgrad", "compile_to_callable, torch.linalg.solve", solved, program.arguments)
