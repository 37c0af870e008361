"""The factorization loss over observed entries, and what the common table can't say of the dense one."""

import numpy as np
import pytest
import scipy.sparse

import matgrad as mg
from matgrad import closed_form as cf

from .cases import LAMBDA


def reference(X, U, V, l2=0.0):
    """Value, gradients, and the magnitude of the terms of each, entry by entry in extended precision."""
    U, V = U.astype(np.longdouble), V.astype(np.longdouble)
    value, dU, dV = l2 * (np.sum(U**2) + np.sum(V**2)), 2 * l2 * U, 2 * l2 * V
    sizes = [abs(value), abs(dU), abs(dV)]
    for i in range(X.shape[0]):
        for e in range(X.indptr[i], X.indptr[i + 1]):
            j, x = X.indices[e], X.data[e].astype(np.longdouble)
            residual, size = x - U[i] @ V[:, j], abs(x) + abs(U[i]) @ abs(V[:, j])
            value += residual**2
            dU[i] -= 2 * residual * V[:, j]
            dV[:, j] -= 2 * residual * U[i]
            sizes[0] += size**2
            sizes[1][i] += 2 * size * abs(V[:, j])
            sizes[2][:, j] += 2 * size * abs(U[i])
    return (value, dU, dV), sizes


def problem(m, n, r, density=0.3, dtype=np.float64, index=np.int32, seed=0):
    rng = np.random.default_rng(seed)
    X = scipy.sparse.csr_array(np.where(rng.random((m, n)) < density, rng.standard_normal((m, n)), 0).astype(dtype))
    X.indptr, X.indices = X.indptr.astype(index), X.indices.astype(index)
    return X, rng.standard_normal((m, r)).astype(dtype), rng.standard_normal((r, n)).astype(dtype)


def flat(result):
    return (result[0], *result[1])


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("m", "n", "r"), [(1, 1, 1), (5, 7, 3), (7, 5, 8), (30, 21, 17), (3, 40, 33), (0, 4, 2), (4, 0, 2), (4, 5, 0)]
)
def test_observed_entries_agree_with_a_sum_entry_by_entry(m, n, r, dtype, index):
    X, U, V = problem(m, n, r, dtype=dtype, index=index)
    got = flat(cf.factorization_value_and_gradient(X, U, V, l2=0.25))
    bound = LAMBDA * np.sqrt(max(1, m * n + r)) * np.finfo(dtype).eps
    for result, expected, size in zip(got, *reference(X, U, V, 0.25), strict=True):
        assert result.dtype == dtype
        assert result.shape == np.shape(expected)
        assert np.all(abs(result - expected) <= bound * size)


