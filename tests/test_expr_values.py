"""Values of expressions: by name, compiled, with other expressions in place of symbols."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_equal

import matgrad as mg

A, B, X, U, V = mg.matrices("A B X U V")
a, x, y = mg.vectors("a x y")
t = mg.scalar("t")
M4 = mg.vector("M4", 4)
X_, U_, V_ = np.arange(6.0).reshape(2, 3), np.ones((2, 4)), np.full((4, 3), 0.5)
LOSS = np.sum((X - U @ V) ** 2)


def test_values_are_given_by_name_or_in_the_order_of_compile():
    g, expected = LOSS.diff(V), -2 * U_.T @ (X_ - U_ @ V_)
    assert_equal(g(X=X_, U=U_, V=V_), expected)
    assert_equal(g(V=V_, U=U_, X=X_), expected)
    assert_equal(g.compile(U, V, X)(U_, V_, X_), expected)
    assert_equal(g.compile()(X_, U_, V_), expected)
    out = np.empty((4, 3))
    assert g.compile(X, U, V)(X_, U_, V_, out=out) is out
    assert_equal(out, expected)
    assert_equal(pickle.loads(pickle.dumps(g.compile(X, U, V)))(X_, U_, V_), expected)


def test_a_result_without_axes_is_a_numpy_scalar_and_precision_is_the_values():
    assert type(LOSS(X=X_, U=U_, V=V_)) is np.float64
    assert type(LOSS(X=X_.astype("f4"), U=U_.astype("f4"), V=V_.astype("f4"))) is np.float32
    assert LOSS.diff(V)(X=X_.astype("f4"), U=U_, V=V_).dtype == np.float64
    assert (2 * x)(x=[1, 2]).dtype == np.float64


def test_symbols_that_dropped_out_may_be_given_or_not():
    h = (x @ A @ x).diff(x, x, x)
    S = np.eye(2)
    assert (a @ x).diff(x)(a=[1.0], x=[2.0]) == (a @ x).diff(x)(a=[1.0]) == [1.0]
    assert (a @ x).diff(x).compile(x, a)([2.0], [1.0]) == (a @ x).diff(x).compile(a)([1.0]) == [1.0]
    assert_equal(h(x=[1.0, 2.0], A=S), np.zeros((2, 2, 2)))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: (x @ y)(x=[1.0]), "y"),
        (lambda: (x @ y)(x=[1.0], y=[1.0], z=[1.0]), "no symbol z; it has x, y"),
        (lambda: (x @ y)(x=[1.0], Y=[1.0]), "Y"),
        (lambda: (x @ y)([1.0], [1.0]), "by name"),
        (lambda: (x @ y).compile(x), "y"),
        (lambda: (x @ y).compile(x, y, a), "a"),
        (lambda: (x @ y).compile(x, y, x), "x is there twice"),
        (lambda: (x @ y).compile("x", "y"), "not a symbol"),
        (lambda: (x @ y).compile(x, y)([1.0]), "y"),
        (lambda: (x @ y).compile(x, y)([1.0], [1.0], [1.0]), "3"),
        (lambda: (x @ y)(x=[1.0], y=[1j]), "y"),
        (lambda: (x @ y)(x=[1.0], y=[x]), "y|no values yet"),
    ],
)
def test_missing_and_surplus_symbols_are_named(call, name):
    with pytest.raises(TypeError, match=name):
        call()


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: (x @ y)(x=[1.0], y=[1.0, 2.0]), "x.*y"),
        (lambda: (X @ x)(X=X_, x=[1.0, 2.0]), "X.*x"),
        (lambda: np.sum(X)(X=[1.0]), "X"),
        (lambda: (2 * M4)(M4=np.ones(3)), "M4"),
        (lambda: (mg.vector("u", "n") @ mg.vector("v", "n"))(u=np.ones(3), v=np.ones(2)), "n"),
        (lambda: np.linalg.det(X)(X=X_), "X"),
        (lambda: np.trace(X)(X=X_), "X"),
    ],
)
def test_lengths_that_differ_are_reported_with_the_symbols(call, names):
    with pytest.raises(ValueError, match=names):
        call()


def test_values_that_are_expressions_are_put_in_place():
    u = A @ y
    assert (x @ x)(x=u).equals(u @ u)
    assert (X @ x)(x=u).equals(X @ A @ y)
    assert (X.shape[0] * t)(X=A @ B).equals(A.shape[0] * t)
    assert (x + y)(x=y, y=x).equals(x + y)
    assert np.sum(X * a)(a=np.ones(3), X=B).equals(np.sum(B * np.ones(3)))
    assert [e.name for e in (X @ x)(x=u).symbols] == ["X", "A", "y"]
    with pytest.raises(ValueError, match="x has 1 axes"):
        (x @ x)(x=A)
    with pytest.raises(ValueError, match="axis 0 of M4"):
        (2 * M4)(M4=mg.vector("u", 3))
    with pytest.raises(TypeError, match="no symbol z"):
        (x @ x)(z=u)


def test_layouts_have_the_values_of_the_table():
    values = {"A": np.arange(6.0).reshape(2, 3), "X": np.arange(12.0).reshape(3, 4) / 9, "x": np.ones(4)}
    for f in (A @ np.exp(X), np.sin(X @ x), np.trace(X.T @ X @ X.T @ X), X.T @ X):
        J = f.diff(X)
        tensor = J(**{e.name: values[e.name] for e in J.symbols})
        for layout in ("numerator", "denominator"):
            value = f.diff(X, layout=layout)(**{e.name: values[e.name] for e in J.symbols})
            assert_allclose(value, mg.to_layout(tensor, f.ndim, layout))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quotients_are_rounded_once_as_in_numpy(dtype):
    a, b = (np.arange(1, 200, dtype=dtype) * step for step in (7, 3))
    x, y, t = mg.vector("x"), mg.vector("y"), mg.scalar("t")
    seven = np.dtype(dtype).type(7)
    for quotient, expected in [
        (x / y, a / b),
        (2 * x / y, 2 * a / b),
        (x / (y * t), a / (b * seven)),
        (1 / y, 1 / b),
        (x / t, a / seven),
        (np.floor(x / t), np.arange(1, 200)),
        (x / np.sqrt(y), a / np.sqrt(b)),
    ]:
        given = {"x": a, "y": b, "t": seven}
        assert np.array_equal(quotient(**{name: given[name] for name in quotient._symbols}), expected), str(quotient)


def test_a_derivative_checks_the_lengths_that_its_function_joins():
    x, y = mg.vectors("x y")
    g = np.sum(x + y).diff(x)
    for call in (g, pickle.loads(pickle.dumps(g)), lambda x, y: g.compile()(x, y)):
        assert_equal(call(x=np.ones(3), y=np.ones(3)), np.ones(3))
        with pytest.raises(ValueError, match=r"x has length 3 along axis 0 but y has length 4 along axis 0"):
            call(x=np.ones(3), y=np.ones(4))
    assert_equal(g(x=np.ones(3)), np.ones(3))


def test_masks_leave_the_precision_as_it_is():
    x, mask, array = mg.vector("x", 3), np.array([True, False, True]), np.ones(3)
    for e in (
        np.where(mask, x, 0),
        mask * x,
        np.where(x > 0, x, mask),
        np.tril(np.outer(x, x)),
        np.triu(x[:, None] * x),
    ):
        assert e(x=array.astype(np.float32)).dtype == np.float32
        assert e(x=array).dtype == np.float64
    np.testing.assert_array_equal(np.where(mask, 0.1, x)(x=array), [0.1, 1, 0.1])


def test_a_power_of_zero_is_constant():
    y = mg.vector("y")
    np.testing.assert_array_equal(np.power(0.0, y).diff(y)(y=np.array([0.5, 2.0])), np.zeros((2, 2)))
