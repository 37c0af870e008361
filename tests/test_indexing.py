"""Indexing of expressions by arrays of integers and bools: values, derivatives and adjoints against NumPy's own."""

import itertools
import pickle

import numpy as np
import pytest

import matgrad as mg

A = mg.matrix("A")
M = np.random.default_rng(5).standard_normal((5, 7))
KEYS = [
    [0, 4, 0],
    ([0, 4], [6, -1]),
    (slice(None), [3, 1, 1]),
    ([[0, 1], [2, 4]], slice(1, 6, 2)),
    (0, [1, 2]),
    ([1, 2], 3),
    (None, [1]),
    ([0, 1], None, [1, 2]),
    ([[0], [3]], [1, 2, 6]),
    np.array([True, False, True, False, True]),
    M > 0,
    (slice(None), np.arange(7) % 2 == 0),
    (..., [0, -1]),
    np.array([], int),
    ([4], slice(None, None, -1)),
    np.array(3),
]


def jacobian_of(key, shape):
    """The derivative of X[key] by X: rows of the identity."""
    places = np.arange(np.prod(shape)).reshape(shape)[key]
    return np.eye(np.prod(shape))[places].reshape(*places.shape, *shape)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_values_derivatives_and_adjoints(key, dtype):
    e, X = A[key], M.astype(dtype)
    wanted, J = X[key], jacobian_of(key, M.shape).astype(dtype)
    value = e(A=X)
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, wanted)
    np.testing.assert_array_equal(e.diff(A)(A=X), J)
    weights = np.random.default_rng(1).standard_normal(wanted.shape)
    w = mg.tensor("w", wanted.ndim)
    gradient = np.sum(np.exp(e) * w).diff(A)(A=X, w=weights.astype(dtype))
    adjoint = np.tensordot(weights * np.exp(M[key]), J, wanted.ndim)
    np.testing.assert_allclose(gradient, adjoint, rtol=1e-5 if dtype == np.float32 else 1e-14, atol=1e-6)
    np.testing.assert_array_equal(eval(e.to_numpy(), {"np": np, "A": X}), wanted)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(e))(A=X), wanted)


def test_selections_of_selections():
    x = mg.vector("x")
    X = np.arange(10.0)
    p, q = np.array([3, 1, 1, 9, -2]), np.array([[0, 4], [2, 2]])
    for e, wanted in [
        (x[p][q], X[p][q]),
        (x[1:][p - 1][::-1], X[1:][p - 1][::-1]),
        (x[::2][q][0], X[::2][q][0]),
        (x.reshape(2, 5)[:, [4, 0]].ravel()[[3, 0]], X.reshape(2, 5)[:, [4, 0]].ravel()[[3, 0]]),
    ]:
        np.testing.assert_array_equal(e(x=X), wanted)
        weights = np.arange(1.0, 1 + wanted.size).reshape(wanted.shape)
        J = e.diff(x)(x=X)
        np.testing.assert_array_equal(J @ X, wanted)
        np.testing.assert_allclose(np.sum(e * weights).diff(x)(x=X), np.tensordot(weights, J, weights.ndim))


def test_no_entries():
    x = mg.vector("x")
    none = x[[]]
    for e, wanted in [
        (none, np.zeros(0)),
        (np.sum(none).diff(x), np.zeros(3)),
        (np.sum(none**2).diff(x, x), np.zeros((3, 3))),
    ]:
        np.testing.assert_array_equal(e(x=np.ones(3)), wanted)
    np.testing.assert_array_equal(none(x=np.zeros(0)), np.zeros(0))
    p = mg.vector("p")
    np.testing.assert_array_equal(np.sum(np.exp(x[p])).diff(x)(x=np.ones(3), p=np.zeros(0, int)), np.zeros(3))


def test_more_indices_than_a_step_takes():
    T = mg.tensor("T", 5)
    X = np.random.default_rng(2).standard_normal((3, 4, 2, 3, 2))
    key = tuple(np.random.default_rng(3).integers(0, n, 6) for n in X.shape)
    np.testing.assert_array_equal(T[key](T=X), X[key])
    gradient = np.zeros_like(X)
    np.add.at(gradient, key, 2 * X[key])
    np.testing.assert_allclose(np.sum(T[key] ** 2).diff(T)(T=X), gradient)


def test_an_index_may_be_an_argument():
    x, p = mg.vectors("x p")
    fn = np.sum(x[p] ** 2).diff(x).compile(x, p)
    np.testing.assert_array_equal(fn(np.arange(4.0), np.array([1, 3, 1])), [0, 4, 0, 6])
    i = mg.scalar("i")
    np.testing.assert_array_equal(A[i](A=M, i=2), M[2])


