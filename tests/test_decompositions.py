"""Decompositions and functions of matrices: values as NumPy's, derivatives as finite differences and JAX say."""

import pickle

import numpy as np
import pytest
import scipy.linalg

import matgrad as mg
from identity import run_source

RNG = np.random.default_rng(21)
SHAPES = [(1, 1), (4, 4), (5, 3), (3, 5), (7, 1), (1, 6), (0, 0), (3, 0), (0, 2), (2, 4, 4), (3, 5, 2), (0, 3, 3)]
LARGE = [(70, 70), (90, 67), (66, 81)]
MODES = ("forward", "reverse", "cross_country")


def turned(x):
    return np.swapaxes(x, -1, -2)


def definite(shape):
    A = RNG.normal(size=shape)
    return A @ turned(A) / max(1, shape[-1]) + np.eye(shape[-1])


def thin(A):
    return np.linalg.svd(A, full_matrices=False)


# Functions of any matrix, and of those that are symmetric and positive definite.
OF_ANY = {
    "svdvals": lambda A: np.linalg.svdvals(A),
    "svd without vectors": lambda A: np.linalg.svd(A, compute_uv=False),
    "U": lambda A: thin(A).U,
    "S": lambda A: thin(A)[1],
    "Vh": lambda A: thin(A).Vh,
    "pinv": lambda A: np.linalg.pinv(A),
    "Q": lambda A: np.linalg.qr(A).Q,
    "R": lambda A: np.linalg.qr(A)[1],
    "only R": lambda A: np.linalg.qr(A, mode="r"),
}
OF_DEFINITE = {
    "cholesky": lambda A: np.linalg.cholesky(A),
    "upper cholesky": lambda A: np.linalg.cholesky(A, upper=True),
    "eigvalsh": lambda A: np.linalg.eigvalsh(A),
    "eigenvalues": lambda A: np.linalg.eigh(A).eigenvalues,
    "eigenvectors": lambda A: np.linalg.eigh(A)[1],
}
VECTORS = ("U", "Vh", "Q", "R", "eigenvectors")
FUNCTIONS = {
    **{name: (f, RNG.normal(size=(4, 3))) for name, f in OF_ANY.items()},
    **{f"{name} of a wide matrix": (f, RNG.normal(size=(2, 4))) for name, f in OF_ANY.items()},
    **{f"{name} of a square matrix": (f, RNG.normal(size=(3, 3))) for name, f in OF_ANY.items()},
    **{name: (f, definite((3, 3))) for name, f in OF_DEFINITE.items()},
    **{f"{name} of a stack": (f, definite((2, 2, 2))) for name, f in OF_DEFINITE.items()},
    "U of a stack": (lambda A: thin(A)[0], RNG.normal(size=(2, 3, 2))),
    "pinv of a stack": (lambda A: np.linalg.pinv(A), RNG.normal(size=(2, 3, 2))),
    "R of a stack": (lambda A: np.linalg.qr(A).R, RNG.normal(size=(2, 3, 2))),
    "pinv of low rank": (lambda x: np.linalg.pinv(np.outer(x, x)), np.array([0.5, -1.2, 0.7])),
    "expm": (lambda A: mg.expm(A), RNG.normal(size=(3, 3))),
    "trace of expm": (lambda A: np.sin(np.trace(mg.expm(A))), RNG.normal(size=(3, 3)) / 2),
    "traces of expm": (lambda A: np.trace(mg.expm(A), axis1=1, axis2=2), RNG.normal(size=(2, 3, 3)) / 2),
    "expm of a stack": (lambda A: mg.expm(A), RNG.normal(size=(2, 2, 2))),
    "expm twice": (lambda A: mg.expm(np.sin(mg.expm(A / 2)) @ A), RNG.normal(size=(2, 2))),
    "spectral norm": (lambda A: np.linalg.norm(A, 2), RNG.normal(size=(3, 4))),
    "least singular value": (lambda A: np.linalg.norm(A, -2), RNG.normal(size=(4, 3))),
    "nuclear norm": (lambda A: np.linalg.norm(A, "nuc"), RNG.normal(size=(4, 3))),
    "nuclear norm along axes": (lambda A: np.linalg.norm(A, "nuc", axis=(2, 0)), RNG.normal(size=(2, 3, 3))),
    "condition number": (lambda A: np.linalg.cond(A), RNG.normal(size=(3, 3))),
    "condition number, 1-norm": (lambda A: np.linalg.cond(A, 1), RNG.normal(size=(3, 3))),
    "log determinant": (lambda A: 2 * np.sum(np.log(np.diagonal(np.linalg.cholesky(A @ A.T)))), np.eye(3) + 0.2),
    "Qᵀ diag(f(λ)) Q": (lambda A: _matrix_function(A), definite((3, 3))),
    "least squares": (lambda A: np.linalg.lstsq(A, np.arange(4.0))[0], RNG.normal(size=(4, 2))),
    "residuals": (lambda A: np.linalg.lstsq(A, np.ones((4, 2)))[1], RNG.normal(size=(4, 2))),
    "cross": (lambda A: np.cross(A, A[::-1] ** 2), RNG.normal(size=(2, 3))),
    "cross along an axis": (lambda A: np.linalg.cross(A, A[:, ::-1] ** 2, axis=0), RNG.normal(size=(3, 2))),
    "tensorsolve": (lambda A: np.linalg.tensorsolve(A, np.ones((2, 3))), RNG.normal(size=(2, 3, 3, 2))),
    "tensorinv": (lambda A: np.linalg.tensorinv(A), RNG.normal(size=(2, 2, 2, 2))),
}


