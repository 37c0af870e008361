"""Functions that NumPy lacks: the same of arrays as SciPy's, and of expressions as of arrays."""

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_equal

import matgrad as mg

RNG = np.random.default_rng(0)
AXES = [None, 0, -1, (0, 2), (2, 0, 1)]
REDUCTIONS = {
    mg.logsumexp: scipy.special.logsumexp,
    mg.softmax: scipy.special.softmax,
    mg.log_softmax: scipy.special.log_softmax,
}
ELEMENTWISE = {
    mg.sigmoid: scipy.special.expit,
    mg.softplus: lambda x: np.logaddexp(0, x),
    mg.relu: lambda x: np.maximum(x, 0),
}


def name(value):
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("function", REDUCTIONS, ids=name)
def test_reductions_agree_with_scipy(function, axis):
    array, x = RNG.normal(size=(2, 3, 4)), mg.tensor("x", 3)
    expected = REDUCTIONS[function](array, axis=axis)
    assert_allclose(function(array, axis), expected, rtol=1e-13, atol=1e-14)
    assert_allclose(function(x, axis)(x=array), expected, rtol=1e-13, atol=1e-14)


def test_logsumexp_keeps_axes():
    array, x = RNG.normal(size=(2, 3, 4)), mg.tensor("x", 3)
    for axis in [*AXES, ()]:
        expected = np.log(np.sum(np.exp(array), axis=axis, keepdims=True))
        assert_allclose(mg.logsumexp(array, axis, keepdims=True), expected)
        assert_allclose(mg.logsumexp(x, axis, keepdims=True)(x=array), expected)


@pytest.mark.parametrize("function", ELEMENTWISE, ids=name)
def test_elementwise_functions_agree_with_scipy(function):
    array, x = np.array([[-800.0, -1.0, 0.0], [1.5, 40.0, 800.0]]), mg.matrix("x")
    assert_allclose(function(array), ELEMENTWISE[function](array), rtol=1e-14)
    assert_allclose(function(x)(x=array), ELEMENTWISE[function](array), rtol=1e-14)
    assert_allclose(function(array.T[::2]), ELEMENTWISE[function](array.T[::2]), rtol=1e-14)
    assert function(0.5) == function(np.float64(0.5))


@pytest.mark.parametrize("function", [*REDUCTIONS, *ELEMENTWISE], ids=name)
def test_precision_is_kept_and_integers_become_float64(function):
    assert function(np.ones(3, np.float32)).dtype == np.float32
    assert function([1, 2]).dtype == np.float64
    for dtype in (np.float16, complex, object):
        with pytest.raises(TypeError, match=function.__name__):
            function(np.ones(2, dtype))


@pytest.mark.parametrize("function", REDUCTIONS, ids=name)
def test_large_exponents_do_not_overflow(function):
    array = np.array([1e4, 1e4, -1e4, 0.0])
    assert_allclose(function(array), REDUCTIONS[function](array))
    assert_allclose(function(mg.vector("x"))(x=array), REDUCTIONS[function](array))


def test_log_softmax_is_accurate_where_exponents_are_large():
    assert_equal(mg.log_softmax([1e9, 1e9 + 1]), scipy.special.log_softmax([1e9, 1e9 + 1]))


def test_an_axis_that_is_not_there_is_an_error():
    for x in (np.ones(3), mg.vector("x")):
        for function in REDUCTIONS:
            with pytest.raises(np.exceptions.AxisError):
                function(x, 1)


def test_logdet_is_nan_where_the_determinant_is_negative():
    stack, G = np.stack([np.diag([2.0, 3.0]), np.diag([2.0, -3.0]), np.diag([-2.0, -3.0])]), mg.tensor("G", 3)
    expected = [np.log(6), np.nan, np.log(6)]
    assert_allclose(mg.logdet(stack), expected)
    assert_allclose(mg.logdet(G)(G=stack), expected)
    assert type(mg.logdet(np.eye(2))) is np.float64
    with pytest.raises(ValueError, match="square"):
        mg.logdet(mg.matrix("P", 2, 3))


def test_functions_of_axes_take_expressions():
    X, array = mg.matrix("X"), RNG.normal(size=(3, 4))
    assert_equal(mg.vec(X)(X=array), mg.vec(array))
    assert_equal(mg.flatten(X, 1)(X=array), mg.flatten(array, 1))
    assert_equal(mg.to_layout(X, 2, "denominator")(X=array), array.T)
    v = mg.vector("v", 12)
    assert_equal(mg.unvec(v, (3, 4))(v=mg.vec(array)), array)
    J = mg.tensor("J", 2, 3, 4)
    assert mg.unflatten(mg.flatten(J, 1), (2,), (3, 4)).equals(J)
