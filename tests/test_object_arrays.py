"""NumPy's object arrays of traced scalars: arrays and lists of results, and what NumPy computes of them."""

import numpy as np
import pytest

import matgrad as mg

x = np.array([0.3, -1.2, 2.5, 0.7])
w = np.array([2.0, -1.0, 0.5])


def differences(f, x, h=1e-6):
    """Return the Jacobian of a function by central differences."""
    steps = np.eye(x.size).reshape(x.size, *x.shape) * h
    return np.stack([(np.asarray(f(x + s), float) - np.asarray(f(x - s), float)) / (2 * h) for s in steps], -1)


IDIOMS = {
    "vector": lambda x: np.array([x[0] * x[1], np.sin(x[2]), x[3]]),
    "matrix": lambda x: np.array([[x[0], x[1] ** 2], [x[2] * x[0], -x[3]]]),
    "tensor": lambda x: np.array([[[x[0]], [x[1]]], [[1.5], [x[3]]]]),
    "with numbers": lambda x: np.array([1, x[0], 2.0, 3, x[2], np.float64(4), 5, True]),
    "of no axes": lambda x: np.array(x[0] * x[1]),
    "comprehension": lambda x: np.array([v**k for k, v in enumerate(x)]),
    "r_": lambda x: np.r_[x[0], 1.0, x[1] * x[2], 2:4],
    "r_ of vectors": lambda x: np.r_[x, 1.0, x[::-1] ** 2],
    "c_": lambda x: np.c_[x, x**2, np.arange(4.0)],
    "sum": lambda x: np.sum([x[0] * x[1], x[2]]),
    "mean": lambda x: np.mean([x[0] * x[1], x[2]]),
    "mean of a tuple": lambda x: np.mean((x[0] * x[1], x[2], 1.0)),
    "mean of vectors": lambda x: np.mean([x, x**2]),
    "mean of vectors by axis": lambda x: np.mean([x, x**2], axis=0),
    "std": lambda x: np.std([x[0] * x[1], x[2], x[3]]),
    "var": lambda x: np.var([x[0] * x[1], x[2], x[3]]),
    "prod": lambda x: np.prod([x[0] * x[1], x[2], x[3]]),
    "cumsum": lambda x: np.cumsum([x[0] * x[1], x[2], x[3]]),
    "norm": lambda x: np.linalg.norm([x[0] * x[1], x[2]]),
    "dot": lambda x: np.dot([x[0] * x[1], x[2], 1.0], w),
    "dot of two": lambda x: np.dot(np.array([x[0], x[2]]), np.array([x[1], x[3]])),
    "matrix product": lambda x: np.outer(w, w) @ np.array([x[0] * x[1], x[2], x[3]]),
    "functions": lambda x: np.sqrt(np.array([np.exp(x[0]), x[2]])) + np.tanh(np.array([x[1], x[3]])),
    "function of two": lambda x: np.arctan2(np.array([x[0], x[1]]), 2.0) + np.hypot(np.array([x[0], x[1]]), [3.0, 4.0]),
    "conjugate": lambda x: np.conj(np.array([x[0], x[1]])).real,
    "arithmetic": lambda x: (2 * np.array([x[0], x[1]]) - 1) / np.array([x[2], 4.0]) ** 2,
    "with a traced array": lambda x: np.array([x[0], x[1], x[2], 1.0]) * x + x @ np.array([x[3], 1.0, 2.0, x[0]]),
    "lists as operands": lambda x: x @ [x[0], 1.0, x[1], 2] + np.dot(x, [x[3], x[2], 1.0, 0.0]),
    "lists of arrays as operands": lambda x: np.dot(x, [x, 2 * x, [1.0, 2, 3, x[0]], w[0] * x]),
    "reshaped and transposed": lambda x: np.array([[x[0], x[1]], [x[2], 1.0]]).T.reshape(4)[1:3],
    "filled": lambda x: fill(np.empty((2, 2), object), x),
    "polynomial": lambda x: np.polynomial.polynomial.polyval(x, [1.0, 2.0, 3.0]),
    "loop over rows": lambda x: np.array([row @ row for row in np.outer(x, x)]),
    "loop over pairs": lambda x: np.array([[a * b for a in x] for b in x]),
}


def fill(array, x):
    array[:] = 1.0
    array[0, 0] = x[0] * x[1]
    array[1] = [x[2], x[3]]
    return array


@pytest.mark.parametrize("f", IDIOMS.values(), ids=IDIOMS)
def test_the_jacobian_is_that_of_the_numpy_function(f):
    np.testing.assert_allclose(mg.jacobian(f)(x), differences(f, x), rtol=1e-7, atol=1e-8)
    value, _ = mg.vjp(f, x)
    np.testing.assert_allclose(value, np.asarray(f(x), float), rtol=1e-14)


@pytest.mark.parametrize("f", IDIOMS.values(), ids=IDIOMS)
def test_second_derivatives_are_those_of_the_jacobian(f):
    np.testing.assert_allclose(mg.hessian(f)(x), differences(mg.jacobian(f), x), rtol=1e-6, atol=1e-7)


def test_object_arrays_are_auxiliary_results():
    _, aux = mg.grad(lambda x: (x[0], {"a": np.array([x[1], 1.0])}), has_aux=True)(x)
    np.testing.assert_array_equal(aux["a"], [x[1], 1.0])
    assert aux["a"].dtype == np.float64


def test_the_precision_is_that_of_the_arguments():
    y = x.astype(np.float32)
    assert mg.grad(lambda x: np.mean([x[0], x[1] * x[2]]))(y).dtype == np.float32


def test_arrays_that_numpy_asked_for_are_put_together_from_slices():
    f = mg.formula(lambda x: np.r_[x, 1.0], x)
    assert str(f) == str(mg.formula(lambda x: np.concatenate([x, [1.0]]), x))


def test_neighbouring_entries_are_put_together():
    f = mg.formula(lambda x: np.array([x[0], x[1], 1.0, x[2], x[3]]), x)
    g = mg.formula(lambda x: np.concatenate([x[0:2], [1.0], x[2:4]]), x)
    assert str(f) == str(g)


def test_symbols_become_entries_only_while_a_transform_calls_the_function():
    a, b = mg.scalars("a b")
    with pytest.raises(TypeError, match="can't become an array"):
        np.array([a, b])
    gradient = mg.grad(lambda a: np.dot(np.array([a * b, np.sqrt(a)]), [1.0, 2.0]))(a)
    assert gradient(a=4.0, b=3.0) == 3.5


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: np.array([x[0], x[1]], dtype=float), "np.zeros_like"),
        (lambda x: np.array([x[0], x[1]]).astype(float), "np.zeros_like"),
        (lambda x: np.asarray(x[0], dtype=np.float32), "an array of float32.*no dtype"),
        (lambda x: np.array([x, x]), "np.stack"),
        (lambda x: np.asarray(x), "np.stack"),
        (lambda x: np.max([x[0], x[1]]), "np.stack"),
        (lambda x: np.float64(x[0]), "np.zeros_like"),
        (lambda x: x * np.array([x[0], None, x[1], "s"]), "multiply: an object array holds None"),
    ],
)
def test_what_needs_values_says_what_to_do(f, words):
    with pytest.raises(TypeError, match=words):
        mg.jacobian(f)(x)


def test_large_arrays_dont_become_object_arrays():
    with pytest.raises(TypeError, match="can't become an array"):
        mg.jacobian(lambda x: np.r_[x, 1.0])(np.zeros(20_000))
