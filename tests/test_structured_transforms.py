"""Transforms and expressions give structured derivatives of the right shapes, and refuse what is no derivative."""

import copy
import pickle

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(5)
X_, U_, V_ = RNG.standard_normal((6, 4)), RNG.standard_normal((6, 3)), RNG.standard_normal((3, 4))


def loss(X, U, V):
    return np.sum((X - U @ V) ** 2)


def residual(U, V):
    return U @ V


def test_the_hessian_by_one_argument():
    hessian = mg.hessian(loss, argnums=2, structured=True)
    for _ in range(2):  # traced, and found again
        H = hessian(X_, U_, V_)
        assert isinstance(H, mg.Structured)
        assert H.describe() == "2UᵀU ⊗ I"
        np.testing.assert_allclose(H.to_dense(), mg.hessian(loss, argnums=2)(X_, U_, V_))
    other = hessian(X_[:, :2], U_, V_[:, :2])
    assert other.tensor_shape == (3, 2, 3, 2)
    assert hessian(*(array.astype(np.float32) for array in (X_, U_, V_))).dtype == np.float32


def test_blocks_of_the_hessian_by_several_arguments():
    blocks = mg.hessian(loss, argnums=(1, 2), structured=True)(X_, U_, V_)
    dense = mg.hessian(loss, argnums=(1, 2))(X_, U_, V_)
    for row, dense_row in zip(blocks, dense, strict=True):
        for block, dense_block in zip(row, dense_row, strict=True):
            np.testing.assert_allclose(block.to_dense(), dense_block)


def test_the_jacobian_by_one_or_several_arguments():
    by_u, by_v = mg.jacobian(residual, argnums=(0, 1), structured=True)(U_, V_)
    dense_u, dense_v = mg.jacobian(residual, argnums=(0, 1))(U_, V_)
    assert (by_u.describe(), by_v.describe()) == ("I ⊗ Vᵀ", "U ⊗ I")
    np.testing.assert_allclose(by_u.to_dense(), dense_u)
    np.testing.assert_allclose(by_v.to_dense(), dense_v)
    assert by_v.nbytes == U_.nbytes


def test_the_hessian_of_an_array_is_an_operator_to_y_and_the_first_x():
    x = np.array([0.5, -1.0, 2.0])
    H = mg.hessian(np.exp, structured=True)(x)
    assert H.shape == (9, 3)
    np.testing.assert_allclose(H.to_dense(), mg.hessian(np.exp)(x))


def test_auxiliary_results_stay_as_they_are():
    def fun(V):
        return np.sum((X_ - U_ @ V) ** 2), {"V": 2 * V}

    H, aux = mg.hessian(fun, structured=True, has_aux=True)(V_)
    np.testing.assert_array_equal(aux["V"], 2 * V_)
    assert H.tensor_shape == (3, 4, 3, 4)
    J, aux = mg.jacobian(fun, structured=True, has_aux=True)(V_)
    np.testing.assert_allclose(J.to_dense(), mg.grad(lambda V: fun(V)[0])(V_))


def test_transforms_can_be_pickled_and_nested():
    again = pickle.loads(pickle.dumps(mg.hessian(loss, 2, structured=True)))
    assert again(X_, U_, V_).describe() == "2UᵀU ⊗ I"
    x = mg.vector("x")
    assert mg.hessian(lambda x: np.sum(x**3), structured=True)(x).equals(np.diag(6 * x))


def test_a_structured_derivative_has_no_other_layout():
    with pytest.raises(ValueError, match=r"^jacobian: layout is 'numerator' but must be 'tensor' for a structured"):
        mg.jacobian(residual, layout="numerator", structured=True)


def test_products_with_the_hessian_do_not_compute_it():
    n = 300_000  # the Hessian would take 720 GB
    x, v = RNG.standard_normal(n), RNG.standard_normal(n)
    weights = np.exp(x - np.max(x))
    p = weights / np.sum(weights)
    np.testing.assert_allclose(mg.hvp(mg.logsumexp, x, v), p * v - p * (p @ v), atol=1e-15)
    H = mg.hessian(mg.logsumexp, structured=True)(x)
    assert H.nbytes == x.nbytes
    np.testing.assert_allclose(H @ v, p * v - p * (p @ v), atol=1e-15)


# --- Expressions ---


def hessian_by_v():
    X, U, V = mg.matrices("X U V")
    return loss(X, U, V).diff(V, V)