def _matrix_function(A):
    values, vectors = np.linalg.eigh(A)
    return (vectors * np.sin(values)) @ vectors.T


def symbol(value):
    """A symbol of that shape."""
    return mg.vector("A", *value.shape) if value.ndim == 1 else mg.tensor("A", *value.shape)


def assert_close(got, expected, dtype="float64", vectors=False, name=""):
    assert got.shape == expected.shape, name
    assert got.dtype == expected.dtype == dtype, name
    if vectors:  # their signs are LAPACK's, of which NumPy has another one
        got, expected = np.abs(got), np.abs(expected)
    scale = np.max(np.abs(expected), initial=1)
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=scale * (1e-11 if dtype == "float64" else 5e-3), err_msg=name
    )


# --- Values ---


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES + LARGE)
def test_values(shape, dtype):
    A, value = mg.tensor("A", len(shape)), RNG.normal(size=shape).astype(dtype)
    functions = dict(OF_ANY)
    if shape[-1] == shape[-2]:
        positive = definite(shape).astype(dtype)
        positive = (positive + turned(positive)) / 2
        for name, f in OF_DEFINITE.items():
            assert_close(f(A)(A=positive), f(positive), dtype, name in VECTORS and shape in LARGE, name)
    for name, f in functions.items():
        assert_close(f(A)(A=value), f(value), dtype, name in VECTORS and shape in LARGE, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-3, 0.1, 0.6, 2, 7, 30])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 17, 70])
def test_the_exponential(n, scale, dtype):
    value = (RNG.normal(size=(2, n, n)) * scale / np.sqrt(max(n, 1))).astype(dtype)
    expected, got = scipy.linalg.expm(value.astype(float)), mg.expm(value)
    assert got.dtype == dtype
    error = np.max(np.abs(got - expected), initial=0) / np.max(np.abs(expected), initial=1)
    assert error < (1e-10 if dtype == "float64" else 1e-4)
    np.testing.assert_array_equal(mg.expm(value[0]), got[0])


def test_the_exponential_of_what_is_not_finite():
    for bad in (np.nan, np.inf):
        assert np.all(np.isnan(mg.expm(np.array([[0.0, bad], [0.0, 1.0]]))))
    np.testing.assert_allclose(mg.expm(np.diag([0.0, -np.log(4)])), np.diag([1.0, 0.25]), atol=1e-15)
    with pytest.raises(ValueError, match=r"expm: A has shape \(2, 3\) but must be square"):
        mg.expm(np.zeros((2, 3)))


def test_any_layout_of_the_operand():
    A = mg.matrix("A")
    whole = definite((9, 9))
    functions = {**OF_ANY, **OF_DEFINITE, "expm": lambda A: mg.expm(A)}
    for value in (whole[::2, ::2], whole[::-1, ::-1], np.asfortranarray(whole)):
        for name, f in functions.items():
            assert_close(f(A)(A=value), f(np.ascontiguousarray(value)), name=name)


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3)])
def test_one_triangle_is_read(shape):
    A, value = mg.tensor("A", len(shape)), definite(shape) + 0.1 * RNG.normal(size=shape)
    for read, unread, functions in (
        (np.tril, np.triu, (np.linalg.cholesky, np.linalg.eigvalsh, lambda A: np.linalg.eigh(A)[1])),
        (np.triu, np.tril, (lambda A: np.linalg.cholesky(A, upper=True), lambda A: np.linalg.eigvalsh(A, "U"))),
    ):
        other = read(value) + unread(np.full(shape, np.nan), 1 if unread is np.triu else -1)
        for f in functions:
            assert_close(f(A)(A=value), f(value))
            assert_close(f(A)(A=other), f(value))
            mg.testing.check_derivatives(f, (value,), order=1)
    with pytest.raises(ValueError, match=r"cholesky: the operand has shape \(3, 4\) but must be square"):
        np.linalg.cholesky(mg.matrix("A", 3, 4))
    S = mg.matrix("S", symmetric=True)
    assert str(np.linalg.eigvalsh(S)) == "λ(S)"
    mg.testing.check_derivatives(np.linalg.cholesky(S), {"S": definite((3, 3))}, order=1)


