"""Sums and sums of products over any axes, of any lengths and strides, agree with NumPy's in higher precision."""

import numpy as np
import pytest

import matgrad as mg
from isas import assert_passes_on

RNG = np.random.default_rng(13)
SHAPES = [
    (0, 3),
    (3, 0),
    (1, 1),
    (1, 9),
    (9, 1),
    (3, 5),
    (8, 8),
    (7, 33),
    (33, 7),
    (64, 65),
    (130, 17),
    (17, 1030),
    (2051, 5),
]
LARGE = [(3, 70_000), (70_000, 3), (5000, 40), (40, 5000), (300, 2049)]


def agree(function, *values):
    symbols = [mg.tensor(f"x{k}", value.ndim) for k, value in enumerate(values)]
    got = function(*symbols).compile(*symbols)(*values)
    expected = function(*(value.astype(np.longdouble) for value in values))
    bound = function(*(np.abs(value).astype(np.longdouble) for value in values))
    assert np.shape(got) == np.shape(expected)
    dtype = np.result_type(*values)
    assert np.all(np.abs(got - expected) <= 40 * np.finfo(dtype).eps * bound)


def random(*shape, dtype=np.float64):
    return RNG.uniform(-1, 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES + LARGE)
def test_products_of_a_matrix_and_a_vector(shape, dtype):
    m, n = shape
    A, x, y = random(m, n, dtype=dtype), random(n, dtype=dtype), random(m, dtype=dtype)
    agree(lambda A, x: A @ x, A, x)
    agree(lambda A, y: y @ A, A, y)
    agree(lambda A: np.sum(A, axis=0), A)
    agree(lambda A: np.sum(A, axis=1), A)
    agree(lambda A: np.sum(A), A)
    agree(lambda A, B: np.sum(A * B, axis=0), A, A[::-1].copy())
    agree(lambda A, B: np.sum(A * B, axis=1), A, A[::-1].copy())
    agree(lambda A, B: np.einsum("ij,ji->", A, B), A, np.ascontiguousarray(A.T))


@pytest.mark.parametrize("shape", [(9, 12), (41, 30), (600, 130)])
def test_parts_of_a_matrix(shape):
    m, n = shape
    A, x, y = random(m, n), random(n), random(m)
    agree(lambda A, x: A[1:, ::2] @ x[::2], A, x)
    agree(lambda A, x: A[::-1, ::-1] @ x, A, x)
    agree(lambda A, x: A[::3, 1:] @ x[:-1], A, x)
    agree(lambda A, y: y[::-1] @ A[:, ::-1], A, y)
    agree(lambda A, y: y[::2] @ A[::2, 2:], A, y)
    agree(lambda A, x: (A @ x)[::-1] * 3, A, x)
    agree(lambda A: np.sum(A[::2, ::2], axis=0), A)
    agree(lambda A: np.sum(A[::2, ::2], axis=1), A)


@pytest.mark.parametrize("shape", [(4, 5, 6), (3, 300, 7), (300, 3, 7), (7, 3, 300), (20, 9, 1100)])
def test_sums_over_axes_of_a_tensor(shape):
    T, S = random(*shape), random(*shape)
    for axes in [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]:
        agree(lambda T, axes=axes: np.sum(T, axis=axes), T)
        agree(lambda T, S, axes=axes: np.sum(T * S, axis=axes), T, S)
    agree(lambda T, x: np.einsum("ijk,j->ik", T, x), T, random(shape[1]))
    agree(lambda T, x: np.einsum("ijk,i->jk", T, x), T, random(shape[0]))
    agree(lambda T, x: np.einsum("ijk,ij->ik", T, x), T, random(*shape[:2]))
    agree(lambda T, x: np.einsum("ijk,ij->k", T, x), T, random(*shape[:2]))
    agree(lambda T, x: np.einsum("ijk,ki->ij", T, x), T, random(shape[2], shape[0]))


def test_the_number_of_threads_does_not_change_sums():
    A, x, y = random(3000, 90), random(90), random(3000)
    symbols = mg.matrix("A"), mg.vector("x"), mg.vector("y")
    functions = [
        f.compile(*symbols[:1], *s)
        for f, s in [
            (symbols[0] @ symbols[1], symbols[1:2]),
            (symbols[2] @ symbols[0], symbols[2:]),
            (np.sum(symbols[0], axis=0), ()),
        ]
    ]
    results = []
    before = mg.get_num_threads()
    try:
        for threads in (1, 2, 5):
            mg.set_num_threads(threads)
            results.append([functions[0](A, x), functions[1](A, y), functions[2](A)])
    finally:
        mg.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("isa", mg.available_isas())
def test_sums_on_every_instruction_set(isa):
    assert_passes_on(isa, __file__, "test_products_of_a_matrix_and_a_vector or test_parts_of_a_matrix")
