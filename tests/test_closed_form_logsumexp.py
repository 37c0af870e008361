"""Log-sum-exp and its derivatives: infinities, extreme exponents, ties, exact symmetry, large arrays."""

import numpy as np
import pytest
import scipy.special

import matgrad as mg
from matgrad import closed_form as cf

FLOATS = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
inf, nan = np.inf, np.nan

SPECIAL = [
    [-inf, -inf],
    [-inf, 0.0],
    [0.0, -inf, 1.0],
    [inf, 0.0],
    [inf, inf],
    [inf, -inf],
    [nan, 0.0],
    [0.0, nan],
    [nan, -inf],
    [inf, nan],
    [nan, nan],
    [-inf],
    [inf],
    [nan],
]


@FLOATS
@pytest.mark.parametrize("padding", [0, 40], ids=["short", "long"])
@pytest.mark.parametrize("x", SPECIAL, ids=str)
def test_infinity_and_not_a_number_give_what_scipy_gives(x, padding, dtype):
    for repeated in (x + [x[-1]] * padding, [x[0]] * padding + x):
        x = np.array(repeated, dtype)
        with np.errstate(invalid="ignore", divide="ignore"):
            value, softmax = scipy.special.logsumexp(x), scipy.special.softmax(x)
            hessian = np.diag(softmax) - np.outer(softmax, softmax)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(cf.logsumexp(x), value, rtol=4 * eps)
        np.testing.assert_allclose(cf.logsumexp_gradient(x), softmax, rtol=4 * eps)
        if np.isnan(softmax).any():
            hessian[...] = nan
        np.testing.assert_allclose(cf.logsumexp_hessian(x), hessian, rtol=8 * eps, atol=eps**2)


@FLOATS
def test_an_empty_sum_is_minus_infinity(dtype):
    assert cf.logsumexp(np.zeros(0, dtype)) == -inf
    np.testing.assert_array_equal(cf.logsumexp(np.zeros((2, 0), dtype)), [-inf, -inf])
    assert cf.logsumexp_gradient(np.zeros(0, dtype)).shape == (0,)
    assert cf.logsumexp_hessian(np.zeros(0, dtype)).shape == (0, 0)


@FLOATS
@pytest.mark.parametrize("n", [2, 5, 33])
def test_exponents_of_any_magnitude_neither_overflow_nor_underflow(n, dtype):
    x = np.random.default_rng(0).uniform(-1, 1, n).astype(dtype)
    # shifts that don't round x
    x = np.round(x * 64).astype(dtype) / 64
    eps = np.finfo(dtype).eps
    for shift in (-40000.0, -900.0, 900.0, 40000.0):
        shift = dtype(shift)
        np.testing.assert_allclose(cf.logsumexp(x + shift), cf.logsumexp(x) + shift, rtol=eps)
        np.testing.assert_array_equal(cf.logsumexp_gradient(x + shift), cf.logsumexp_gradient(x))
    largest = np.finfo(dtype).max
    assert cf.logsumexp(np.array([largest, -largest, largest], dtype)) == largest
    np.testing.assert_array_equal(cf.logsumexp_gradient(np.array([largest, -largest, 0], dtype)), [1, 0, 0])


@FLOATS
@pytest.mark.parametrize("n", [2, 9, 40])
def test_small_terms_beside_a_maximum_of_zero_are_not_lost(n, dtype):
    x = np.full(n, -30, dtype)
    x[n // 2] = 0
    exact = np.log1p((n - 1) * np.exp(np.longdouble(-30)))
    np.testing.assert_allclose(cf.logsumexp(x), exact.astype(dtype), rtol=4 * np.finfo(dtype).eps)


@FLOATS
@pytest.mark.parametrize("n", [1, 2, 7, 32, 100])
def test_equal_exponents(n, dtype):
    x = np.full(n, 2, dtype)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(cf.logsumexp(x), 2 + np.log(n), rtol=2 * eps)
    np.testing.assert_array_equal(cf.logsumexp_gradient(x), np.full(n, dtype(1) / dtype(n)), strict=True)
    if n == 1:
        assert cf.logsumexp_hessian(x) == 0


def test_the_example_of_the_lecture():
    """log(eˣ + eʸ) at (0, log 2) has value log 3 and gradient (1/3, 2/3)."""
    x = np.array([0, np.log(2)])
    np.testing.assert_allclose(cf.logsumexp(x), np.log(3), rtol=4e-16)
    np.testing.assert_allclose(cf.logsumexp_gradient(x), [1 / 3, 2 / 3], rtol=4e-16)
    np.testing.assert_allclose(cf.logsumexp_hessian(x), np.array([[2, -2], [-2, 2]]) / 9, rtol=8e-16)


@FLOATS
@pytest.mark.parametrize("n", [3, 8, 33, 1100])
def test_the_hessian_is_symmetric_to_the_bit_and_its_rows_sum_to_zero(n, dtype):
    x = np.random.default_rng(0).standard_normal(n).astype(dtype)
    hessian = cf.logsumexp_hessian(x)
    np.testing.assert_array_equal(hessian, hessian.T)
    np.testing.assert_allclose(hessian.sum(1, dtype=np.longdouble), 0, atol=4 * np.finfo(dtype).eps)


@FLOATS
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_a_hessian_larger_than_the_cache_at_any_alignment(offset, dtype):
    n = 1801 if dtype == np.float64 else 2533  # 25 MiB
    buffer = np.full(n * n + 16, nan, dtype)
    out = buffer[offset : offset + n * n].reshape(n, n)
    x = np.random.default_rng(0).standard_normal(n).astype(dtype)
    assert cf.logsumexp_hessian(x, out=out) is out
    s = scipy.special.softmax(x.astype(np.float64))
    np.testing.assert_allclose(out, np.diag(s) - np.outer(s, s), rtol=0, atol=s.max() * 8 * np.finfo(dtype).eps)
    assert np.isnan(buffer[:offset]).all()
    assert np.isnan(buffer[offset + n * n :]).all()


@pytest.fixture
def threads():
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


@pytest.mark.parametrize("shape", [(100_003,), (20_000, 4), (3, 700)], ids=str)
def test_same_bits_for_any_number_of_threads(threads, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    calls = [lambda: cf.logsumexp(x), lambda: cf.logsumexp_gradient(x)]
    if shape[-1] < 1000:
        calls.append(lambda: cf.logsumexp_hessian(x))
    for call in calls:
        threads(1)
        reference = call()
        for count in (2, 3, 7):
            threads(count)
            np.testing.assert_array_equal(call(), reference)


@pytest.mark.parametrize("special", [None, inf, nan, -inf], ids=str)
def test_vectors_longer_than_a_chunk_of_work(special):
    x = np.random.default_rng(0).uniform(-5, 5, 100_003)
    if special is not None:
        x[70_000] = special
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(cf.logsumexp(x), scipy.special.logsumexp(x), rtol=1e-15)
        np.testing.assert_allclose(cf.logsumexp_gradient(x), scipy.special.softmax(x), rtol=1e-14)
