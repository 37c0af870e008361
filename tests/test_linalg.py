"""Inverses, determinants and solutions agree with NumPy's: of matrices with and without a Cholesky factorization."""

import itertools

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(14)
KINDS = ["general", "positive definite", "indefinite", "negative definite", "nearly symmetric"]
CASES = [*itertools.product([1, 2, 3, 8, 66], KINDS), (200, "general"), (200, "positive definite")]
inv, solve, det = np.linalg.inv, np.linalg.solve, np.linalg.det


def matrix(kind, n):
    Q = np.linalg.qr(RNG.normal(size=(n, n)))[0]
    eigenvalues = RNG.uniform(0.5, 2, n)
    if kind == "indefinite":
        eigenvalues[n // 2 :] *= -1
    if kind == "negative definite":
        eigenvalues *= -1
    A = (Q * eigenvalues) @ (RNG.normal(size=(n, n)) / np.sqrt(n) + 2 * Q.T if kind == "general" else Q.T)
    if kind != "general":
        A = (A + A.T) / 2
    if kind == "nearly symmetric":
        A[0, -1] += 1e-3
    return A


FUNCTIONS = {
    "inverse": lambda A: inv(A),
    "solution": lambda A, x: solve(A, x),
    "solutions": lambda A, B: solve(A, B),
    "solutions of the transposed": lambda A, B: solve(A.T, B),
    "from the right": lambda A, B: B @ inv(A),
    "a form": lambda A, x: x @ inv(A) @ x,
    "twice": lambda A, x: inv(A) @ inv(A) @ x,
    "on both sides": lambda A, B: inv(A) @ B @ inv(A),
    "on both sides of what is narrow": lambda A, B: inv(A) @ B[:, :2] @ B[:, :2].T @ inv(A),
    "scaled": lambda A, B: -3 * solve(A, B),
    "trace": lambda A, B: np.trace(solve(A, B)),
    "also the inverse": lambda A, B: inv(A) @ B + inv(A),
    "also the determinant": lambda A, x: solve(A, x) * det(A) + det(A.T),
    "of a product": lambda A, x: solve(A.T @ A, x),
    "masked": lambda A, B, x: (inv(A) * B) @ x,
}


def arguments(function, named):
    return [named[name] for name in function.__code__.co_varnames[: function.__code__.co_argcount]]


@pytest.mark.parametrize(("n", "kind"), CASES)
def test_functions_of_a_matrix(n, kind):
    values = {"A": matrix(kind, n), "B": RNG.normal(size=(n, n)), "x": RNG.normal(size=n)}
    symbols = {"A": mg.matrix("A"), "B": mg.matrix("B"), "x": mg.vector("x")}
    functions = {name: f for name, f in FUNCTIONS.items() if n < 100 or "determinant" not in name}
    expressions = [f(*arguments(f, symbols)) for f in functions.values()]
    together = mg.compile(expressions, [*symbols.values()])(*values.values())
    for (name, f), expression, value in zip(functions.items(), expressions, together, strict=True):
        expected = f(*arguments(f, values))
        alone = expression.compile(*arguments(f, symbols))(*arguments(f, values))
        for got in (value, alone):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9 * np.max(np.abs(expected)), err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "kind"), CASES)
def test_determinants(n, kind, dtype):
    A, value = mg.matrix("A"), matrix(kind, min(n, 100)).astype(dtype)
    sign, logarithm = np.linalg.slogdet(value)
    expected = [np.linalg.det(value), sign, logarithm, logarithm if sign > 0 else np.nan]
    got = mg.compile([det(A), *np.linalg.slogdet(A), mg.logdet(A)], [A])(value)
    assert all(x.dtype == dtype for x in got)
    np.testing.assert_allclose(got, expected, rtol=100 * n * np.finfo(dtype).eps, atol=10 * n * np.finfo(dtype).eps)


def test_a_derivative_by_a_symmetric_matrix_takes_all_entries():
    S = mg.matrix("S", symmetric=True)
    value = matrix("positive definite", 5)
    mg.testing.check_derivatives(mg.logdet(S), {"S": value}, order=2)


@pytest.mark.parametrize("n", [1, 4, 100, 250])
@pytest.mark.parametrize("value", [0, 1, np.nan])
def test_singular_matrices(n, value):
    A, x = mg.matrix("A"), mg.vector("x")
    singular = np.full((n, n), float(value))
    if n == 1 and value == 1:
        return
    if np.isnan(value):
        assert np.all(np.isnan(inv(A).compile(A)(singular)))
        return
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        inv(A).compile(A)(singular)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        solve(A, x).compile(A, x)(singular, np.ones(n))
    assert det(A).compile(A)(singular) == 0


@pytest.mark.parametrize("shape", [(50, 3), (3, 90), (0, 4), (5, 0), (7, 1), (2, 3, 6)])
def test_stacks(shape):
    n = shape[-1]
    A, b = RNG.normal(size=(*shape, n)) + 3 * np.eye(n), RNG.normal(size=shape)
    A[::2] = A[::2] @ np.swapaxes(A[::2], -1, -2)
    a, y = mg.tensor("A", A.ndim), mg.tensor("b", b.ndim)

    def solutions(A, b):
        return np.squeeze(inv(A) @ b[..., None], axis=-1)

    for function, symbols, values in [
        (inv, (a,), (A,)),
        (det, (a,), (A,)),
        (solutions, (a, y), (A, b)),
        (lambda A, b: 2 * solutions(np.swapaxes(A, -1, -2), b), (a, y), (A, b)),
        (lambda A, b: solutions(A, np.sum(b, axis=0)), (a, y), (A, b)),
        (lambda A, b: np.sum(solutions(A, b), axis=0), (a, y), (A, b)),
    ]:
        expected = function(*values)
        np.testing.assert_allclose(function(*symbols).compile(*symbols)(*values), expected, rtol=1e-9, atol=1e-9)


def test_one_factorization_serves_all():
    S, x = mg.matrix("S"), mg.vector("x")
    f = mg.logdet(S) + x @ inv(S) @ x + np.sum(inv(S.T) @ x)
    kernels = [row.kernel for row in mg.compile([f, f.diff(S), f.diff(x)], [S, x]).plan(S=(9, 9), x=9).rows]
    assert kernels.count("factorize") == 1
    assert "invert" in kernels
    kernels = [row.kernel for row in mg.compile([f, inv(S.T) @ x], [S, x]).plan(S=(9, 9), x=9).rows]
    assert kernels.count("factorize") == 1
    assert "invert" not in kernels


@pytest.mark.parametrize("n", [5, 64, 130])
def test_half_of_a_product_that_is_symmetric(n):
    S, Y = (mg.matrix(name, symmetric=True) for name in "SY")
    values = matrix("positive definite", n), matrix("indefinite", n)
    for function in (lambda S, Y: S @ Y @ S, lambda S, Y: inv(S) - inv(S) @ Y @ inv(S), lambda S, Y: Y @ inv(S) @ Y):
        got = function(S, Y).compile(S, Y)(*values)
        np.testing.assert_allclose(got, function(*values), rtol=1e-9, atol=1e-9)
        if n >= 64:
            np.testing.assert_array_equal(got, got.T)
    assert n < 64 or "mirror" in [row.kernel for row in (S @ Y @ S).compile(S, Y).plan(S=(n, n), Y=(n, n)).rows]
