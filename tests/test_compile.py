"""Several expressions compiled as one function: what it returns, what it shares, and the errors."""

import pickle

import numpy as np
import pytest

import matgrad as mg

X, U, V = mg.matrices("X U V")
x = mg.vector("x")
LOSS = np.sum((X - U @ V) ** 2)
rng = np.random.default_rng(3)
X_, U_, V_ = rng.standard_normal((7, 5)), rng.standard_normal((7, 3)), rng.standard_normal((3, 5))


def test_a_list_gives_a_tuple_and_an_expression_a_value():
    residual = X_ - U_ @ V_
    value, by_u, by_v = mg.compile([LOSS, LOSS.diff(U), LOSS.diff(V)], [X, U, V])(X_, U_, V_)
    np.testing.assert_allclose(value, np.sum(residual**2), rtol=1e-14)
    np.testing.assert_allclose(by_u, -2 * residual @ V_.T, rtol=1e-12)
    np.testing.assert_allclose(by_v, -2 * U_.T @ residual, rtol=1e-12)
    assert mg.compile(LOSS, [X, U, V])(X_, U_, V_) == value
    (alone,) = mg.compile([LOSS])(X_, U_, V_)
    assert alone == value
    assert mg.compile([])() == ()


def test_arguments_are_by_default_the_symbols_in_order_of_appearance():
    function = mg.compile((x @ x, np.sum(V @ x), U), None)
    x_ = rng.standard_normal(5)
    squares, product, same = function(x_, V_, U_)
    np.testing.assert_allclose([squares, product], [x_ @ x_, np.sum(V_ @ x_)], rtol=1e-12)
    np.testing.assert_array_equal(same, U_)


def test_results_may_be_equal_or_parts_of_each_other():
    product = U @ V
    a, b, c = mg.compile([product, product, np.sum(product)])(U_, V_)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(c, np.sum(a), rtol=1e-13)
    assert not np.may_share_memory(a, b)


def test_out_is_a_tuple():
    function = mg.compile([LOSS.diff(U), LOSS.diff(V)], [X, U, V])
    expected = function(X_, U_, V_)
    out = np.empty((7, 3)), np.empty((5, 3)).T
    got = function(X_, U_, V_, out=out)
    assert all(a is b for a, b in zip(got, out, strict=True))
    overlapping = U_.copy()
    assert function(X_, overlapping, V_, out=(overlapping, None))[0] is overlapping
    for a, b, c in zip(got, expected, (overlapping, got[1]), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(c, b)
    with pytest.raises(TypeError, match="out must be a tuple of 2 arrays"):
        function(X_, U_, V_, out=out[0])


def test_it_can_be_pickled():
    function = mg.compile([LOSS, LOSS.diff(U)])
    again = pickle.loads(pickle.dumps(function))
    for a, b in zip(again(X_, U_, V_), function(X_, U_, V_), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: mg.compile([LOSS, 2.0]), r"results\[1\] is 2.0 but must be an expression"),
        (lambda: mg.compile([LOSS, x @ x], [X, U, V]), "the list of expressions needs a value for its symbol x"),
        (lambda: mg.compile([LOSS], [X, U, V, x]), "the list of expressions has no symbol x; it has X, U, V"),
        (lambda: mg.compile(LOSS, [X, U, V, V]), "the symbol V is there twice"),
        (lambda: mg.compile([LOSS], [X, U, V.T]), "compile: .* is not a symbol"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(TypeError, match=message):
        wrong()


def test_symbols_that_differ_may_not_share_a_name():
    with pytest.raises(ValueError, match="two different symbols are called 'x'"):
        mg.compile([x @ x, np.sum(mg.vector("x", 3))])
