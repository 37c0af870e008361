"""Maxima, minima, products and log-sum-exps along any axes, of any strides, agree with NumPy's and SciPy's."""

import itertools

import numpy as np
import pytest
import scipy.special

import matgrad as mg
from isas import assert_passes_on

RNG = np.random.default_rng(15)
SHAPES = [
    (1, 1),
    (1, 20),
    (20, 1),
    (3, 5),
    (40, 3),
    (3, 40),
    (33, 17),
    (100, 32),
    (70, 33),
    (300, 260),
    (5000, 10),
    (10, 5000),
]
TENSORS = [(4, 5, 6), (20, 3, 17), (3, 40, 2), (2, 3, 70), (7, 1, 9)]
REDUCTIONS = {
    "max": (np.max, np.max),
    "min": (np.min, np.min),
    "prod": (np.prod, np.prod),
    "logsumexp": (mg.logsumexp, scipy.special.logsumexp),
}


def agree(name, value, axis, view=lambda A: A):
    ours, theirs = REDUCTIONS[name]
    A = mg.tensor("A", value.ndim)
    got = ours(view(A), axis=axis).compile(A)(value)
    expected = theirs(view(value.astype(np.longdouble)), axis=axis)
    assert got.dtype == value.dtype
    rounding = np.finfo(value.dtype).eps * (1 if name in ("max", "min") else 8 + 2 * value.size / max(1, np.size(got)))
    np.testing.assert_allclose(got, expected, rtol=rounding, atol=4 * np.finfo(value.dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_matrices(name, shape, dtype):
    A = RNG.uniform(0.9, 1.1, shape).astype(dtype) * RNG.choice([-1, 1], shape).astype(dtype)
    for axis in (0, 1, None):
        agree(name, A, axis)
        agree(name, A, axis, lambda A: A.T)
        agree(name, A, axis, lambda A: A[::2, ::-1])
        agree(name, np.asfortranarray(A), axis)
        agree(name, np.repeat(A, 2, axis=1)[:, ::2], axis)


@pytest.mark.parametrize("shape", TENSORS)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_tensors(name, shape):
    T = RNG.normal(size=shape)
    for count in (1, 2, 3):
        for axes in itertools.combinations(range(3), count):
            agree(name, T, axes)
            agree(name, T, axes, lambda T: np.swapaxes(T, 0, 2))


@pytest.mark.parametrize("shape", [(40, 3), (3, 40), (5, 5), (40, 40)])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_values_that_are_not_finite(name, shape):
    ours, theirs = REDUCTIONS[name]
    A = mg.matrix("A")
    value = RNG.normal(size=shape)
    value[0, :] = np.inf
    value[:, 1] = -np.inf
    value[2, 2] = np.nan
    value[0, 1] = 1
    for axis, special in itertools.product((0, 1), (value, np.full(shape, -np.inf), np.full(shape, 1e300))):
        with np.errstate(all="ignore"):
            expected = theirs(special, axis=axis)
        np.testing.assert_allclose(ours(A, axis=axis).compile(A)(special), expected, rtol=1e-14)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 40), (40, 0)])
def test_reductions_of_nothing(shape):
    A, value = mg.matrix("A"), np.zeros(shape)
    for axis in (0, 1):
        np.testing.assert_array_equal(np.prod(A, axis=axis).compile(A)(value), np.prod(value, axis=axis))
        expected = np.full(shape[1 - axis], -np.inf)
        np.testing.assert_array_equal(mg.logsumexp(A, axis=axis).compile(A)(value), expected)


@pytest.mark.parametrize("shape", [(2000, 10), (10, 2000), (500, 300)])
def test_softmax_and_its_sum_in_one_function(shape):
    A, value = mg.matrix("A"), RNG.normal(size=shape)
    for axis in (0, 1):
        function = mg.compile([mg.softmax(A, axis=axis), np.sum(mg.logsumexp(A, axis=axis))], [A])
        softmax, total = function(value)
        np.testing.assert_allclose(softmax, scipy.special.softmax(value, axis=axis), rtol=1e-13)
        np.testing.assert_allclose(total, np.sum(scipy.special.logsumexp(value, axis=axis)), rtol=1e-13)


@pytest.mark.parametrize("isa", mg.available_isas())
def test_reductions_on_every_instruction_set(isa):
    assert_passes_on(isa, __file__, "test_reductions_of_matrices or test_values_that_are_not_finite")
