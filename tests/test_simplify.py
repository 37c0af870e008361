"""Confluence: however a function is written, its derivative is the same expression."""

import random

import numpy as np
import pytest

import matgrad as mg


def log_gaussian(S, r):
    return mg.logdet(S) + r @ np.linalg.inv(S) @ r


# Ways to write one function, and the variables to differentiate by, in order.
SAME = {
    "sum of squares": (
        "X",
        lambda X, U, V: np.sum((X - U @ V) ** 2),
        lambda X, U, V: np.linalg.norm(X - U @ V) ** 2,
        lambda X, U, V: np.linalg.norm(X - U @ V, "fro") ** 2,
        lambda X, U, V: np.linalg.norm(U @ V - X) ** 2,
        lambda X, U, V: np.vdot(X - U @ V, X - U @ V),
        lambda X, U, V: np.trace((X - U @ V).T @ (X - U @ V)),
        lambda X, U, V: np.trace((X - U @ V) @ (X - U @ V).T),
        lambda X, U, V: np.einsum("ij,ij->", X - U @ V, X - U @ V),
        lambda X, U, V: np.tensordot(X - U @ V, X - U @ V, 2),
        lambda X, U, V: np.sum(np.square(X - np.dot(U, V))),
        lambda X, U, V: np.sum((X - U @ V) * (X - U @ V)),
        lambda X, U, V: np.sum(np.abs(X - U @ V) ** 2),
        lambda X, U, V: np.sum(np.sum((X - U @ V) ** 2, axis=0)),
        lambda X, U, V: np.sum((X.T - V.T @ U.T) ** 2),
    ),
    "quadratic form": (
        "x",
        lambda x, A: x @ A @ x,
        lambda x, A: x @ (A @ x),
        lambda x, A: np.dot(x, np.dot(A, x)),
        lambda x, A: np.einsum("i,ij,j->", x, A, x),
        lambda x, A: np.einsum("i,ij,j", x, A, x),
        lambda x, A: np.sum(A * np.outer(x, x)),
        lambda x, A: np.sum(x * (A @ x)),
        lambda x, A: np.inner(x, A @ x),
        lambda x, A: x @ A.T @ x,
        lambda x, A: np.trace(A @ np.outer(x, x)),
        lambda x, A: np.linalg.multi_dot([x, A, x]),
        lambda x, A: (x[None, :] @ A @ x[:, None])[0, 0],
        lambda x, A: np.sum(x[:, None] * A * x),
    ),
    "square": (
        "x",
        lambda x: np.square(x),
        lambda x: x**2,
        lambda x: x * x,
        lambda x: np.power(x, 2),
        lambda x: x**3 / x,
        lambda x: np.sqrt(x**4),
        lambda x: np.abs(x) ** 2,
        lambda x: x**2.0,
    ),
    "square root": ("x", lambda x: np.sqrt(x), lambda x: x**0.5, lambda x: np.power(x, 0.5), lambda x: 1 / x**-0.5),
    "reciprocal": ("x", lambda x: 1 / x, lambda x: x**-1, lambda x: np.reciprocal(x), lambda x: x / x**2),
    "sum of transposes": (
        "A",
        lambda A, B: A.T + B.T,
        lambda A, B: (A + B).T,
        lambda A, B: np.transpose(B + A),
        lambda A, B: np.swapaxes(A, 0, 1) + np.moveaxis(B, 0, 1),
        lambda A, B: np.einsum("ij->ji", A + B),
    ),
    "softmax": ("x", lambda x: np.exp(x) / np.sum(np.exp(x)), lambda x: mg.softmax(x), lambda x: mg.softmax(x, axis=0)),
    "log-sum-exp": ("x", lambda x: np.log(np.sum(np.exp(x))), lambda x: mg.logsumexp(x), lambda x: mg.logsumexp(x, 0)),
    "log-softmax": (
        "x",
        lambda x: mg.log_softmax(x),
        lambda x: x - mg.logsumexp(x),
        lambda x: np.log(mg.softmax(x)),
        lambda x: x - np.log(np.sum(np.exp(x))),
    ),
    "softplus": (
        "x",
        lambda x: mg.softplus(x),
        lambda x: np.log(1 + np.exp(x)),
        lambda x: np.log1p(np.exp(x)),
        lambda x: np.log(np.exp(x) + 1),
    ),
    "sigmoid": (
        "x",
        lambda x: mg.sigmoid(x),
        lambda x: 1 / (1 + np.exp(-x)),
        lambda x: (1 + np.exp(-x)) ** -1,
        lambda x: np.reciprocal(1 + np.exp(-x)),
    ),
    "log-determinant": (
        "X",
        lambda X: mg.logdet(X),
        lambda X: np.log(np.linalg.det(X)),
        lambda X: np.linalg.slogdet(X)[1],
        lambda X: mg.logdet(X.T),
        lambda X: -mg.logdet(np.linalg.inv(X)),
    ),
    "solve": (
        "A",
        lambda A, b: np.linalg.solve(A, b),
        lambda A, b: np.linalg.inv(A) @ b,
        lambda A, b: np.linalg.matrix_power(A, -1) @ b,
        lambda A, b: b @ np.linalg.inv(A.T),
    ),
    "inverse twice": (
        "A",
        lambda A, b: np.linalg.inv(A) @ np.linalg.inv(A) @ b,
        lambda A, b: np.linalg.solve(A, np.linalg.solve(A, b)),
        lambda A, b: np.linalg.matrix_power(A, -2) @ b,
    ),
    "inverse of an inverse": ("A", lambda A: np.linalg.inv(np.linalg.inv(A)), lambda A: A + 0, lambda A: 1.0 * A),
    "inverse of a transpose": ("A", lambda A: np.linalg.inv(A.T), lambda A: np.linalg.inv(A).T),
    "matrix power": (
        "X",
        lambda X: np.linalg.matrix_power(X, 3),
        lambda X: X @ X @ X,
        lambda X: X @ (X @ X),
        lambda X: np.linalg.multi_dot([X, X, X]),
        lambda X: np.einsum("ij,jk,kl->il", X, X, X),
    ),
    "power of a trace": (
        "X",
        lambda X: np.trace(X @ X),
        lambda X: np.sum(X * X.T),
        lambda X: np.einsum("ij,ji->", X, X),
        lambda X: np.sum(np.diag(X @ X)),
        lambda X: np.trace(X.T @ X.T),
    ),
    "scaled rows": (
        "d",
        lambda A, d: np.diag(d) @ A,
        lambda A, d: d[:, None] * A,
        lambda A, d: np.einsum("i,ij->ij", d, A),
        lambda A, d: (A.T * d).T,
    ),
    "mean": (
        "x",
        lambda x: np.mean(x**2),
        lambda x: np.sum(x**2) / x.shape[0],
        lambda x: x @ x / x.size,
        lambda x: (x / x.shape[0]) @ x,
    ),
    "trace of a product": (
        "X",
        lambda A, X, B: np.trace(A @ X @ B),
        lambda A, X, B: np.trace(X @ B @ A),
        lambda A, X, B: np.trace(B @ A @ X),
        lambda A, X, B: np.sum((B @ A).T * X),
        lambda A, X, B: np.trace(B.T @ X.T @ A.T),
    ),
    "outer product": (
        "x",
        lambda x, y: np.outer(x, y),
        lambda x, y: x[:, None] * y,
        lambda x, y: np.multiply.outer(x, y),
        lambda x, y: np.einsum("i,j->ij", x, y),
        lambda x, y: np.tensordot(x, y, 0),
        lambda x, y: x[:, None] @ y[None, :],
    ),
    "common factor": (
        "x",
        lambda A, B, x: A @ x + B @ x,
        lambda A, B, x: (A + B) @ x,
        lambda A, B, x: (B + A) @ x,
    ),
    "numbers": (
        "x",
        lambda x: 2 * x @ x + 3 * x @ x,
        lambda x: 5 * (x @ x),
        lambda x: x @ (5 * x),
        lambda x: (x * 5) @ x,
        lambda x: (x @ x) / 0.2,
    ),
    "signs": (
        "x",
        lambda a, x: np.sum((x - a) ** 2),
        lambda a, x: np.sum((a - x) ** 2),
        lambda a, x: np.sum((-a + x) ** 2),
        lambda a, x: np.linalg.norm(a - x) ** 2,
    ),
    "distance": (
        "x",
        lambda a, x: np.linalg.norm(x - a),
        lambda a, x: np.linalg.norm(a - x),
        lambda a, x: np.sqrt(np.sum((x - a) ** 2)),
        lambda a, x: np.sqrt((x - a) @ (x - a)),
        lambda a, x: ((x - a) @ (x - a)) ** 0.5,
    ),
    "exponentials": (
        "x",
        lambda x: np.exp(2 * x),
        lambda x: np.exp(x + x),
        lambda x: np.exp(x / 0.5),
    ),
}
SHAPES = {"X": 2, "U": 2, "V": 2, "A": 2, "B": 2, "x": 1, "y": 1, "a": 1, "b": 1, "d": 1}


