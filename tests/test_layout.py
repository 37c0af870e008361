"""Layouts and flattening: shapes of the table, the chain rule as a matrix product, identities of vec and Kronecker."""

import itertools

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(1)
M, N, P, Q = 2, 3, 4, 5

TABLE = [  # y's shape, x's shape, numerator, denominator
    ((), (), (1, 1), (1, 1)),
    ((M,), (), (M, 1), (1, M)),
    ((M, N), (), (M, N), (N, M)),
    ((), (N,), (1, N), (N, 1)),
    ((M,), (N,), (M, N), (N, M)),
    ((), (P, Q), (Q, P), (P, Q)),
    ((M,), (P, Q), (M, P * Q), (P * Q, M)),
    ((M, N), (P,), (M * N, P), (P, M * N)),
    ((M, N), (P, Q), (M * N, P * Q), (P * Q, M * N)),
    ((M, N, P), (), (M * N * P, 1), (1, M * N * P)),
    ((), (M, N, P), (1, M * N * P), (M * N * P, 1)),
    ((0, N), (P, Q), (0, P * Q), (P * Q, 0)),
]
SHAPES = [(), (M,), (N, P)]


def derivative(y_shape, x_shape):
    return RNG.standard_normal(y_shape + x_shape)


def commutation(m, n):
    """K with K vec(X) = vec(Xᵀ) for X of shape (m, n)."""
    K = np.zeros((m * n, m * n))
    for i, j in np.ndindex(m, n):
        K[i * n + j, j * m + i] = 1
    return K


@pytest.mark.parametrize(("y_shape", "x_shape", "numerator", "denominator"), TABLE, ids=str)
def test_shapes_of_the_table(y_shape, x_shape, numerator, denominator):
    J = derivative(y_shape, x_shape)
    assert mg.to_layout(J, len(y_shape), "tensor") is J
    assert mg.to_layout(J, len(y_shape), "numerator").shape == numerator
    assert mg.to_layout(J, len(y_shape), "denominator").shape == denominator


@pytest.mark.parametrize(("y_shape", "x_shape"), [row[:2] for row in TABLE], ids=str)
def test_denominator_layout_is_the_transpose_of_numerator_layout(y_shape, x_shape):
    J = derivative(y_shape, x_shape)
    numerator, denominator = (mg.to_layout(J, len(y_shape), layout) for layout in ("numerator", "denominator"))
    np.testing.assert_array_equal(denominator, numerator.T)


def test_entries_are_where_the_table_says():
    J = derivative((), (P, Q))
    np.testing.assert_array_equal(mg.to_layout(J, 0, "denominator"), J)
    J = derivative((M, N), ())
    np.testing.assert_array_equal(mg.to_layout(J, 2, "numerator"), J)
    J = derivative((M, N), (P, Q))
    matrix = mg.to_layout(J, 2, "numerator")
    for i, j, k, l in np.ndindex(J.shape):
        assert matrix[j * M + i, l * P + k] == J[i, j, k, l]
        assert mg.flatten(J, 2, order="C")[i * N + j, k * Q + l] == J[i, j, k, l]


@pytest.mark.parametrize("shapes", list(itertools.product(SHAPES, repeat=3)), ids=str)
def test_chain_rule_is_a_matrix_product(shapes):
    """f by g by x: numerator layout multiplies in order, denominator layout in reverse; matrices are flattened."""
    f, g, x = shapes
    by_g, by_x = derivative(f, g), derivative(g, x)
    chained = np.tensordot(by_g, by_x, axes=len(g))
    np.testing.assert_allclose(mg.flatten(by_g, len(f)) @ mg.flatten(by_x, len(g)), mg.flatten(chained, len(f)))
    if any(len(shape) == 2 for shape in shapes):
        return
    numerator = [mg.to_layout(J, n, "numerator") for J, n in ((by_g, len(f)), (by_x, len(g)), (chained, len(f)))]
    np.testing.assert_allclose(numerator[0] @ numerator[1], numerator[2])
    denominator = [mg.to_layout(J, n, "denominator") for J, n in ((by_g, len(f)), (by_x, len(g)), (chained, len(f)))]
    np.testing.assert_allclose(denominator[1] @ denominator[0], denominator[2])


