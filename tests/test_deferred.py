"""Products with what isn't stored for them, A + Aᵀ and inverses, agree with NumPy's."""

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(12)
SIZES = [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 64, 65, 150, 400]


def evaluate(function, *values):
    symbols = [mg.tensor(f"x{k}", value.ndim) for k, value in enumerate(values)]
    return function(*symbols).compile(*symbols)(*values)


def agree(function, *values):
    dtype = np.result_type(*values)
    got, expected = evaluate(function, *values), function(*(v.astype(np.longdouble) for v in values))
    assert got.dtype == dtype
    assert got.shape == expected.shape
    scale = np.max(np.abs(expected), initial=1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=100 * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_symmetric_product(n, dtype):
    A, x = RNG.uniform(-1, 1, (n, n)).astype(dtype), RNG.uniform(-1, 1, n).astype(dtype)
    agree(lambda A, x: (A + A.T) @ x, A, x)
    agree(lambda A, x: 3 * (A.T + A) @ x, A, x)
    agree(lambda A: (A + A.T) / 2, A)
    agree(lambda A: A + A.T, A)


@pytest.mark.parametrize("n", [2, 5, 8, 40])
def test_gradient_of_a_quadratic_form_is_its_closed_form(n):
    A, x = mg.matrix("A"), mg.vector("x")
    A0, x0 = RNG.uniform(-1, 1, (n, n)), RNG.uniform(-1, 1, n)
    gradient = (x @ A @ x).diff(x)
    np.testing.assert_array_equal(gradient(A=A0, x=x0), mg.closed_form.quadratic_form_gradient(A0, x0))
    hessian = gradient.diff(x)
    np.testing.assert_array_equal(hessian(A=A0), mg.closed_form.quadratic_form_hessian(A0))


SYMMETRIZED = {
    "of rows apart": lambda A, x: (A[::2, 1:22] + A[::2, 1:22].T) @ x[1:22],
    "of columns apart": lambda A, x: (A[:21, ::2] + A[:21, ::2].T) @ x[::2],
    "upside down": lambda A, x: (A[::-1, :42] + A[::-1, :42].T) @ x,
    "of every other entry": lambda A, x: (A[::2, ::2] + A[::2, ::2].T) @ x[::2],
    "turned": lambda A, x: (A.T[1:, 1:] + A[1:, 1:]) @ x[1:],
    "a vector from behind": lambda A, x: (A[:41, :41] + A[:41, :41].T) @ x[::-1][:41],
    "a block of rows": lambda A, x: (A[:41, :41] + A[:41, :41].T)[3:] @ x[:41],
    "a form": lambda A, x: x[:41] @ (A[:41, :41] + A[:41, :41].T) @ x[:41],
    "with a matrix": lambda A, x: (A[:41, :41] + A[:41, :41].T) @ (A[:41, :7] * x[:7]),
    "elementwise": lambda A, x: (A[:41, :41] + A[:41, :41].T) * x[:41],
    "the sum itself, too": lambda A, x: (A[:41, :41] + A[:41, :41].T) @ x[:41] + np.sum(A[:41, :41] + A[:41, :41].T, 1),
    "of every other column alone": lambda A, x: A[:21, ::2] + A[:21, ::2].T + x[0],
    "of a product": lambda A, x: (A[:41, :9] @ A[:9, :41] + (A[:41, :9] @ A[:9, :41]).T) @ x[:41],
}


@pytest.mark.parametrize("name", SYMMETRIZED)
def test_symmetrized(name):
    agree(SYMMETRIZED[name], RNG.uniform(-1, 1, (42, 42)), RNG.uniform(-1, 1, 42))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 3, 8, 20])
def test_stacks(n, dtype):
    A, x = RNG.uniform(-1, 1, (30, n, n)).astype(dtype), RNG.uniform(-1, 1, (30, n)).astype(dtype)
    agree(lambda A: A + np.swapaxes(A, 1, 2), A)
    agree(lambda A: A + np.swapaxes(A, 0, 2), RNG.uniform(-1, 1, (n, 7, n)).astype(dtype))

    def products(A, x):
        return ((A + np.swapaxes(A, 1, 2)) @ x[:, :, None])[:, :, 0]

    agree(products, A, x)
    agree(lambda A, x: products(A[::3], x[::3]), A, x)
    agree(lambda A, x: ((A + np.swapaxes(A, 1, 2)) @ x[0, :, None])[:, :, 0], A, x)
    agree(lambda A, x: np.swapaxes(((A + np.swapaxes(A, 1, 2)) @ x[:, :, None])[:, :, 0], 0, 1), A, x)


@pytest.mark.parametrize("n", [1, 4, 300])
def test_results_of_other_strides(n):
    A, A0 = mg.matrix("A"), RNG.uniform(-1, 1, (n, n))
    wide, expected = np.zeros((n, 2 * n)), A0 + A0.T
    ((A + A.T) / 2).compile(A)(A0, out=wide[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], expected / 2)
    np.testing.assert_array_equal(wide[:, 1::2], 0)
    (A + A.T).compile(A)(A0, out=A0)
    np.testing.assert_array_equal(A0, expected)