def test_parts_have_names():
    A = mg.matrix("A", 3, 3)
    assert [type(x).__name__ for x in (np.linalg.eigh(A), thin(A), np.linalg.qr(A))] == [
        "EighResult",
        "SVDResult",
        "QRResult",
    ]
    for f in (np.linalg.eigh, np.linalg.svd, np.linalg.qr, np.linalg.slogdet):
        assert f(A)._fields == f(np.eye(3))._fields


def test_the_rank_has_no_derivative():
    A = mg.matrix("A")
    low = np.outer(np.arange(4.0), np.ones(3))
    for value in (low, RNG.normal(size=(4, 3)), np.zeros((3, 3))):
        assert np.linalg.matrix_rank(A)(A=value) == np.linalg.matrix_rank(value)
    assert np.linalg.matrix_rank(A, tol=100)(A=low) == 0
    assert not np.any(np.linalg.matrix_rank(A).diff(A)(A=low))
    single = low.astype("float32")
    assert mg.value_and_grad(lambda A: np.sum(A) * np.linalg.matrix_rank(A))(single)[0] == np.sum(single)


def test_cutoffs_of_the_pseudoinverse():
    A, value = mg.matrix("A", 3, 3), np.diag([1.0, 1e-3, 1e-9])
    for options in ({}, {"rcond": 1e-2}, {"rtol": 1e-5}, {"rtol": None}, {"hermitian": True}):
        assert_close(np.linalg.pinv(A, **options)(A=value), np.linalg.pinv(value, **options))


def test_least_squares_as_numpy():
    for shape in ((5, 3), (3, 5), (4, 4)):
        A, b = mg.matrix("A", *shape), mg.vector("b", shape[0])
        values = {"A": RNG.normal(size=shape), "b": RNG.normal(size=shape[0])}
        for got, expected in zip(np.linalg.lstsq(A, b), np.linalg.lstsq(*values.values()), strict=True):
            needed = {symbol.name: values[symbol.name] for symbol in got.symbols}
            np.testing.assert_allclose(got(**needed), expected, atol=1e-12)


# --- Derivatives ---


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives(name):
    f, value = FUNCTIONS[name]
    free, fixed = mg.tensor("A", value.ndim), symbol(value)
    weights = np.random.default_rng(5).uniform(0.5, 1.5, np.shape(f(value)))
    mg.testing.check_derivatives(f(fixed), {"A": value}, order=1, atol=1e-9)
    mg.testing.check_derivatives(np.sum(weights * f(fixed)), {"A": value}, order=2, atol=1e-9)
    expected = f(fixed).diff(fixed)(A=value)
    for mode in MODES:
        np.testing.assert_allclose(f(fixed).diff(fixed, mode=mode)(A=value), expected, rtol=0, atol=1e-9, err_msg=mode)
    needs_lengths = ("wide", "least squares", "residuals", "cross", "tensor")
    if not any(word in name for word in needs_lengths):
        np.testing.assert_allclose(f(free).diff(free)(A=value), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["cholesky", "U", "pinv", "R", "eigenvectors", "expm", "expm of a stack"])
def test_derivatives_in_single_precision(name):
    f, value = FUNCTIONS[name]
    A = mg.tensor("A", *value.shape)
    derivative = f(A).diff(A).compile(A)
    got = derivative(value.astype("float32"))
    assert got.dtype == "float32"
    expected = derivative(value)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.max(np.abs(expected)))


