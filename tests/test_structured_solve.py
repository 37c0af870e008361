"""Structured derivatives solve by their structure: each kind by the method that is meant for it."""

import pickle

import numpy as np
import pytest
import scipy.optimize

import matgrad as mg
from matgrad import closed_form as cf
from matgrad._solve import method_of

RNG = np.random.default_rng(11)
A, B, C, S, U, V, X = mg.matrices("A B C S U V X")
a, w, x = mg.vectors("a w x")


def normal(*shape):
    return RNG.standard_normal(shape)


def definite(n):
    root = normal(n, n)
    return root @ root.T + np.eye(n)


FACTORIZATION = np.sum((X - U @ V) ** 2)
LOGISTIC = np.sum(mg.softplus(A @ x)) + np.sum(x**2)
# name: derivative, values, method, and the least factor by which its memory is smaller than that of the dense tensor
KINDS = {
    "identity": (x.diff(x), {"x": normal(5)}, "diagonal", np.inf),
    "transposition": (X.T.diff(X), {"X": normal(3, 4)}, "diagonal", np.inf),
    "diagonal": (np.sum(np.exp(x)).diff(x, x), {"x": normal(6)}, "diagonal", 6),
    "diagonal of a matrix": (np.tanh(X).diff(X), {"X": normal(3, 5)}, "diagonal", 15),
    "Newton step by V": (FACTORIZATION.diff(V, V), {"U": normal(9, 3), "V": normal(3, 7)}, "Cholesky ⊗ I", 49),
    "Newton step by U": (FACTORIZATION.diff(U, U), {"U": normal(9, 3), "V": normal(3, 7)}, "Cholesky ⊗ I", 81),
    "A X": ((A @ X).diff(X), {"A": normal(4, 4), "X": normal(4, 3)}, "LU ⊗ I", 9),
    "A Xᵀ": ((A @ X.T).diff(X), {"A": normal(4, 4), "X": normal(3, 4)}, "LU ⊗ I", 9),
    "Kronecker": ((A @ X @ B).diff(X), {"A": normal(4, 4), "B": normal(3, 3), "X": normal(4, 3)}, "LU ⊗ LU", 5),
    "permuted Kronecker": (
        (A @ X.T @ B).diff(X),
        {"A": normal(4, 4), "B": normal(3, 3), "X": normal(3, 4)},
        "LU ⊗ LU",
        5,
    ),
    "inverse": (np.linalg.inv(S).diff(S), {"S": definite(4)}, "LU ⊗ LU", 16),
    "log-sum-exp": (
        (mg.logsumexp(x) + np.sum(x**2)).diff(x, x),
        {"x": normal(8)},
        "diagonal + low rank",
        8,
    ),
    "x xᵀx": ((x * (x @ x)).diff(x), {"x": normal(9)}, "diagonal + low rank", 5),
    "few samples": (LOGISTIC.diff(x, x), {"A": normal(3, 20), "x": normal(20)}, "diagonal + low rank", 6),
    "many samples": (LOGISTIC.diff(x, x), {"A": normal(40, 5), "x": normal(5)}, "Cholesky", 1),
    "block diagonal": (
        (np.sum(mg.logsumexp(X, axis=1)) + np.sum(X**2)).diff(X, X),
        {"X": normal(5, 4)},
        "block diagonal",
        20,
    ),
    "update of a Kronecker product": (
        (A @ X + np.sum(X * C) * C).diff(X),
        {"A": definite(4), "X": normal(4, 6), "C": normal(4, 6)},
        "LU ⊗ I + low rank",
        10,
    ),
    "Sylvester": ((A @ X + X @ B).diff(X), {"A": definite(4), "B": definite(3), "X": normal(4, 3)}, "Sylvester", 5),
    "X²": ((X @ X).diff(X), {"X": definite(4)}, "Sylvester", 16),
    "symmetric": ((x @ S @ x).diff(x, x), {"S": definite(5), "x": normal(5)}, "Cholesky", 1),
    "indefinite": (
        (x @ S @ x).diff(x, x),
        {"S": np.diag([1.0, -2.0, 3.0]) + 0.1 * normal(3, 3), "x": normal(3)},
        "Cholesky",
        1,
    ),
    "general": ((np.tanh(A @ x)).diff(x), {"A": normal(5, 5), "x": normal(5)}, "LU", 1),
    "tridiagonal": (
        np.sum((x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2 + x[:-1] ** 2).diff(x, x),
        {"x": np.linspace(1.0, 1.3, 100)},
        "sparse LU",
        4,
    ),
    "reversed": (np.exp(x[::-1]).diff(x), {"x": normal(30)}, "sparse LU", 30),
    "reshaped": (np.exp(X).reshape(-1).diff(X), {"X": normal(6, 5)}, "sparse LU", 30),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_structure_is_solved_by_its_method(kind, dtype):
    derivative, values, method, smaller = KINDS[kind]
    values = {name: np.asarray(value, dtype) for name, value in values.items()}
    values.update({symbol.name: np.ones_like(X_) for symbol in derivative.symbols for X_ in missing(symbol, values)})
    operator, dense = derivative.structured(**values), derivative(**values)
    assert method_of(operator._structure).name == method
    assert operator.nbytes * smaller <= dense.nbytes or (smaller == np.inf and operator.nbytes == 0)
    matrix = np.asarray(dense, float).reshape(operator.shape)
    tolerance = 100 * np.finfo(dtype).eps * np.linalg.cond(matrix)
    y_shape, x_shape = operator._structure.y_shape, operator._structure.x_shape
    expected = normal(operator.shape[1], 3)
    b = np.asarray(matrix @ expected, dtype)
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(operator.solve(b), expected, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(operator.solve(b[:, 0]), expected[:, 0], rtol=0, atol=tolerance * scale)
    if len(y_shape) > 1:
        got = operator.solve(b[:, 1].reshape(y_shape))
        np.testing.assert_allclose(got, expected[:, 1].reshape(x_shape), rtol=0, atol=tolerance * scale)
    transposed = operator.T.solve(np.asarray(matrix.T @ expected, dtype))
    np.testing.assert_allclose(transposed, expected, rtol=0, atol=tolerance * scale)
    assert operator.solve(b).dtype == dtype


def missing(symbol, values):
    """The shape of X of the factorization, which its Hessian doesn't need but for its lengths."""
    return [] if symbol.name in values else [values["U"] @ values["V"]]


SINGULAR = {
    "diagonal": (np.sum(x**3).diff(x, x), {"x": np.array([1.0, 0.0, 2.0])}),
    "Kronecker with the identity": ((A @ X).diff(X), {"A": np.zeros((2, 2)), "X": np.ones((2, 3))}),
    "Kronecker": ((A @ X @ B).diff(X), {"A": np.eye(2), "B": np.diag([1.0, 0.0]), "X": np.ones((2, 2))}),
    "Sylvester": ((A @ X + X @ B).diff(X), {"A": np.eye(2), "B": -np.eye(3), "X": np.ones((2, 3))}),
    "dense": ((A @ x).diff(x), {"A": np.ones((3, 3)), "x": np.ones(3)}),
    "zero": (a.diff(x), {"a": np.ones(3), "x": np.ones(3)}),
    "sparse": ((w * x[::-1]).diff(x), {"w": np.arange(30.0), "x": np.ones(30)}),
    "not square": ((A @ x).diff(x), {"A": np.ones((2, 3)), "x": np.ones(3)}),
}


@pytest.mark.parametrize("kind", SINGULAR)
def test_a_singular_matrix_raises(kind):
    derivative, values = SINGULAR[kind]
    operator = derivative.structured(**values)
    with pytest.raises(np.linalg.LinAlgError):
        operator.solve(np.ones(operator.shape[0]))


def test_the_factorization_is_kept():
    derivative, values, *_ = KINDS["few samples"]
    operator = derivative.structured(**values)
    b = normal(20)
    first, kept = operator.solve(b), operator._solve
    assert kept is not None
    np.testing.assert_array_equal(operator.solve(b), first)
    assert operator._solve is kept
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(operator)).solve(b), first)


@pytest.mark.parametrize("kind", ["Newton step by V", "Newton step by U", "A Xᵀ", "permuted Kronecker", "inverse"])
def test_small_kronecker_products_are_solved_by_one_compiled_function(kind):
    derivative, values, *_ = KINDS[kind]
    values = values | {symbol.name: value for symbol in derivative.symbols for value in missing(symbol, values)}
    operator = derivative.structured(**values)
    b = normal(*operator._structure.y_shape)
    solution = operator.solve(b)
    assert operator._solve is None
    expected = np.linalg.solve(derivative(**values).reshape(operator.shape), b.ravel())
    np.testing.assert_allclose(solution, expected.reshape(operator._structure.x_shape), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(operator.solve(b.ravel()), solution.ravel())


def test_the_closed_form_solves_as_the_expression_does():
    U_, b = normal(30, 4), normal(4, 6)
    H = cf.factorization_hessian(U_, 6)
    np.testing.assert_allclose(H.solve(b), np.linalg.solve(2 * U_.T @ U_, b))
    np.testing.assert_allclose(H.solve(b.astype(np.float32)), H.solve(b), rtol=1e-5)


def test_a_matrix_too_large_for_memory_is_solved_iteratively():
    n = 300_000  # the matrix would have 9·10¹⁰ entries, because of a aᵀ
    f = np.sum(x**2) + (a @ x) ** 2 + np.sum(np.exp(w[1:] * x[1:] * x[:-1]))
    values = {"x": np.full(n, 0.01), "a": np.full(n, 1e-3), "w": np.full(n, 0.1)}
    operator = f.diff(x, x).structured(**values)
    np.testing.assert_allclose(operator @ operator.solve(np.ones(n)), 1, atol=1e-8)


@pytest.mark.parametrize("method", ["trust-ncg", "Newton-CG", "trust-krylov", "trust-constr"])
def test_scipy_minimizes_with_a_structured_hessian_and_with_products(method):
    samples, labels = normal(60, 8), np.sign(normal(60))

    def loss(w):
        return np.sum(np.log1p(np.exp(-labels * (samples @ w)))) + 0.1 * (w @ w)

    fun = mg.value_and_grad(loss)
    options = {"jac": True, "method": method}
    structured = scipy.optimize.minimize(fun, np.zeros(8), hess=mg.hessian(loss, structured=True), **options)
    products = scipy.optimize.minimize(fun, np.zeros(8), hessp=lambda w, p: mg.hvp(loss, w, p), **options)
    dense = scipy.optimize.minimize(fun, np.zeros(8), hess=mg.hessian(loss), **options)
    assert structured.fun == pytest.approx(dense.fun, abs=1e-6)
    assert products.fun == pytest.approx(dense.fun, abs=1e-6)
    assert np.linalg.norm(mg.grad(loss)(structured.x)) < 1e-3


def test_newtons_method_in_a_few_lines():
    """A step of the factorization by V is a solution with a matrix of r rows: the loss is quadratic in V."""
    X_, U_, V_ = normal(50, 40), normal(50, 4), normal(4, 40)

    def loss(V):
        return np.sum((X_ - U_ @ V) ** 2)

    H = mg.hessian(loss, structured=True)(V_)
    assert H.nbytes == 4 * 4 * 8
    step = V_ - H.solve(mg.grad(loss)(V_))
    np.testing.assert_allclose(step, np.linalg.lstsq(U_, X_)[0], rtol=1e-9)
