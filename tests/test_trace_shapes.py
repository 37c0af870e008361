"""Functions that look at shapes, take arrays apart and loop over them, as real NumPy code does, against differences."""

import functools

import numpy as np
import pytest

import matgrad as mg

x = np.array([0.7, -1.3, 2.1, 0.4])
A = np.random.default_rng(0).standard_normal((3, 4))


def loop_over_rows(A):
    return sum(row @ row * (k + 1) for k, row in enumerate(A))


def loop_over_range(A):
    total = 0.0
    for i in range(len(A)):
        for j in range(A.shape[1]):
            total += A[i, j] ** (i + 1)
    return total


def unpacked(A):
    first, *rest = A
    a, b, c, d = first
    return a * b + c * d + sum(np.sum(r**3) for r in rest)


def zipped(A):
    return np.stack([u @ v for u, v in zip(A, A[::-1], strict=True)])


def list_of_rows(A):
    rows = list(A)
    rows.append(rows[0] * rows[1])
    return np.vstack(rows).sum(axis=0)


def by_ndim(A):
    while A.ndim > 1:
        A = A[0] if A.shape[0] == 1 else A[1:] * A[:-1]
    return A


def by_functions_of_shapes(A):
    assert np.shape(A) == A.shape
    assert np.ndim(A) == A.ndim
    assert np.size(A) == A.size
    assert not np.iscomplexobj(A)
    assert np.isrealobj(A)
    assert np.result_type(A, np.float32) == np.float64
    assert A.dtype == np.float64
    assert np.size(A, 0) == len(A) == 3
    m, n = np.shape(A)
    return A.reshape(n, m) @ np.ones(np.size(A, 0)) / np.size(A)


def standardized(A):
    return (A - A.mean(axis=0)) / np.sqrt(((A - A.mean(axis=0)) ** 2).sum(axis=0) / (A.shape[0] - 1))


def polynomial(A):
    return functools.reduce(lambda value, row: value * 0.5 + row, A, 0.0)


def max_by_sorted_keys(A):
    chosen = {k: row for k, row in enumerate(A) if k % 2 == 0}
    return np.concatenate([chosen[k] for k in sorted(chosen, reverse=True)])


def closure_over_counts(A):
    counts = np.zeros(A.shape[0], int)
    for k in range(A.shape[0]):
        counts[k] += k + 1
    return counts @ A


def numeric_buffer(A):
    weights = np.empty(A.shape)
    for k in range(len(weights)):
        weights[k] = k - 1.0
    return np.sum(weights * A**2, axis=1)


def recursion(A):
    if len(A) == 1:
        return A[0]
    half = len(A) // 2
    return np.sin(recursion(A[:half])) * recursion(A[half:])


CASES = (
    loop_over_rows, loop_over_range, unpacked, zipped, list_of_rows, by_ndim, by_functions_of_shapes, standardized,
    polynomial, max_by_sorted_keys, closure_over_counts, numeric_buffer, recursion,
)  # fmt: skip


@pytest.mark.parametrize("f", CASES)
def test_derivatives_are_those_of_the_function(f):
    value, pullback = mg.vjp(f, A)
    np.testing.assert_allclose(value, f(A), rtol=1e-13)
    v = np.cos(np.arange(A.size)).reshape(A.shape)
    u = np.sin(1.0 + np.arange(np.size(value))).reshape(np.shape(value))
    slope = (f(A + 1e-6 * v) - f(A - 1e-6 * v)) / 2e-6
    np.testing.assert_allclose(mg.jvp(f, (A,), (v,))[1], slope, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(np.sum(pullback(u)[0] * v), np.sum(u * slope), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("f", [f for f in CASES if f not in (by_functions_of_shapes, unpacked)])
def test_another_shape_is_traced_anew(f):
    gradient = mg.grad(lambda A: np.sum(f(A) ** 2))
    for B in (A, A[:, :2] + 1, np.concatenate([A, A]) * 0.3):
        v = np.cos(np.arange(B.size)).reshape(B.shape)
        ahead, behind = (np.sum(f(B + h * v) ** 2) for h in (1e-6, -1e-6))
        np.testing.assert_allclose(np.sum(gradient(B) * v), (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: np.asarray(x).sum(), "take it as it is"),
        (lambda x: np.array(x), "take it as it is"),
        (lambda x: np.ascontiguousarray(x), "take it as it is"),
        (lambda x: np.array([x, 2 * x]), r"np\.stack"),
        (lambda x: x if x[0] > 0 else -x, r"np\.where"),
        (lambda x: max(x), r"np\.where"),
        (lambda x: sorted(x)[0], r"np\.where"),
        (lambda x: float(x[0]), "Python number"),
        (lambda x: np.zeros(int(x[0])), "Python number"),
        (lambda x: range(x[0]), "interpreted as an integer"),
        (lambda x: f"{x[0]:.3f}" and x, "format"),
    ],
)
def test_what_needs_values_says_what_to_do(f, words):
    with pytest.raises(TypeError, match=words):
        mg.jacobian(f)(x)


def test_a_traced_array_is_no_ndarray():
    seen = []
    mg.grad(lambda x: seen.append((isinstance(x, np.ndarray), np.isscalar(x))) or np.sum(x))(x)
    assert set(seen) == {(False, False)}