@pytest.mark.parametrize(
    ("name", "function"),
    {
        "cholesky": lambda np, expm, A: np.sum(np.sin(np.linalg.cholesky(A))),
        "eigenvalues": lambda np, expm, A: np.prod(np.linalg.eigvalsh(A)[1:]),
        "eigenvectors": lambda np, expm, A: np.sum(np.linalg.eigh(A)[1] ** 4 * np.arange(4.0)),
        "a projection": lambda np, expm, A: (lambda V: np.sum(np.cos(V[:, :2] @ V[:, :2].T)))(np.linalg.eigh(A)[1]),
        "svd": lambda np, expm, A: np.sum(np.linalg.svd(A[:, :3], full_matrices=False)[0] ** 4 * np.arange(3.0)),
        "pinv": lambda np, expm, A: np.sum(np.sin(np.linalg.pinv(A[:, :3]))),
        "qr": lambda np, expm, A: np.sum(np.sin(np.linalg.qr(A[:, :3])[0]) + np.sum(np.linalg.qr(A)[1] ** 3)),
        "expm": lambda np, expm, A: np.sum(np.sin(expm(A / 4))),
    }.items(),
)
def test_gradients_and_hessians_agree_with_jax(name, function):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    from jax.scipy.linalg import expm

    value = definite((4, 4)) + np.diag(np.arange(4.0))
    reads_a_triangle = name in ("cholesky", "eigenvalues", "eigenvectors", "a projection")  # JAX: the symmetric part

    def operand(A):
        return (A + A.T) / 2 if reads_a_triangle else A

    reference = jax.grad(lambda A: function(jax.numpy, expm, operand(A)))
    np.testing.assert_allclose(
        mg.grad(lambda A: function(np, mg.expm, operand(A)))(value), reference(value), rtol=1e-9, atol=1e-10
    )
    hessian = jax.jacfwd(reference)(value)
    got = mg.hessian(lambda A: function(np, mg.expm, operand(A)))(value)
    np.testing.assert_allclose(got, hessian, rtol=1e-8, atol=1e-9 * np.max(np.abs(hessian)))