def test_a_derivative_stays_one_when_copied():
    for derivative in (hessian_by_v(), copy.copy(hessian_by_v()), pickle.loads(pickle.dumps(hessian_by_v()))):
        assert derivative.structured(X=X_, U=U_, V=V_).nbytes == 3 * 3 * 8


def test_the_last_variable_is_x():
    f = mg.tensor("T", 3) * mg.scalar("t")
    assert f.diff(mg.scalar("t")).structured(T=np.ones((2, 3, 4)), t=1.0).shape == (24, 1)
    X, U, V = mg.matrices("X U V")
    mixed = loss(X, U, V).diff(U, V).structured(X=X_, U=U_, V=V_)
    assert mixed.tensor_shape == (6, 3, 3, 4)
    assert mixed.shape == (18, 12)


def test_what_is_no_derivative_has_no_structure():
    X = mg.matrix("X")
    for expression in (X, X.diff(X).sum(), (X @ X).diff(X, layout="numerator")):
        with pytest.raises(TypeError, match=r"^structured: the expression must be a derivative in tensor layout"):
            expression.structured(X=np.eye(2))


WRONG_VALUES = [
    ({"U": U_}, TypeError, r"structured: the expression has no symbol Y|needs a value"),
    ({"U": U_, "V": V_, "Y": X_}, TypeError, "structured: the expression has no symbol Y"),
    ({"X": X_, "U": U_[:5], "V": V_}, ValueError, "structured: X has length 6 along axis 0 but U has length 5"),
    ({"X": X_, "U": U_[0], "V": V_}, ValueError, "structured: U has 1 axis but must have 2"),
    ({"X": X_, "U": U_.astype(complex), "V": V_}, TypeError, "structured: U has dtype complex128"),
]


@pytest.mark.parametrize(("values", "error", "message"), WRONG_VALUES, ids=[row[2] for row in WRONG_VALUES])
def test_wrong_values_raise(values, error, message):
    with pytest.raises(error, match=f"^{message}"):
        hessian_by_v().structured(**values)


def test_arrays_of_any_layout_and_values_that_change_later():
    expected = hessian_by_v().structured(X=X_, U=U_, V=V_).to_dense()
    for other in (np.asfortranarray(U_), U_.astype(">f8"), U_.tolist(), np.repeat(U_, 2, 0)[::2]):
        np.testing.assert_allclose(hessian_by_v().structured(X=X_, U=other, V=V_).to_dense(), expected, rtol=1e-14)
    A, x = mg.matrix("A"), mg.vector("x")
    value = np.eye(3)
    J = (A @ x).diff(x).structured(A=value, x=np.ones(3))
    value[...] = 0
    np.testing.assert_array_equal(J.to_dense(), np.eye(3))


EMPTY = [(0, 3, 4), (5, 0, 4), (5, 3, 0)]


@pytest.mark.parametrize("sizes", EMPTY, ids=str)
def test_empty_arrays(sizes):
    n, r, m = sizes
    H = hessian_by_v().structured(X=np.ones((n, m)), U=np.ones((n, r)), V=np.ones((r, m)))
    np.testing.assert_array_equal(H @ np.ones((r, m)), np.zeros((r, m)))
    assert H.to_dense().shape == (r, m, r, m)
    assert H.to_sparse().shape == (r * m, r * m)
    assert H.diagonal().shape == (r * m,)


def test_a_dense_tensor_larger_than_memory_raises_but_products_work():
    H = hessian_by_v().structured(X=np.ones((3, 10**5)), U=np.ones((3, 100)), V=np.ones((100, 10**5)))
    with pytest.raises(MemoryError, match=r"^Structured.to_dense: the result of shape \(100, 100000, 100, 100000\)"):
        H.to_dense()
    assert (H @ np.ones((100, 10**5))).shape == (100, 10**5)
    H = hessian_by_v().structured(X=np.ones((3, 10**4)), U=np.ones((3, 1000)), V=np.ones((1000, 10**4)))
    with pytest.raises(MemoryError, match=r"^Structured.to_sparse: the entries"):
        H.to_sparse()


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_sparse_formats(format):
    H = hessian_by_v().structured(X=X_, U=U_, V=V_)
    sparse = H.to_sparse(format)
    assert sparse.format == format
    assert sparse.nnz == 3 * 3 * 4
    np.testing.assert_allclose(sparse.toarray(), H.to_dense().reshape(H.shape))