def test_all_entries_observed_is_the_dense_loss():
    X, U, V = problem(300, 200, 9, density=1)
    for one, other in zip(
        flat(cf.factorization_value_and_gradient(X, U, V)),
        flat(cf.factorization_value_and_gradient(X.toarray(), U, V)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-11)


def test_explicit_zeros_are_observed_and_repeated_entries_count_twice():
    U, V = np.array([[1.0], [2.0]]), np.array([[3.0, 4.0]])
    zeros = scipy.sparse.csr_array((np.array([0.0]), np.array([1]), np.array([0, 1, 1])), shape=(2, 2))
    value, (dU, dV) = cf.factorization_value_and_gradient(zeros, U, V)
    assert value == 16
    np.testing.assert_array_equal(dU, [[2 * 4 * 4], [0]])
    np.testing.assert_array_equal(dV, [[0, 2 * 4 * 1]])
    twice = scipy.sparse.csr_array((np.array([0.0, 0.0]), np.array([1, 1]), np.array([0, 2, 2])), shape=(2, 2))
    value2, (dU2, dV2) = cf.factorization_value_and_gradient(twice, U, V)
    assert value2 == 2 * value
    np.testing.assert_array_equal(dU2, 2 * dU)
    np.testing.assert_array_equal(dV2, 2 * dV)


def test_observed_entries_of_a_stack_of_factors():
    X, U, V = problem(9, 8, 3)
    stack = np.stack([U, -U, 2 * U])
    values, (dU, dV) = cf.factorization_value_and_gradient(X, stack, V)
    for p in range(3):
        value, (du, dv) = cf.factorization_value_and_gradient(X, stack[p], V)
        assert values[p] == value
        np.testing.assert_array_equal(dU[p], du)
        np.testing.assert_array_equal(dV[p], dv)


def test_observed_entries_give_the_same_bits_for_any_number_of_threads():
    X, U, V = problem(900, 120, 20, density=0.5)
    before = mg.get_num_threads()
    results = []
    for threads in (1, 2, 3, 7):
        mg.set_num_threads(threads)
        results.append([np.asarray(x).tobytes() for x in flat(cf.factorization_value_and_gradient(X, U, V))])
    mg.set_num_threads(before)
    assert all(result == results[0] for result in results)


def test_observed_entries_write_into_out_even_where_it_overlaps_an_operand():
    X, U, V = problem(20, 12, 5)
    value, (dU, dV) = cf.factorization_value_and_gradient(X, U, V)
    u, v = U.copy(), V.copy()
    value2, (du, dv) = cf.factorization_value_and_gradient(X, u, v, out=(u, v))
    assert du is u
    assert dv is v
    assert value2 == value
    np.testing.assert_array_equal(u, dU)
    np.testing.assert_array_equal(v, dV)


FUNCTION = "^factorization_value_and_gradient: "


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, U, V: (X.tocsc(), U, V), TypeError, "X is a sparse array in csc format"),
        (lambda X, U, V: (X, U[1:], V), ValueError, r"X is \(6, 5\), U is \(5, 2\)"),
        (lambda X, U, V: (X, U, V[:1]), ValueError, r"V is \(1, 5\)"),
        (lambda X, U, V: (X, U[0], V), ValueError, r"U is \(2,\)"),
        (lambda X, U, V: (X, U, V, np.ones(X.shape)), TypeError, "weights"),
        (lambda X, U, V: (X, U, V, None, "1"), TypeError, "l2 is of type str"),
        (lambda X, U, V: (X.astype(complex), U, V), TypeError, "X has dtype complex128"),
        (lambda X, U, V: (with_indices(X, 5), U, V), ValueError, "X.indices must"),
        (lambda X, U, V: (with_indices(X, -1), U, V), ValueError, "X.indices must"),
        (lambda X, U, V: (with_row_end(X, X.nnz + 1), U, V), ValueError, "X.indptr must"),
    ],
)
def test_wrong_observed_entries_raise(change, error, message):
    X, U, V = problem(6, 5, 2, density=0.7)
    out = np.full_like(U, np.nan), np.full_like(V, np.nan)
    with pytest.raises(error, match=FUNCTION + ".*" + message):
        cf.factorization_value_and_gradient(*change(X, U, V), out=out)
    assert np.isnan(out[0]).all()
    assert np.isnan(out[1]).all()


def with_indices(X, column):
    changed = X.copy()
    changed.indices[3] = column
    return changed


def with_row_end(X, end):
    changed = X.copy()
    changed.indptr[-1] = end
    return changed


@pytest.mark.parametrize("n", [3, 8, 13])
def test_an_infinite_factor_gives_what_numpy_gives(n):
    """Columns that fill up a register must not turn ∞ into NaN."""
    rng = np.random.default_rng(1)
    X, U, V = rng.random((4, n)), rng.random((4, 2)) + 1, rng.random((2, n)) + 1
    U[1, 0] = np.inf
    value, (dU, _) = cf.factorization_value_and_gradient(X, U, V)
    residual = X - np.sum(U[:, :, None] * V, axis=1)
    assert value == np.inf
    np.testing.assert_allclose(dU, -2 * np.sum(residual[:, None] * V, axis=2), rtol=1e-12)


@pytest.mark.parametrize(("m", "n"), [(1700, 40), (40, 1700), (900, 900)])
def test_large_problems_are_cut_along_either_axis(m, n):
    rng = np.random.default_rng(2)
    X, U, V = rng.standard_normal((m, n)), rng.standard_normal((m, 21)), rng.standard_normal((21, n))
    value, (dU, dV) = cf.factorization_value_and_gradient(X, U, V, l2=0.5)
    R = X - U @ V
    np.testing.assert_allclose(value, np.sum(R**2) + 0.5 * (np.sum(U**2) + np.sum(V**2)), rtol=1e-12)
    np.testing.assert_allclose(dU, -2 * R @ V.T + U, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dV, -2 * U.T @ R + V, rtol=1e-9, atol=1e-9)
