"""Jacobian tensors large enough to be written past the cache, wherever their memory begins, and nothing beside it."""

import numpy as np
import pytest

import matgrad as mg
from matgrad import closed_form as cf

RNG = np.random.default_rng(0)


def identity(n, dtype):
    return np.eye(n, dtype=dtype)


def matvec(m, n, dtype):
    A, x = RNG.standard_normal((m, n)).astype(dtype), RNG.standard_normal(n).astype(dtype)
    return cf.matvec_jacobian, (A, x), (np.einsum("ik,l->ikl", identity(m, dtype), x),)


def matmul(m, k, n, dtype):
    A, B = RNG.standard_normal((m, k)).astype(dtype), RNG.standard_normal((k, n)).astype(dtype)
    by_A = np.einsum("ip,qj->ijpq", identity(m, dtype), B)
    return cf.matmul_jacobian, (A, B), (by_A, np.einsum("ip,jq->ijpq", A, identity(n, dtype)))


def gram(m, n, dtype):
    R = RNG.standard_normal((m, n)).astype(dtype)
    by_columns = np.einsum("jp,iq->pqij", identity(n, dtype), R)
    return cf.gram_jacobian, (R,), (by_columns + by_columns.swapaxes(0, 1),)


CASES = {
    "matvec-small": (matvec, 5, 7),
    "matvec": (matvec, 70, 701),
    "matvec-long-rows": (matvec, 3, 400001),
    "matvec-short-rows": (matvec, 1800, 1),
    "matmul-small": (matmul, 2, 3, 4),
    "matmul": (matmul, 42, 43, 44),
    "matmul-row": (matmul, 1, 150, 151),
    "matmul-column": (matmul, 1800, 1, 1),
    "gram-small": (gram, 3, 4),
    "gram": (gram, 43, 42),
    "gram-row": (gram, 1, 150),
    "gram-column": (gram, 3200000, 1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_every_entry_and_nothing_beside_it_is_written(case, dtype):
    make, *sizes = CASES[case]
    function, operands, expected = make(*sizes, dtype)
    for offset in (0, 2, 5):
        buffers = [np.full(e.size + 48, -7, dtype) for e in expected]
        starts = [-b.ctypes.data % 64 // b.itemsize + offset for b in buffers]
        outs = tuple(b[s : s + e.size].reshape(e.shape) for b, s, e in zip(buffers, starts, expected, strict=True))
        function(*operands, out=outs if len(outs) > 1 else outs[0])
        for buffer, start, out, reference in zip(buffers, starts, outs, expected, strict=True):
            np.testing.assert_array_equal(out, reference)
            assert np.all(buffer[:start] == -7)
            assert np.all(buffer[start + out.size :] == -7)


@pytest.mark.parametrize("case", ["matvec", "matmul", "gram"])
def test_any_number_of_threads(case):
    make, *sizes = CASES[case]
    function, operands, expected = make(*sizes, np.float64)
    before = mg.get_num_threads()
    try:
        for count in (1, 2, 7):
            mg.set_num_threads(count)
            results = function(*operands)
            for result, reference in zip(results if len(expected) > 1 else [results], expected, strict=True):
                np.testing.assert_array_equal(result, reference, strict=True)
    finally:
        mg.set_num_threads(before)


def test_stack_of_large_tensors():
    R = RNG.standard_normal((3, 30, 28))
    np.testing.assert_array_equal(cf.gram_jacobian(R), np.stack([cf.gram_jacobian(r) for r in R]), strict=True)


def test_infinities_do_not_spread():
    R = np.array([[np.inf, 1.0], [2.0, np.nan]])
    J = cf.gram_jacobian(R)
    assert J[0, 0, 0, 0] == np.inf
    assert np.isnan(J).sum() == 3  # R[1, 1] appears in ∂K[0, 1], ∂K[1, 0] and ∂K[1, 1]
    assert np.count_nonzero(np.isfinite(J)) == J.size - 6
