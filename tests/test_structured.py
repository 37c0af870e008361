"""Structured derivatives agree with the dense tensor in every form of use, as SciPy's operators and when solving."""

import copy
import pickle
import re

import numpy as np
import pytest
import scipy.sparse.linalg

import matgrad as mg
from isas import assert_passes_on
from matgrad import closed_form as cf
from matgrad._structured import Structured

RNG = np.random.default_rng(3)


def hessian(n=7, r=3, m=4, dtype=np.float64):
    U = RNG.standard_normal((n, r)).astype(dtype)
    return cf.factorization_hessian(U, m), np.einsum("ik,jl->ijkl", 2 * U.T @ U, np.eye(m, dtype=dtype))


def transposition(m=2, n=3):
    """∂Xᵀ/∂X for X of shape (m, n): no core, and crossed deltas."""
    X = mg.matrix("X", m, n)
    return X.T.diff(X).structured(X=np.zeros((m, n))), np.einsum("il,jk->ijkl", np.eye(n), np.eye(m))


def interleaved():
    """A core of three axes whose deltas lie between and are crossed; y and x have different shapes."""
    core = RNG.standard_normal((2, 3, 5))
    C, X = mg.tensor("C", 3), mg.tensor("X", 4)
    J = np.einsum("bca,ajci->ibj", C, X).diff(X).structured(C=core, X=np.zeros((5, 6, 3, 4)))
    return J, np.einsum("bca,id,je->ibjaecd", core, np.eye(4), np.eye(6))


def two_terms():
    """∂X²/∂X = δ[i,k] X[l,j] + X[i,k] δ[j,l]."""
    X, value = mg.matrix("X"), RNG.standard_normal((3, 3))
    dense = np.einsum("ik,lj->ijkl", np.eye(3), value) + np.einsum("ik,jl->ijkl", value, np.eye(3))
    return (X @ X).diff(X).structured(X=value), dense


OPERATORS = [hessian, transposition, interleaved, two_terms]


def shapes(operator):
    """The shapes of y and x."""
    return operator._structure.y_shape, operator._structure.x_shape


@pytest.mark.parametrize("make", OPERATORS)
def test_agrees_with_the_dense_tensor(make):
    operator, dense = make()
    matrix = dense.reshape(operator.shape)
    y_shape, x_shape = shapes(operator)
    assert operator.tensor_shape == dense.shape
    assert operator.dtype == np.float64
    np.testing.assert_allclose(operator.to_dense(), dense, atol=1e-14)
    v = RNG.standard_normal(operator.shape[1])
    np.testing.assert_allclose(operator @ v, matrix @ v)
    np.testing.assert_allclose(operator @ v.reshape(x_shape), (matrix @ v).reshape(y_shape))
    columns = RNG.standard_normal((operator.shape[1], 5))
    np.testing.assert_allclose(operator @ columns, matrix @ columns)
    w = RNG.standard_normal(operator.shape[0])
    np.testing.assert_allclose(operator.T @ w, matrix.T @ w)
    np.testing.assert_allclose(operator.T @ w.reshape(y_shape), (matrix.T @ w).reshape(x_shape))
    np.testing.assert_allclose(operator.T.to_dense().reshape(matrix.T.shape), matrix.T, atol=1e-14)
    np.testing.assert_allclose(w @ operator, w @ matrix)


@pytest.mark.parametrize("make", [hessian, transposition, two_terms])
def test_diagonal(make):
    operator, dense = make()
    y_shape, x_shape = shapes(operator)
    if y_shape != x_shape:
        with pytest.raises(ValueError, match=r"Structured.diagonal: y is \(3, 2\) and x is \(2, 3\)"):
            operator.diagonal()
        operator, dense = transposition(3, 3)
    np.testing.assert_allclose(operator.diagonal(), np.diagonal(dense.reshape(operator.shape)))


def test_scipy_solvers_take_it():
    H, dense = hessian()
    assert isinstance(H, scipy.sparse.linalg.LinearOperator)
    b = RNG.standard_normal(H.shape[0])
    solution, status = scipy.sparse.linalg.cg(H, b, rtol=1e-12)
    assert status == 0
    np.testing.assert_allclose(solution, H.solve(b), rtol=1e-8)
    largest = scipy.sparse.linalg.eigsh(H, k=1, return_eigenvectors=False)
    np.testing.assert_allclose(largest, np.linalg.eigvalsh(dense.reshape(H.shape))[-1:])


