"""Bilinear form, distance: special values, extreme magnitudes, exact symmetry, results larger than the cache."""

import numpy as np
import pytest

import matgrad as mg
from matgrad import closed_form as cf

FLOATS = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])


def vectors(count, n, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal((count, n)).astype(dtype)


@FLOATS
@pytest.mark.parametrize("n", [3, 8, 33, 100, 1100])
def test_hessians_are_symmetric_to_the_bit(n, dtype):
    a, b = vectors(2, n, dtype)
    for hessian in (cf.bilinear_form_hessian(a, b), cf.distance_hessian(a, b)):
        np.testing.assert_array_equal(hessian, hessian.T)


@FLOATS
@pytest.mark.parametrize("n", [1, 4, 33])
def test_derivatives_of_a_distance_are_zero_at_its_kink(n, dtype):
    (a,) = vectors(1, n, dtype)
    np.testing.assert_array_equal(cf.distance_gradient(a, a), np.zeros(n, dtype), strict=True)
    np.testing.assert_array_equal(cf.distance_hessian(a, a), np.zeros((n, n), dtype), strict=True)


def test_a_kink_in_a_stack_leaves_the_other_problems_alone():
    x, a = np.ones((3, 5)), np.zeros((3, 5))
    a[1] = 1
    r = np.full(5, 1 / np.sqrt(5))
    np.testing.assert_allclose(cf.distance_gradient(x, a), [r, 0 * r, r], rtol=1e-15)
    H = (np.eye(5) - np.outer(r, r)) / np.sqrt(5)
    np.testing.assert_allclose(cf.distance_hessian(x, a), [H, 0 * H, H], atol=1e-16)


@FLOATS
def test_a_distance_on_a_line_has_slope_one_and_no_curvature(dtype):
    for x in np.concatenate([vectors(1, 1000, dtype)[0], np.array([0.1, 3, 49, 1e-30, 1e30], dtype)]):
        assert cf.distance_gradient([x], np.zeros(1, dtype)) == [np.sign(x)]
        assert cf.distance_hessian(np.array([x]), np.zeros(1, dtype)) == 0


EXTREMES = {
    np.float32: [1e-45, 7e-45, 1e-40, 1e-38, 1e-25, 1e-13, 1e-12, 1e-11, 1e15, 1e18, 1e19, 1e20, 1e30, 5e37],
    np.float64: [5e-324, 1e-320, 1e-308, 1e-170, 1e-139, 1e-138, 1e-137, 1e150, 1e154, 1e155, 1e200, 2e307],
}


@FLOATS
@pytest.mark.parametrize("n", [2, 9])
def test_a_distance_whose_square_overflows_or_underflows_is_right(n, dtype):
    direction = np.array([3, -4] + [0] * (n - 2), dtype)
    unit = np.array([0.6, -0.8] + [0] * (n - 2), dtype)
    eps = np.finfo(dtype).eps
    for magnitude in EXTREMES[dtype]:
        x, a = direction * dtype(magnitude), np.zeros(n, dtype)
        np.testing.assert_allclose(cf.distance_gradient(x, a), unit, atol=4 * eps)
        rho = 5 * np.longdouble(dtype(magnitude))
        with np.errstate(over="ignore"):
            exact = ((np.eye(n) - np.outer(unit, unit).astype(np.longdouble)) / rho).astype(dtype)
        hessian = cf.distance_hessian(x, a)
        assert not np.isnan(hessian).any()
        finite = np.isfinite(exact)
        np.testing.assert_array_equal(hessian[~finite], exact[~finite])
        tolerance = max(float(4 * eps / rho), float(np.finfo(dtype).smallest_subnormal))
        np.testing.assert_allclose(hessian[finite], exact[finite], rtol=0, atol=tolerance)


def test_infinity_and_not_a_number_in_a_distance_propagate_as_in_numpy():
    a = np.zeros(3)
    for x in ([1.0, np.inf, 2.0], [1.0, np.nan, 2.0], [np.inf, np.nan, 2.0], [np.inf, -np.inf, 0.0]):
        r = np.array(x)
        with np.errstate(invalid="ignore"):
            unit = r / np.sqrt(r @ r)
            hessian = (np.eye(3) - np.outer(unit, unit)) / np.sqrt(r @ r)
        np.testing.assert_array_equal(cf.distance_gradient(x, a), unit)
        np.testing.assert_array_equal(cf.distance_hessian(x, a), hessian)


@FLOATS
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_results_larger_than_the_cache_at_any_alignment(offset, dtype):
    n = 1801 if dtype == np.float64 else 2533  # 25 MiB
    buffer = np.full(n * n + 16, np.nan, dtype)
    out = buffer[offset : offset + n * n].reshape(n, n)
    a, b = vectors(2, n, dtype)
    eps = np.finfo(dtype).eps
    assert cf.bilinear_form_hessian(a, b, out=out) is out
    np.testing.assert_allclose(out, np.outer(a, b) + np.outer(b, a), rtol=0, atol=16 * eps)
    assert cf.distance_hessian(a, b, out=out) is out
    r = (a - b) / np.linalg.norm(a - b)
    np.testing.assert_allclose(out, (np.eye(n) - np.outer(r, r)) / np.linalg.norm(a - b), rtol=0, atol=2 * eps)
    assert np.isnan(buffer[:offset]).all()
    assert np.isnan(buffer[offset + n * n :]).all()


@pytest.fixture
def threads():
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


@pytest.mark.parametrize("shape", [(100_003,), (20_000, 4), (3, 700)], ids=str)
def test_same_bits_for_any_number_of_threads(threads, shape):
    a, b, x = np.random.default_rng(0).standard_normal((3, *shape))
    calls = [lambda: cf.bilinear_form_gradient(a, b, x), lambda: cf.distance_gradient(x, a)]
    if shape[-1] < 1000:
        calls += [lambda: cf.bilinear_form_hessian(a, b), lambda: cf.distance_hessian(x, a)]
    for call in calls:
        threads(1)
        reference = call()
        for count in (2, 3, 7):
            threads(count)
            np.testing.assert_array_equal(call(), reference)


def test_long_vectors():
    n = 100_003
    a, b, x = vectors(3, n)
    wide = [v.astype(np.longdouble) for v in (a, b, x)]
    exact = (wide[1] @ wide[2]) * wide[0] + (wide[0] @ wide[2]) * wide[1]
    np.testing.assert_allclose(cf.bilinear_form_gradient(a, b, x), exact.astype(float), rtol=0, atol=1e-12 * np.sqrt(n))
    np.testing.assert_allclose(cf.distance_gradient(x, a), (x - a) / np.linalg.norm(x - a), rtol=1e-14)
