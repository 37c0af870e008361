"""Chains of slices and concatenations, as in finite differences, take time and memory of the order of their arrays."""

import numpy as np
import pytest

import matgrad as mg

ZERO = np.zeros(1)


def second_difference(x):
    return x[2:] - 2 * x[1:-1] + x[:-2]


#: Linear functions of a vector of at least five elements.
CHAINS = {
    "shifted": lambda x: np.concatenate([ZERO, x])[:-1] - x,
    "second difference": lambda x: second_difference(np.concatenate([ZERO, x, ZERO])),
    "padded": lambda x: 2 * x - np.concatenate([ZERO, x, ZERO])[:-2] - 3 * np.concatenate([ZERO, x, ZERO])[2:],
    "periodic": lambda x: np.concatenate([x[1:], x[:1]]) - x,
    "slice of a shift": lambda x: np.concatenate([x[1:], x[:1]])[3:] - x[3:],
    "slice of a slice": lambda x: x[1:][:-2][1:] + x[2:-2],
    "every second": lambda x: np.concatenate([ZERO, x[::2]])[:-1] - x[::2],
    "padded twice": lambda x: np.concatenate([ZERO, np.concatenate([x, ZERO])[1:]])[:-1],
    "nothing left": lambda x: np.concatenate([ZERO, x])[1:1] + x[1:][:0],
}


def matrix_of(f, n):
    """The matrix of a linear function, by columns."""
    return np.stack([f(e) for e in np.eye(n)], axis=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [5, 8, 17])
@pytest.mark.parametrize("f", CHAINS.values(), ids=CHAINS.keys())
def test_derivatives_of_chains_are_those_of_their_matrices(f, n, dtype):
    rng, A = np.random.default_rng(n), matrix_of(f, n)
    x, v = rng.standard_normal((2, n)).astype(dtype)
    u, scale = rng.standard_normal(len(A)).astype(dtype), rng.standard_normal(len(A)).astype(dtype)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    value, gradient = mg.value_and_grad(lambda x: np.sum(f(x) ** 2))(x)
    np.testing.assert_allclose(value, np.sum((A @ x) ** 2), **tolerance)
    np.testing.assert_allclose(gradient, 2 * A.T @ (A @ x), **tolerance)
    np.testing.assert_allclose(mg.jacobian(f)(x), A, **tolerance)
    np.testing.assert_allclose(mg.jvp(f, (x,), (v,))[1], A @ v, **tolerance)
    np.testing.assert_allclose(mg.vjp(f, x)[1](u)[0], A.T @ u, **tolerance)
    np.testing.assert_allclose(mg.hvp(lambda x: np.sum(f(x) ** 3), x, v), 6 * A.T @ (A @ x * (A @ v)), **tolerance)
    J = mg.jacobian(lambda x: scale * f(x), structured=True)(x)
    expected = scale[:, None] * A
    np.testing.assert_allclose(J.to_dense(), expected, **tolerance)
    np.testing.assert_allclose(J.to_sparse("csr").toarray(), expected, **tolerance)
    np.testing.assert_allclose(J @ v, expected @ v, **tolerance)
    np.testing.assert_allclose(J.T @ u, expected.T @ u, **tolerance)


@pytest.mark.parametrize("f", CHAINS.values(), ids=CHAINS.keys())
def test_long_chains_are_never_expanded(f):
    """A matrix of the length of the vector squared would take 8 TB."""
    n = 1_000_003
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, n))
    u = rng.standard_normal(len(f(x)))
    along = f(v)
    np.testing.assert_allclose(mg.jvp(f, (x,), (v,))[1], along, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mg.vjp(f, x)[1](u)[0] @ v, u @ along, rtol=1e-9)
    gradient = mg.grad(lambda x: np.sum(f(x) ** 2))(x)
    np.testing.assert_allclose(gradient @ v, 2 * f(x) @ along, rtol=1e-9)


def test_long_chains_as_sparse_matrices():
    f, n = CHAINS["padded"], 100_003
    J = mg.jacobian(lambda x: x * f(x), structured=True)(np.arange(float(n)))
    sparse, v = J.to_sparse("csr"), np.random.default_rng(0).standard_normal(n)
    assert sparse.nnz <= 4 * n
    np.testing.assert_allclose(sparse @ v, J @ v, rtol=1e-9)
    np.testing.assert_allclose(sparse @ v, v * f(np.arange(float(n))) + np.arange(n) * f(v), rtol=1e-9, atol=1e-9)