def test_scipy_algebra_of_operators_works():
    H, dense = hessian()
    matrix, v = dense.reshape(H.shape), RNG.standard_normal(H.shape[1])
    np.testing.assert_allclose((2 * H) @ v, 2 * matrix @ v)
    np.testing.assert_allclose((H @ H) @ v, matrix @ (matrix @ v))
    np.testing.assert_allclose((H + H) @ v, 2 * matrix @ v)
    np.testing.assert_allclose(H.matvec(v), matrix @ v)
    np.testing.assert_allclose(H.rmatvec(v), matrix.T @ v)
    np.testing.assert_allclose(H.dot(v), matrix @ v)
    np.testing.assert_allclose(H * v, matrix @ v)


def test_it_can_be_pickled_and_copied():
    H, dense = hessian()
    for other in (pickle.loads(pickle.dumps(H)), copy.deepcopy(H)):
        np.testing.assert_allclose(other.to_dense(), dense)


def test_descriptions():
    assert hessian()[0].describe() == "2UᵀU ⊗ I"
    assert hessian()[0].T.describe() == "2UᵀU ⊗ I"
    assert two_terms()[0].describe() == "I ⊗ Xᵀ + X ⊗ I"
    assert transposition()[0].describe() == "δ[i,l] δ[j,k]"
    assert interleaved()[0].describe() == "δ[i,o] C[j,n,l] δ[k,m]"
    assert repr(hessian()[0]) == "<Structured 2UᵀU ⊗ I, shape (3, 4, 3, 4), float64>"


# --- the Hessian of a factorization -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "sizes", [(7, 3, 4), (1, 1, 1), (200, 5, 200), (5, 17, 3), (33, 8, 2), (600, 70, 130)], ids=str
)
def test_factorization_hessian_is_the_derivative_of_the_gradient(sizes, dtype):
    """The gradient −2Uᵀ(X − UV) is affine in V: its difference along a direction is the Hessian's product exactly."""
    n, r, m = sizes
    U, V, X = (RNG.standard_normal(shape) for shape in ((n, r), (r, m), (n, m)))
    U = U.astype(dtype)
    H = cf.factorization_hessian(U, m)
    assert H.dtype == dtype
    assert H.nbytes == r * r * np.dtype(dtype).itemsize
    direction = RNG.standard_normal((r, m)).astype(dtype)

    def gradient(V):
        return -2 * U.T.astype(float) @ (X - U @ V)

    product = H @ direction
    assert product.dtype == dtype
    assert product.shape == (r, m)
    difference = gradient(V + direction) - gradient(V)
    tolerance = 8 * np.sqrt(n + r) * np.finfo(dtype).eps
    magnitude = 2 * np.abs(U).T.astype(float) @ (np.abs(U) @ np.abs(direction))
    assert np.all(np.abs(product - difference) <= tolerance * magnitude + 1e-11)


@pytest.mark.parametrize("isa", mg.available_isas())
def test_factorization_hessian_on_every_instruction_set(isa):
    assert_passes_on(isa, __file__, "is_the_derivative")


def test_factorization_hessian_is_symmetric_and_has_the_same_bits_on_any_number_of_threads():
    U, v = RNG.standard_normal((700, 300)), RNG.standard_normal((300, 400))
    threads = mg.get_num_threads()
    try:
        products = []
        for count in (1, 2, 3, 7):
            mg.set_num_threads(count)
            H = cf.factorization_hessian(U, 400)
            np.testing.assert_array_equal(H._cores[0], H._cores[0].T)
            products.append(H @ v)
    finally:
        mg.set_num_threads(threads)
    for other in products[1:]:
        np.testing.assert_array_equal(other, products[0])


def test_factorization_hessian_takes_any_layout():
    U = RNG.standard_normal((6, 3))
    v = RNG.standard_normal((3, 4))
    reference = cf.factorization_hessian(U, 4) @ v
    for other in (np.asfortranarray(U), U.astype(">f8"), U.tolist(), np.repeat(U, 2, 0)[::2], U[::-1].copy()[::-1]):
        np.testing.assert_allclose(cf.factorization_hessian(other, 4) @ v, reference, rtol=1e-14)
    for other in (np.asfortranarray(v), v.astype(">f8"), v.tolist(), np.repeat(v, 2, 1)[:, ::2]):
        np.testing.assert_allclose(cf.factorization_hessian(U, 4) @ other, reference, rtol=1e-14)
    integers = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(
        (cf.factorization_hessian(integers, 2) @ np.eye(3)[:, :2]), 2 * integers.T @ integers[:, :2]
    )
    assert (cf.factorization_hessian(U.astype(np.float32), 4) @ v).dtype == np.float64