def test_equal_eigenvalues_and_singular_values_have_finite_derivatives():
    A = mg.matrix("A")
    for value in (np.eye(3), np.zeros((3, 3)), np.diag([2.0, 2.0, 1.0])):
        for f in (lambda A: np.linalg.eigh(A)[1], np.linalg.eigvalsh, lambda A: thin(A)[0], lambda A: thin(A)[2]):
            weights = RNG.normal(size=np.shape(f(value)))
            gradient, hessian = (np.sum(weights * f(A)).diff(*by) for by in ((A,), (A, A)))
            assert np.all(np.isfinite(gradient(A=value)))
            assert np.all(np.isfinite(hessian(A=value)))
    # what doesn't depend on the choice of vectors has the right derivative
    np.testing.assert_allclose(mg.grad(lambda A: np.sum(np.linalg.eigvalsh(A)))(np.eye(3)), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(mg.grad(lambda A: np.linalg.norm(A, "nuc"))(np.eye(3)), np.eye(3), atol=1e-12)


# --- Plans ---


def kernels(results, **shapes):
    A = mg.matrix("A")
    return [row.kernel for row in mg.compile(results(A), [A]).plan(**shapes).rows]


def test_parts_of_a_decomposition_share_it():
    found = kernels(lambda A: [*thin(A), np.linalg.pinv(A), np.linalg.norm(A, "nuc")], A=(6, 4))
    assert found.count("svd") == 1
    assert kernels(lambda A: [*np.linalg.qr(A)], A=(6, 4)).count("qr") == 1
    assert kernels(lambda A: [np.linalg.eigvalsh(A), np.linalg.eigvalsh(A).diff(A)], A=(5, 5)).count("eigh") == 1


def test_a_gradient_through_the_exponential_takes_one_exponential():
    found = kernels(lambda A: [np.sum(np.sin(mg.expm(A))).diff(A)], A=(5, 5))
    assert found.count("expm") == 2  # of A and of the block matrix
    rows = [
        row for A in [mg.matrix("A")] for row in mg.compile(np.sum(np.sin(mg.expm(A))).diff(A), [A]).plan(A=(5, 5)).rows
    ]
    assert sorted(row.sizes for row in rows if row.kernel == "expm") == ["10×10", "5×5"]


def test_nodes_made_while_lowering_keep_their_addresses():
    A, B, t = mg.matrix("A"), mg.matrix("B"), mg.scalar("t")
    values = {"A": definite((2, 2)), "B": RNG.normal(size=(3, 2)), "t": 0.65}
    whole = t * A @ A + np.eye(2)
    solution = np.linalg.solve(0.3 * np.linalg.cholesky(whole @ whole.T) + np.eye(2), np.linalg.pinv(B))
    for mode in MODES:
        derivative = solution.diff(t, mode=mode)
        np.testing.assert_allclose(derivative(**values), run_source(derivative.to_numpy(), values), atol=1e-12)


# --- Errors ---


@pytest.mark.parametrize("n", [1, 3, 70])
def test_what_has_no_decomposition(n):
    A = mg.matrix("A")
    with pytest.raises(np.linalg.LinAlgError, match="cholesky: Matrix is not positive definite"):
        np.linalg.cholesky(A)(A=-np.eye(n))
    with pytest.raises(np.linalg.LinAlgError, match="svd: SVD did not converge"):
        np.linalg.svdvals(A)(A=np.full((n, n), np.nan))
    with pytest.raises(np.linalg.LinAlgError, match="cholesky"):
        mg.grad(lambda A: np.sum(np.linalg.cholesky(A)))(np.zeros((n, n)))


def test_what_is_not_supported_says_so():
    A, B = mg.matrix("A"), mg.matrix("B", 2, 3)
    for X in (A, B):
        with pytest.raises(NotImplementedError, match=r"svd.*full_matrices=False"):
            np.linalg.svd(X)
    with pytest.raises(NotImplementedError, match="mode='raw'"):
        np.linalg.qr(A, mode="raw")
    with pytest.raises(NotImplementedError, match="mode='complete'"):
        np.linalg.qr(mg.matrix("A", 3, 2), mode="complete")
    with pytest.raises(ValueError, match="UPLO is 'x' but must be"):
        np.linalg.eigh(A, UPLO="x")
    with pytest.raises(ValueError, match=r"cholesky: the operand has shape \(2, 3\) but must be square"):
        np.linalg.cholesky(B)
    with pytest.raises(ValueError, match="cross: the vectors have lengths 3 and 2"):
        np.cross(mg.vector("x", 3), mg.vector("y", 2))
    with pytest.raises(ValueError, match="A has length"):
        np.linalg.eigvalsh(A)(A=np.ones((2, 3)))


@pytest.mark.parametrize(
    ("function", "instead"),
    [
        (scipy.linalg.expm, "scipy.linalg.expm takes arrays only, call mg.expm"),
        (scipy.linalg.inv, "scipy.linalg.inv takes arrays only, call np.linalg.inv"),
        (scipy.linalg.cholesky, "SciPy's functions take arrays only, but np.linalg's and mg.expm take it as it is"),
    ],
)
def test_functions_of_scipy_say_what_to_call_instead(function, instead):
    with pytest.raises(TypeError, match=instead):
        mg.grad(lambda A: np.sum(function(A)))(np.eye(2))


# --- Other ways to the same values ---


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_source_pickles_and_stacks(name):
    f, value = FUNCTIONS[name]
    A = symbol(value)
    for expression in (f(A), np.sum(f(A)).diff(A)):
        expected = expression(A=value)
        with np.errstate(all="ignore"):  # what is guarded may be infinite
            got = run_source(expression.to_numpy(), {"A": value})
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
        assert all((str(expression), expression.to_latex(), expression.to_index()))
        function = expression.compile(A)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(function))(value), function(value))
        stack = np.stack([value, value + 1e-3, value])
        each = np.stack([function(x) for x in stack])
        np.testing.assert_allclose(function.map(stack), each, rtol=0, atol=1e-9 * np.max(np.abs(each), initial=1))


def test_printed_forms():
    A, S = mg.matrix("A"), mg.matrix("S", symmetric=True)
    printed = {
        np.linalg.cholesky(S): "chol(S)",
        np.linalg.eigvalsh(S): "λ(S)",
        np.linalg.eigh(S)[1]: "eigvecs(S)",
        thin(A)[0]: "svd_U(A)",
        thin(A)[1]: "svdvals(A)",
        thin(A)[2]: "svd_V(A)ᵀ",
        np.linalg.pinv(A): "pinv(A)",
        np.linalg.pinv(A.T): "pinv(A)ᵀ",
        np.linalg.qr(A)[0]: "qr_Q(A)",
        np.linalg.qr(A)[1]: "qr_R(A)",
        mg.expm(A): "expm(A)",
        np.sum(np.linalg.eigvalsh(S)).diff(S): "eigvecs(S) eigvecs(S)ᵀ",
        np.trace(mg.expm(2 * A)).diff(A): "2 expm(2 A)ᵀ",
    }
    assert [str(expression) for expression in printed] == list(printed.values())
    assert mg.expm(A).to_latex() == r"\operatorname{expm}(A)"
    assert mg.expm(A).to_index() == "expm(A)[i,j]"
    assert np.linalg.eigvalsh(S).to_index() == "λ(S)[i]"
    assert np.linalg.pinv(A, rcond=1e-3).to_numpy() == "np.linalg.pinv(A, rcond=0.001)"