@pytest.mark.parametrize("shapes", list(itertools.product([(M,), (N, P)], repeat=3)), ids=str)
def test_chain_rule_of_layouts_through_vectors_and_matrices(shapes):
    """Where neither end is a scalar, to_layout flattens matrices by itself, and the chain rule holds as it is."""
    f, g, x = shapes
    by_g, by_x = derivative(f, g), derivative(g, x)
    chained = np.tensordot(by_g, by_x, axes=len(g))
    for layout, order in (("numerator", 1), ("denominator", -1)):
        left, right = [mg.to_layout(by_g, len(f), layout), mg.to_layout(by_x, len(g), layout)][::order]
        np.testing.assert_allclose(left @ right, mg.to_layout(chained, len(f), layout))


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize(("y_shape", "x_shape"), [row[:2] for row in TABLE], ids=str)
def test_unflatten_inverts_flatten(y_shape, x_shape, order):
    J = derivative(y_shape, x_shape)
    np.testing.assert_array_equal(mg.unflatten(mg.flatten(J, len(y_shape), order), y_shape, x_shape, order), J)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 3, 4), (0, 3)], ids=str)
def test_vec_reads_in_fortran_order_and_unvec_inverts_it(shape):
    X = RNG.standard_normal(shape)
    np.testing.assert_array_equal(mg.vec(X), X.ravel(order="F"))
    np.testing.assert_array_equal(mg.unvec(mg.vec(X), shape), X)


def test_flatten_agrees_with_vec():
    """A linear map Y = L(X) satisfies vec(Y) = ∂vec(Y)/∂vec(X) vec(X)."""
    J, X = derivative((M, N), (P, Q)), RNG.standard_normal((P, Q))
    np.testing.assert_allclose(mg.flatten(J, 2) @ mg.vec(X), mg.vec(np.tensordot(J, X, 2)))


def test_results_are_views_where_they_can_be():
    J = derivative((M,), (N,))
    assert np.shares_memory(mg.to_layout(J, 1, "denominator"), J)
    assert np.shares_memory(mg.vec(np.asfortranarray(J)), J) is False
    X = np.asfortranarray(J)
    assert np.shares_memory(mg.vec(X), X)


# --- identities -------------------------------------------------------------------------------------------------------


def test_derivative_of_a_product_flattens_to_a_kronecker_product():
    """∂(A X B)/∂X: A[i,k] B[l,j], flattened Bᵀ ⊗ A."""
    A, B = derivative((M, N), ()), derivative((P, Q), ())
    np.testing.assert_array_equal(mg.flatten(np.einsum("ik,lj->ijkl", A, B), 2), np.kron(B.T, A))
    X = derivative((N, P), ())
    np.testing.assert_allclose(np.kron(B.T, A) @ mg.vec(X), mg.vec(A @ X @ B))


def test_derivative_of_a_matrix_by_itself_flattens_to_the_identity():
    np.testing.assert_array_equal(mg.flatten(np.einsum("ik,jl->ijkl", np.eye(M), np.eye(N)), 2), np.eye(M * N))


def test_derivative_of_the_transpose_flattens_to_the_commutation_matrix():
    """∂Xᵀ/∂X: δ[i,l] δ[j,k], flattened K."""
    K = mg.flatten(np.einsum("il,jk->ijkl", np.eye(N), np.eye(M)), 2)
    np.testing.assert_array_equal(K, commutation(M, N))
    X = derivative((M, N), ())
    np.testing.assert_array_equal(K @ mg.vec(X), mg.vec(X.T))


def test_commutation_matrices_commute_kronecker_products():
    A, B = derivative((M, N), ()), derivative((P, Q), ())
    np.testing.assert_allclose(
        commutation(P, M) @ np.kron(A, B) @ commutation(N, Q), np.kron(B, A), err_msg="K (A ⊗ B) K = B ⊗ A"
    )