@pytest.mark.parametrize("sizes", [(0, 3, 4), (5, 0, 4), (5, 3, 0)], ids=str)
def test_empty_sizes(sizes):
    n, r, m = sizes
    H = cf.factorization_hessian(np.ones((n, r)), m)
    assert H.shape == (r * m, r * m)
    np.testing.assert_array_equal(H @ np.ones((r, m)), np.zeros((r, m)))
    assert H.to_dense().shape == (r, m, r, m)


def test_the_hessian_does_not_change_with_u():
    U = RNG.standard_normal((6, 3))
    H = cf.factorization_hessian(U, 4)
    before = H.to_dense()
    U[...] = 0
    np.testing.assert_array_equal(H.to_dense(), before)


def test_to_dense_into_out():
    H, dense = hessian()
    for out in (np.full(H.tensor_shape, np.nan), np.full((*H.tensor_shape, 2), np.nan)[..., 0]):
        assert H.to_dense(out=out) is out
        np.testing.assert_allclose(out, dense)


WRONG_OUT = [
    (lambda H: np.zeros(H.shape), ValueError, r"out has shape \(12, 12\) but must be \(3, 4, 3, 4\)"),
    (lambda H: np.zeros(H.tensor_shape, np.float32), TypeError, "out has dtype <f4"),
    (lambda H: np.zeros(H.tensor_shape, ">f8"), TypeError, "out has dtype >f8"),
    (lambda H: np.zeros(H.tensor_shape).tolist(), TypeError, "out is of type list"),
    (lambda H: np.broadcast_to(0.0, H.tensor_shape), ValueError, "out is read-only"),
]


@pytest.mark.parametrize(("make", "error", "message"), WRONG_OUT, ids=[row[2] for row in WRONG_OUT])
def test_wrong_out_raises(make, error, message):
    H, _ = hessian()
    with pytest.raises(error, match=f"^Structured.to_dense: {message}"):
        H.to_dense(out=make(H))


def test_a_dense_tensor_larger_than_memory_raises_but_products_work():
    H = cf.factorization_hessian(np.ones((3, 100)), 10**5)
    with pytest.raises(MemoryError, match=r"^Structured.to_dense: the result of shape \(100, 100000, 100, 100000\)"):
        H.to_dense()
    assert (H @ np.ones((100, 10**5))).shape == (100, 10**5)


@pytest.mark.parametrize(
    "v", [np.ones(11), np.ones((4, 3)), np.ones((3, 4, 1)), np.ones((11, 2))], ids=lambda v: str(v.shape)
)
def test_wrong_shapes_raise(v):
    H, _ = hessian()
    with pytest.raises(ValueError, match=rf"^Structured.@: v is {re.escape(str(v.shape))} but must be \(3, 4\)"):
        H @ v
    with pytest.raises(ValueError, match=r"^Structured.solve: b is"):
        H.solve(v)


WRONG_ARGUMENTS = [
    ((np.ones(3), 2), ValueError, r"U has shape \(3,\) but must have at least 2 axes"),
    ((np.ones((2, 3, 4)), 2), ValueError, r"U has shape \(2, 3, 4\) but must be a matrix"),
    ((np.ones((2, 3), np.float16), 2), TypeError, "U has dtype float16"),
    ((np.ones((2, 3)), -1), ValueError, "m is -1"),
    ((np.ones((2, 3)), 2.0), TypeError, r"m is 2\.0 but must be an integer"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG_ARGUMENTS, ids=[row[2] for row in WRONG_ARGUMENTS])
def test_wrong_arguments_raise(arguments, error, message):
    with pytest.raises(error, match=f"^factorization_hessian: {message}"):
        cf.factorization_hessian(*arguments)


def test_what_is_no_array_of_numbers_raises():
    H, _ = hessian()
    with pytest.raises(TypeError, match=r"^Structured.@: v has dtype complex128"):
        H @ np.ones((3, 4), complex)
    with pytest.raises(ValueError, match="Scalar operands"):
        H @ 2.0
    assert mg.Structured is Structured
