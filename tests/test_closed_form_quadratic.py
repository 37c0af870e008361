"""Quadratic forms on sizes that are cut into chunks and blocks: bits that don't depend on threads or alignment."""

import numpy as np
import pytest

import matgrad as mg
from matgrad import closed_form as cf

FORMS = {
    "value": lambda A, x: cf.quadratic_form(A, x),
    "gradient": lambda A, x: cf.quadratic_form_gradient(A, x),
    "hessian": lambda A, x: cf.quadratic_form_hessian(A),
}


@pytest.fixture
def threads():
    before = mg.get_num_threads()
    yield mg.set_num_threads
    mg.set_num_threads(before)


def operands(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape[:-1]).astype(dtype)


def at_offset(array, elements):
    """Return a copy of an array that starts so many elements after an address that is a multiple of 64."""
    buffer = np.empty(array.size + 32, array.dtype)
    start = -buffer.ctypes.data % 64 // array.itemsize + elements
    copy = buffer[start : start + array.size].reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(701, 701), (512, 512), (2, 400, 400), (5000, 8, 8), (100, 33, 33)], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_same_bits_for_any_number_of_threads(threads, form, shape, dtype):
    A, x = operands(shape, dtype)
    threads(1)
    serial = FORMS[form](A, x)
    for count in (2, 3, 7):
        threads(count)
        np.testing.assert_array_equal(FORMS[form](A, x), serial, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [256, 272, 300])
@pytest.mark.parametrize("form", FORMS)
def test_same_bits_for_any_alignment(form, n, dtype):
    A, x = operands((n, n), dtype)
    reference = FORMS[form](at_offset(A, 0), x)
    for elements in range(1, 17):
        np.testing.assert_array_equal(FORMS[form](at_offset(A, elements), at_offset(x, elements // 3)), reference)


@pytest.mark.parametrize("n", [128, 600, 1024])
def test_large_gradient_is_within_its_bound(n):
    A, x = operands((n, n), np.float64)
    exact = A.astype(np.longdouble) @ x + x @ A.astype(np.longdouble)
    bound = 4 * np.sqrt(n) * np.finfo(np.float64).eps * (abs(A) @ abs(x) + abs(x) @ abs(A))
    assert np.all(abs(cf.quadratic_form_gradient(A, x) - exact) <= bound)
    assert abs(cf.quadratic_form(A, x) - x @ exact / 2) <= abs(x) @ bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [63, 65, 72, 128, 391])
@pytest.mark.parametrize("offset", [0, 1, 2, 7])
def test_hessian_over_several_blocks_is_exact(n, offset, dtype):
    A, _ = operands((n, n), dtype)
    np.testing.assert_array_equal(cf.quadratic_form_hessian(at_offset(A, offset)), A + A.T, strict=True)


@pytest.mark.parametrize(("n", "dtype"), [(1840, np.float64), (2560, np.float32), (1801, np.float64)])
@pytest.mark.parametrize("offset", [0, 2])
def test_hessian_larger_than_the_cache_is_exact(n, dtype, offset):
    A, _ = operands((n, n), dtype)
    out = at_offset(np.empty_like(A), offset)
    np.testing.assert_array_equal(cf.quadratic_form_hessian(A, out=out), A + A.T)


def test_hessian_of_rows_far_apart():
    A, _ = operands((200, 300), np.float64)
    np.testing.assert_array_equal(cf.quadratic_form_hessian(A[:, 3:203]), A[:, 3:203] + A[:, 3:203].T)


def test_infinite_and_undefined_values_propagate():
    for n in (3, 8, 40):
        A, x = np.ones((n, n)), np.ones(n)
        A[1, 2] = np.inf
        np.testing.assert_array_equal(np.isinf(cf.quadratic_form_gradient(A, x)), np.isin(np.arange(n), [1, 2]))
        A[1, 2] = np.nan
        np.testing.assert_array_equal(np.isnan(cf.quadratic_form_gradient(A, x)), np.isin(np.arange(n), [1, 2]))
        assert np.isnan(cf.quadratic_form(A, x))