def symbols_of(function):
    code = function.__code__
    return {name: mg.tensor(name, SHAPES[name]) for name in code.co_varnames[: code.co_argcount]}


WAYS = {f"{name}, way {k}": (name, k) for name in SAME for k in range(2, len(SAME[name]))}


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_written_the_derivative_is_the_same(way):
    name, k = WAYS[way]
    by, first = SAME[name][:2]
    other = SAME[name][k]
    symbols = symbols_of(first)
    for orders in ((by,), (by, by)):
        variables = [symbols[variable] for variable in orders]
        expected, got = first(**symbols).diff(*variables), other(**symbols).diff(*variables)
        assert got.equals(expected), f"order {len(orders)}: {got} is not {expected}"


def test_the_factorization_gradient_prints_the_same_for_norm_and_sum():
    X, U, V = mg.matrices("X U V")
    of_norm, of_sum = np.linalg.norm(X - U @ V) ** 2, np.sum((X - U @ V) ** 2)
    for by in (U, V):
        assert str(of_norm.diff(by)) == str(of_sum.diff(by))


# --- The order of terms and factors ---


def terms_of(symbols):
    x, a, b, A = symbols
    return [
        (a @ x) ** 2,
        x @ A @ x,
        np.sum(np.exp(x) * b),
        np.linalg.norm(x - a),
        3 * (b @ x),
        np.sum(np.sin(A @ x)),
        mg.logsumexp(x + b),
    ]