def test_an_index_has_no_effect_on_the_precision():
    x, p = mg.vectors("x p")
    places = np.array([1, 3, 1])
    single = np.arange(4.0, dtype=np.float32)
    assert (x[p] * 2).compile(x, p)(single, places).dtype == np.float32
    value, gradient = mg.value_and_grad(lambda x: np.sum(x[places] ** 2))(single)
    assert value.dtype == gradient.dtype == np.float32
    assert (x[p] * p).compile(x, p)(single, places).dtype == np.float64  # as NumPy promotes


def test_the_same_bits_for_any_number_of_threads():
    X = np.random.default_rng(2).standard_normal((3000, 40))
    places = np.random.default_rng(3).integers(0, 3000, 9000)
    results = []
    for threads in (1, 3):
        mg.set_num_threads(threads)
        results.append((A[places](A=X), np.sum(A[places] ** 3).diff(A)(A=X)))
    mg.set_num_threads(2)
    for a, b in itertools.pairwise(results):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_indices_are_checked():
    x, p = mg.vectors("x p")
    for bad, message in [
        ([5], "index 5 is out of bounds for an axis of length 5"),
        ([-6], "index -6"),
        ([1.5], "integer"),
    ]:
        out = np.full(1, 7.0)
        with pytest.raises(IndexError, match=message):
            x[p].compile(x, p)(np.arange(5.0), np.array(bad), out=out)
        assert out[0] == 7
    with pytest.raises(IndexError, match="only integers, slices"):
        x[1.5]
    with pytest.raises(IndexError, match="only integers, slices"):
        x[[0.5]]


def test_a_float32_function_of_an_axis_that_is_too_long_is_refused():
    x = mg.vector("x")
    with pytest.raises(IndexError, match="float32"):
        x[[0]](x=np.broadcast_to(np.float32(1), 2**24 + 1))


def test_traced_functions():
    places = np.array([0, 2, 2])
    gradient = mg.grad(lambda x: np.sum(x[places] ** 2))
    x = np.arange(4.0)
    np.testing.assert_array_equal(gradient(x), [0, 0, 8, 0])
    places[0] = 1  # is read at every call
    np.testing.assert_array_equal(gradient(x), [0, 2, 8, 0])
    by_argument = mg.grad(lambda x, p: np.sum(x[p] ** 2))
    np.testing.assert_array_equal(by_argument(x, np.array([3, 0])), [0, 0, 0, 6])
    np.testing.assert_array_equal(by_argument(x, x < 2), [0, 2, 0, 0])
    np.testing.assert_array_equal(by_argument(x, x > 1), [0, 0, 4, 6])
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(x[x > 1] ** 2))(x), [0, 0, 4, 6])


def test_masks_have_the_shape_of_what_they_index():
    x = np.arange(5.0)
    for mask in (np.array([True, False]), np.ones(7, bool)):
        with pytest.raises(IndexError, match="a mask of shape"):
            mg.grad(lambda x, mask=mask: np.sum(x[mask] ** 2))(x)
        with pytest.raises(IndexError, match="a mask of shape"):
            mg.vector("x", 5)[mask]
    for bad in (lambda A: A[(A > 0)[:1]], lambda A: A[(A > 0)[:, :1]]):
        with pytest.raises(IndexError, match="the condition has shape"):
            mg.grad(lambda A, bad=bad: np.sum(bad(A)))(M)


def test_what_a_condition_selects_is_a_copy():
    def copied(x):
        x = x.copy()
        selected = x[x > 1]
        x[:] = 5
        other = selected.copy()
        other += 1
        return np.sum(selected**2)

    x = np.array([0.5, 2.0, 3.0])
    value, gradient = mg.value_and_grad(copied)(x)
    assert value == copied(x)
    np.testing.assert_array_equal(gradient, [0, 4, 6])
    with pytest.raises(NotImplementedError, match="maximum"):
        mg.grad(lambda x: np.maximum.reduce(x[x > 0], initial=10))(x)
    with pytest.raises(NotImplementedError, match="add"):
        mg.grad(lambda x: np.sum(np.add.reduce(x[x[:, 0] > 0])))(M)


def test_an_index_out_of_bounds_leaves_a_trace_as_it_is():
    inverse = mg.grad(lambda A: np.sum(np.linalg.inv(A)))
    with pytest.raises(np.linalg.LinAlgError):
        inverse(np.zeros((2, 2)))
    np.testing.assert_allclose(inverse(2 * np.eye(3)), np.full((3, 3), -0.25))