def test_derivative_of_the_square_flattens_to_a_kronecker_sum():
    """∂X²/∂X: flattened Xᵀ ⊗ I + I ⊗ X."""
    X, eye = derivative((N, N), ()), np.eye(N)
    J = np.einsum("ik,lj->ijkl", eye, X) + np.einsum("ik,jl->ijkl", X, eye)
    np.testing.assert_allclose(mg.flatten(J, 2), np.kron(X.T, eye) + np.kron(eye, X))


def test_derivative_of_the_gram_matrix_flattens_to_its_identity():
    """∂XᵀX/∂X: δ[l,i] X[k,j] + δ[l,j] X[k,i], flattened (I + K)(I ⊗ Xᵀ)."""
    X = derivative((M, N), ())
    J = np.einsum("li,kj->ijkl", np.eye(N), X) + np.einsum("lj,ki->ijkl", np.eye(N), X)
    identity = (np.eye(N * N) + commutation(N, N)) @ np.kron(np.eye(N), X.T)
    np.testing.assert_allclose(mg.flatten(J, 2), identity)
    if hasattr(mg.closed_form, "gram_jacobian"):
        np.testing.assert_allclose(mg.flatten(mg.closed_form.gram_jacobian(X), 2), identity)


def test_derivative_of_the_outer_gram_matrix_flattens_to_its_identity():
    """∂XXᵀ/∂X: flattened (I + K)(X ⊗ I)."""
    X = derivative((M, N), ())
    J = np.einsum("ik,jl->ijkl", np.eye(M), X) + np.einsum("jk,il->ijkl", np.eye(M), X)
    np.testing.assert_allclose(mg.flatten(J, 2), (np.eye(M * M) + commutation(M, M)) @ np.kron(X, np.eye(M)))


# --- errors -----------------------------------------------------------------------------------------------------------

J23 = np.zeros((2, 3))
WRONG = [
    (lambda: mg.to_layout(J23, 3, "tensor"), ValueError, r"to_layout: y_ndim is 3 .*J is \(2, 3\)"),
    (lambda: mg.to_layout(J23, -1, "tensor"), ValueError, "to_layout: y_ndim is -1"),
    (lambda: mg.to_layout(J23, 1.0, "tensor"), TypeError, r"to_layout: y_ndim is 1\.0"),
    (lambda: mg.to_layout(J23, 1, "jacobian"), ValueError, "to_layout: layout is 'jacobian'"),
    (lambda: mg.to_layout(J23, 1, ["numerator"]), ValueError, "to_layout: layout is"),
    (lambda: mg.to_layout("abc", 0, "tensor"), TypeError, "to_layout: J has dtype"),
    (lambda: mg.flatten(object(), 0), TypeError, "flatten: J has dtype object"),
    (lambda: mg.flatten(np.ma.zeros((2, 3)), 1), TypeError, "flatten: J is a numpy.ma"),
    (lambda: mg.flatten([[1.0], [2.0, 3.0]], 1), ValueError, "flatten: J is a list"),
    (lambda: mg.flatten(J23, 3), ValueError, "flatten: y_ndim is 3"),
    (lambda: mg.flatten(J23, 1, "K"), ValueError, "flatten: order is 'K'"),
    (lambda: mg.unflatten(J23, (3,), (2,)), ValueError, r"unflatten: M is \(2, 3\) but must be \(3, 2\)"),
    (lambda: mg.unflatten(J23, (2,), (3.0,)), TypeError, r"unflatten: x_shape is \(3\.0,\)"),
    (lambda: mg.unflatten(J23, (-1,), (3,)), ValueError, "unflatten: y_shape is"),
    (lambda: mg.unflatten(J23, (2,), (3,), "A"), ValueError, "unflatten: order is 'A'"),
    (lambda: mg.vec("abc"), TypeError, "vec: X has dtype"),
    (lambda: mg.unvec(np.zeros(5), (2, 3)), ValueError, r"unvec: v is \(5,\) but must be \(6,\)"),
    (lambda: mg.unvec(np.zeros((2, 3)), (2, 3)), ValueError, r"unvec: v is \(2, 3\)"),
    (lambda: mg.unvec(np.zeros(6), "23"), TypeError, "unvec: shape is '23'"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_errors_name_function_and_argument(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