def reduced(generator, values, operator):
    """Combine in a random order and nesting."""
    values = list(values)
    while len(values) > 1:
        first = values.pop(generator.randrange(len(values)))
        second = values.pop(generator.randrange(len(values)))
        values.insert(generator.randrange(len(values) + 1), operator(first, second))
    return values[0]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_terms_does_not_matter(seed):
    symbols = *mg.vectors("x a b"), mg.matrix("A")
    expected = reduced(random.Random(0), terms_of(symbols), lambda p, q: p + q)
    got = reduced(random.Random(seed), terms_of(symbols), lambda p, q: p + q)
    assert got.equals(expected)
    assert got.diff(symbols[0]).equals(expected.diff(symbols[0]))
    assert str(got.diff(symbols[0])) == str(expected.diff(symbols[0]))


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_factors_does_not_matter(seed):
    symbols = *mg.vectors("x a b"), mg.matrix("A")
    x, a, b, A = symbols
    factors = [x, np.exp(x), a, b, A @ x, 2.0, x - a, np.sum(x), np.sin(x), x**2]
    expected = reduced(random.Random(0), factors, lambda p, q: p * q)
    got = reduced(random.Random(seed), factors, lambda p, q: p * q)
    assert got.equals(expected)
    assert got.diff(x).equals(expected.diff(x))


@pytest.mark.parametrize("seed", range(10))
def test_the_order_in_which_symbols_were_made_does_not_matter(seed):
    names = ["X", "U", "V", "W"]
    expected = "".join(np.sum((mg.matrix("W") * (mg.matrix("X") - mg.matrix("U") @ mg.matrix("V"))) ** 2).to_index())
    random.Random(seed).shuffle(names)
    made = {name: mg.matrix(name) for name in names}
    W, X, U, V = (made[name] for name in "WXUV")
    assert np.sum(((X - U @ V) * W) ** 2).to_index() == expected


@pytest.mark.parametrize("nesting", range(5))
def test_nested_sums_are_flat(nesting):
    vectors = mg.vectors("a b c d e")
    expected = vectors[0] + vectors[1] + vectors[2] + vectors[3] + vectors[4]
    got = reduced(random.Random(nesting), vectors, lambda p, q: p - (-q))
    assert got.equals(expected)
    assert (got - expected).equals(0 * expected)


def test_derivatives_by_two_variables_commute():
    X, U, V = mg.matrices("X U V")
    f = np.sum((X - U @ V) ** 2)
    assert np.transpose(f.diff(U, V), (2, 3, 0, 1)).equals(f.diff(V, U))
    x, a = mg.vectors("x a")
    g = np.exp(a @ x) * (a @ x)
    assert g.diff(x, a).T.equals(g.diff(a, x))


def test_hessians_are_symmetric_expressions():
    x, a, b = mg.vectors("x a b")
    A = mg.matrix("A")
    for f in (x @ A @ x, mg.logsumexp(A @ x + b), np.linalg.norm(x - a), (a @ x) * (x @ b), np.sum(np.exp(A @ x))):
        assert f.diff(x, x).T.equals(f.diff(x, x)), str(f)


def test_a_number_repeated_along_different_lengths_is_not_symmetric():
    t = mg.scalar("t")
    base = np.broadcast_to(t * t, (3, 2))
    assert base.T.shape == (2, 3)
    assert not base.T.equals(base)
    assert (base ** (t * np.full((3, 2), 2.5))).diff(t).shape == (3, 2)
