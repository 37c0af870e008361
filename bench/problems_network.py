"""Implementations of the Hessian of a ReLU network's loss by the weights of its first layer."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

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
    jax,
    jnp,
    tensorgrad,
    torch,
    transformed,
)

LAYERS = 10


def network(n: int, dtype: str) -> tuple[np.ndarray, ...]:
    """Return the weights of ten layers, a target and an input."""
    generator = np.random.default_rng(n)
    weights = [np.sqrt(2 / n) * (generator.standard_normal((n, n)) + 0.3) for _ in range(LAYERS)]
    x = np.abs(generator.standard_normal(n))
    # The outputs are proportional to x: of order one, so that the softmax isn't a single one.
    x /= functools.reduce(lambda h, weight: np.maximum(weight @ h, 0), weights, x).max()
    return tuple(array.astype(dtype) for array in (*weights, np.eye(n)[0], x))


def loss(W: Any, *rest: Any) -> Any:
    """As a user writes it: the cross-entropy of the softmax of the last layer."""
    *weights, target, x = rest
    h = np.maximum(W @ x, 0)
    for weight in weights:
        h = np.maximum(weight @ h, 0)
    return mg.logsumexp(h) - target @ h


def hessian(n: int, dtype: str = "float64") -> Iterator[Implementation]:
    """
    H[i,j,k,l] = (JᵀSJ)[i,k] x[j] x[l], J the Jacobian of the outputs by the first layer's sums, S = diag(p) − ppᵀ.

    The neural network of Laue, Mitterreiter, Giesen, *A Simple and Efficient Tensor Calculus*, AAAI 2020: ten fully
    connected layers of equal width, ReLU, softmax and cross-entropy.
    """
    values = network(n, dtype)

    def curvature(arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return JᵀSJ."""
        *weights, _, x = arrays
        h, active = x, []
        for weight in weights:
            h = weight.dot(h)
            active.append(h > 0)
            np.maximum(h, 0, out=h)
        p = np.exp(h - h.max())
        p /= p.sum()
        J = np.diag(active[-1].astype(dtype))
        for weight, mask in zip(weights[:0:-1], active[-2::-1], strict=True):
            J = J.dot(weight)
            J *= mask
        SJ = p[:, None] * (J - p.dot(J))
        return J.T.dot(SJ)

    def outer(G: np.ndarray, x: np.ndarray) -> np.ndarray:
        return G[:, None, :, None] * (x[:, None] * x)[:, None, :]

    def broadcast(*arrays):
        return outer(curvature(arrays), arrays[-1])

    def in_two_steps(*arrays):
        x = arrays[-1]
        rows = curvature(arrays)[:, :, None] * x
        return np.multiply(rows[:, None], x[:, None, None])

    def einsum(*arrays):
        x = arrays[-1]
        return np.einsum("ik,j,l->ijkl", curvature(arrays), x, x)

    def by_gemm(*arrays):
        x = arrays[-1]
        products = curvature(arrays).reshape(-1, 1).dot(np.multiply.outer(x, x).reshape(1, -1))
        return products.reshape(n, n, n, n).swapaxes(1, 2)

    yield transformed("hessian", mg.hessian(loss), *values)
    yield by_numpy("by hand, broadcast products", broadcast, *values)
    yield by_numpy("by hand, in two steps", in_two_steps, *values)
    yield by_numpy("by hand, einsum", einsum, *values)
    yield by_numpy("by hand, dot, transposed view", by_gemm, *values)
    if jax:

        def by_jax_loss(W, *rest):
            *weights, target, x = rest
            h = jax.nn.relu(W @ x)
            for weight in weights:
                h = jax.nn.relu(weight @ h)
            return jax.nn.logsumexp(h) - target @ h

        def by_jax_hand(*arrays):
            *weights, _, x = arrays
            h, active = x, []
            for weight in weights:
                h = weight @ h
                active.append(h > 0)
                h = jax.nn.relu(h)
            p = jax.nn.softmax(h)
            J = jnp.diag(active[-1].astype(dtype))
            for weight, mask in zip(weights[:0:-1], active[-2::-1], strict=True):
                J = (J @ weight) * mask
            return outer(J.T @ (p[:, None] * (J - p @ J)), x)

        yield by_jax("hessian", jax.hessian(by_jax_loss), *values)
        yield by_jax("by hand", by_jax_hand, *values)
    if torch:

        def by_torch_loss(W, *rest):
            *weights, target, x = rest
            h = torch.relu(W @ x)
            for weight in weights:
                h = torch.relu(weight @ h)
            return torch.logsumexp(h, 0) - target @ h

        def by_torch_hand(*arrays):
            *weights, _, x = arrays
            h, active = x, []
            for weight in weights:
                h = weight.mv(h)
                active.append(h > 0)
                h = h.relu_()
            p = torch.softmax(h, 0)
            J = torch.diag(active[-1].to(p.dtype))
            for weight, mask in zip(weights[:0:-1], active[-2::-1], strict=True):
                J = J.mm(weight).mul_(mask)
            G = J.T.mm(p[:, None] * (J - p @ J))
            return G[:, None, :, None] * (x[:, None] * x)[:, None, :]

        yield by_torch("func.hessian", torch.func.hessian(by_torch_loss), *values)
        yield by_torch("by hand", by_torch_hand, *values)
    if autograd and n <= 20:

        def by_autograd_loss(W, *rest):
            *weights, target, x = rest
            h = anp.maximum(anp.dot(W, x), 0)
            for weight in weights:
                h = anp.maximum(anp.dot(weight, h), 0)
            largest = anp.max(h)
            return largest + anp.log(anp.sum(anp.exp(h - largest))) - anp.dot(target, h)

        yield by_autograd("hessian", autograd.hessian(by_autograd_loss), *values)
    if tensorgrad:
        import tensorgrad.functions as F
        from sympy import Symbol

        width = Symbol("n")
        weights = [tensorgrad.Variable(f"W{k}", i=width, j=width) for k in range(LAYERS)]
        h = tensorgrad.Variable("x", j=width)
        for weight in weights:
            h = F.relu(weight @ h).rename(i="j")
        value = F.log(F.sum(F.exp(h))) - tensorgrad.Variable("target", j=width) @ h
        second = value.grad(weights[0], {"i": "p", "j": "q"}).grad(weights[0], {"i": "r", "j": "s"})
        named = {f"W{k}": weight for k, weight in enumerate(values[:LAYERS])}
        yield by_tensorgrad([second], {"n": n}, target=values[-2], x=values[-1], **named)
