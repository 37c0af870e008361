"""Implementations of drop-ins and adapters: what transforms and other libraries' conventions add to a compiled call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from scipy.optimize import rosen, rosen_der

import matgrad as mg
from bench.peers import (
    Implementation,
    anp,
    autograd,
    by_autograd,
    by_jax,
    by_numpy,
    by_torch,
    compiled,
    jax,
    jnp,
    torch,
    transformed,
)


@dataclass(frozen=True)
class Loss:
    """A loss as a user writes it, and the same with its gradient by its last argument, by hand."""

    title: str
    function: Callable[..., Any]
    by_hand: Callable[..., Any]

    def of(self, library: Any) -> Callable[..., Any]:
        """Return the loss as a user of another library writes it: what `np` is, is that library."""
        return FunctionType(self.function.__code__, {"np": library})

    def operands(self, n: int, dtype: str) -> dict[str, np.ndarray]:
        """Return arrays by the names of the parameters: matrices for capitals."""
        generator, code = np.random.default_rng(n), self.function.__code__
        return {
            name: generator.standard_normal((n, n) if name.isupper() else n).astype(dtype)
            for name in code.co_varnames[: code.co_argcount]
        }


def quadratic_form(A: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
    Ax = A.dot(x)
    return x.dot(Ax), Ax + x.dot(A)


def bilinear_form(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
    p, q = a.dot(x), b.dot(x)
    return p * q, q * a + p * b


def distance(a: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
    r = x - a
    norm = math.sqrt(r.dot(r))
    r /= norm
    return norm, r


def log_sum_exp(x: np.ndarray) -> tuple[Any, ...]:
    largest = np.maximum.reduce(x)
    e = np.exp(x - largest)
    total = np.add.reduce(e)
    e /= total
    return largest + math.log(total), e


def rosenbrock(x: np.ndarray) -> tuple[Any, ...]:
    a, b = 1 - x[:-1], x[1:] - x[:-1] ** 2
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * b * x[:-1] - 2 * a
    gradient[1:] += 200 * b
    return 100 * b.dot(b) + a.dot(a), gradient


ROSENBROCK = Loss("Rosenbrock", lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), rosenbrock)
LOSSES = (
    Loss("quadratic form", lambda A, x: x @ A @ x, quadratic_form),
    Loss("bilinear form", lambda a, b, x: (a @ x) * (x @ b), bilinear_form),
    Loss("distance", lambda a, x: np.linalg.norm(x - a), distance),
    Loss("log-sum-exp", lambda x: np.log(np.sum(np.exp(x))), log_sum_exp),
    ROSENBROCK,
)


def drop_in(loss: Loss) -> Callable[..., Iterator[Implementation]]:
    """Return what yields a loss with its gradient by the last parameter: a function handed to a transform."""

    def value_and_gradient(n: int, dtype: str = "float64") -> Iterator[Implementation]:
        arrays = loss.operands(n, dtype)
        symbols = [mg.matrix(name) if name.isupper() else mg.vector(name) for name in arrays]
        f, last = loss.of(np)(*symbols), len(symbols) - 1
        yield compiled([f, f.diff(symbols[last])], symbols, *arrays.values())
        yield transformed("value_and_grad", mg.value_and_grad(loss.of(np), last), *arrays.values())
        yield by_numpy("by hand", loss.by_hand, *arrays.values())
        if jax:
            yield by_jax("value_and_grad", jax.value_and_grad(loss.of(jnp), last), *arrays.values())
        if autograd:
            yield by_autograd("value_and_grad", autograd.value_and_grad(loss.of(anp), last), *arrays.values())

    return value_and_gradient


def torch_function(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """xᵀA x, on tensors."""
    yield from quadratic_forms(n, dtype)
    if torch:
        row = by_torch("torch.function", mg.interop.torch.function(lambda A, x: x @ A @ x), *random_form(n, dtype))
        yield transformed(row.label, row.call, *row.arguments)
        yield by_torch("by hand", lambda A, x: x @ A @ x, *random_form(n, dtype))


def jax_function(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """xᵀA x, on JAX arrays, compiled by JAX."""
    yield from quadratic_forms(n, dtype)
    if jax:
        row = by_jax("jax.function", mg.interop.jax.function(lambda A, x: x @ A @ x), *random_form(n, dtype))
        yield transformed(row.label, row.call, *row.arguments)
        yield by_jax("by hand", lambda A, x: x @ A @ x, *random_form(n, dtype))


def random_form(n: int, dtype: str) -> list[np.ndarray]:
    return list(LOSSES[0].operands(n, dtype).values())


def quadratic_forms(n: int, dtype: str) -> Iterator[Implementation]:
    A, x = mg.matrix("A"), mg.vector("x")
    yield compiled(x @ A @ x, [A, x], *random_form(n, dtype))
    yield by_numpy("by hand", lambda A, x: A.dot(x).dot(x), *random_form(n, dtype))


def scipy_vector(n: int) -> Iterator[Implementation]:
    """Rosenbrock's function with its gradient, as SciPy's optimizers call them."""
    x, symbol = np.linspace(-1.2, 1.0, n), mg.vector("x")
    f = ROSENBROCK.of(np)(symbol)
    problem = mg.interop.scipy.minimize_args(ROSENBROCK.of(np), x)

    def adapted(x):
        return problem.fun(x), problem.jac(x)

    yield compiled([f, f.diff(symbol)], [symbol], x)
    yield transformed("minimize_args", adapted, x)
    yield by_numpy("optimize.rosen, rosen_der", lambda x: (rosen(x), rosen_der(x)), x)
    yield by_numpy("by hand", rosenbrock, x)


def scipy_tree(n: int) -> Iterator[Implementation]:
    """‖X − UV‖² with its gradients by U and V, of one vector of both."""
    generator = np.random.default_rng(n)
    X, U, V = (generator.standard_normal(shape) for shape in ((n, n), (n, 2), (2, n)))
    symbols = mg.matrices("X U V")
    f = np.sum((symbols[0] - symbols[1] @ symbols[2]) ** 2)
    problem = mg.interop.scipy.minimize_args(lambda factors, X: np.sum((X - factors[0] @ factors[1]) ** 2), (U, V), X)

    def adapted(x):
        value, gradient = problem.fun(x), problem.jac(x)
        return value, gradient[: U.size].reshape(U.shape), gradient[U.size :].reshape(V.shape)

    def by_hand(x):
        U, V = x[: 2 * n].reshape(n, 2), x[2 * n :].reshape(2, n)
        R = U @ V
        R -= X
        return np.vdot(R, R), 2 * R @ V.T, 2 * U.T @ R

    yield compiled([f, f.diff(symbols[1]), f.diff(symbols[2])], symbols, X, U, V)
    yield transformed("minimize_args", adapted, problem.x0)
    yield by_numpy("by hand", by_hand, problem.x0)
