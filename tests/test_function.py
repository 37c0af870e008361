"""Compiled expressions against NumPy: every kind of node, both precisions, odd shapes and layouts, and the errors."""

import pickle
import threading

import numpy as np
import pytest

import matgrad as mg

DTYPES = ["float32", "float64"]
rng = np.random.default_rng(7)


def values(*shape):
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


# Symbols and their values; square matrices A, B, C are well-conditioned, P is positive definite.
X, U, V, A, B, C, P, D = mg.matrices("X U V A B C P D")
x, y, z = mg.vectors("x y z")
t = mg.scalar("t")
T = mg.tensor("T", 3)
VALUES = {
    "X": values(7, 5),
    "U": values(7, 3),
    "V": values(3, 5),
    "A": values(6, 6) + 4 * np.eye(6),
    "B": values(6, 6) + 4 * np.eye(6),
    "C": values(6, 6),
    "P": (lambda Q: Q @ Q.T + np.eye(6))(values(6, 6)),
    "D": values(6, 4),
    "x": values(6),
    "y": values(6),
    "z": np.arange(1.0, 14.0),
    "t": np.array(0.7),
    "T": values(2, 6, 6) + 4 * np.eye(6),
}
SYMBOLS = {s.name: s for s in (X, U, V, A, B, C, P, D, x, y, z, t, T)}
positive = np.arange(1.0, 4.0)

# Functions of symbols, or of their values: np and mg take both.
FUNCTIONS = {
    # products
    "product": lambda U, V: U @ V,
    "product of transposes": lambda U, V: V.T @ U.T,
    "product with a transpose": lambda A, C: A @ C.T,
    "three factors": lambda U, V, X: V @ X.T @ U,
    "factors of very different sizes": lambda A, B, C, x: A @ B @ C @ x,
    "quadratic form": lambda x, A, y: x @ A @ y,
    "matrix and vector": lambda A, x: A @ x,
    "vector and matrix": lambda A, x: x @ A,
    "outer product": lambda x, z: np.outer(x, z),
    "inner product of matrices": lambda A, C: np.sum(A * C),
    "row by row": lambda A, C: np.sum(A * C, axis=1),
    "column by column": lambda A, C: np.sum(A * C, axis=0),
    "five factors in a cycle": lambda A, B, C, P: np.trace(A @ B @ C @ P @ A),
    "the same product twice": lambda A, x: (A @ x) * np.sum(A @ x),
    "Kronecker product": lambda U, V: np.kron(U, V),
    "stack of products": lambda T, D: T @ D,
    "scaled rows": lambda A, x: x[:, None] * A,
    "scaled columns": lambda A, x: A * x,
    "triple outer product": lambda x, y, z: np.einsum("i,j,k->ijk", x, y, z),
    "einsum over shared labels": lambda T, C: np.einsum("aij,ij->a", T, C),
    "einsum with a kept shared label": lambda T, A: np.einsum("aij,jk->kai", T, A),
    "diagonal of a product": lambda A, B: np.diag(A @ B),
    # views
    "transpose": lambda X: X.T,
    "trace": lambda A: np.trace(A),
    "diagonal": lambda A: np.diag(A),
    "diagonal matrix": lambda x: np.diag(x),
    "slice": lambda z: z[2:11:3],
    "slice backwards": lambda z: z[::-2],
    "element": lambda z: z[-2],
    "row": lambda X: X[3],
    "block": lambda X: X[1:4, -1],
    "reshaped": lambda A: A.reshape(4, 9),
    "reshaped transpose": lambda A: A.T.reshape(4, 9),
    "reshaped twice": lambda A: A.T.reshape(4, 9).reshape(12, 3),
    "slice of a slice": lambda z: z[1:10][2:8:2],
    "slices multiplied": lambda z: z[1:] * z[:-1],
    "reshaped and multiplied": lambda A, z: A.reshape(-1)[:13] * z,
    "broadcast": lambda x: np.broadcast_to(x, (3, 6)),
    "symmetric part": lambda A: (A + A.T) / 2,
    # sums and powers
    "linear combination": lambda A, B, C: 2 * A - 3 * B.T + C,
    "scalar added": lambda A, t: A + t + 1,
    "sum over everything": lambda T: np.sum(T),
    "sum over rows": lambda X: np.sum(X, axis=0),
    "mean over columns": lambda X: np.mean(X, axis=1),
    "variance": lambda X: np.var(X, axis=0),
    "powers": lambda x: x**2 + x**3 + 1 / x + x**-2 + x**5 + x**0,
    "roots": lambda P: np.sqrt(P * P) + (P * P) ** -0.5 + (P * P) ** 0.3,
    "residual": lambda X, U, V: np.sum((X - U @ V) ** 2),
    "norm": lambda x, y: np.linalg.norm(x - y),
    "constant array": lambda A: A[:3] * positive[:, None] + 1,
    # elementwise functions
    "of one operand": lambda x: np.exp(x) + np.tanh(x) + np.log1p(x * x) + np.arctan(x) + np.abs(x) + np.sign(x),
    "of two operands": lambda x, y: np.maximum(x, y) + np.hypot(x, y) * np.arctan2(x, y) + np.logaddexp(x, y),
    "of two operands, broadcast": lambda A, x: np.minimum(A, x) + np.maximum(A.T, 0.1),
    "power of two operands": lambda P, t: np.power(np.abs(P), t),
    "where": lambda x, y: np.where(x > y, x, 2 * y),
    "softmax": lambda x: mg.softmax(x),
    # reductions
    "maximum": lambda X: np.max(X),
    "maximum over rows": lambda X: np.max(X, axis=0),
    "minimum over columns": lambda X: np.min(X, axis=1),
    "product of entries": lambda T: np.prod(T, axis=1),
    "log-sum-exp": lambda X: mg.logsumexp(X, axis=1),
    # linear algebra
    "inverse": lambda A: np.linalg.inv(A),
    "solution": lambda A, x: np.linalg.inv(A) @ x,
    "solution with the transpose": lambda A, D: np.linalg.inv(A).T @ D,
    "solution from the right": lambda A, x: x @ np.linalg.inv(A),
    "slice of a solution": lambda A, x: np.linalg.inv(A)[::2] @ x,
    "inverse of a product": lambda A, B: np.linalg.inv(A @ B),
    "Mahalanobis distance": lambda P, x: x @ np.linalg.solve(P, x),
    "trace of an inverse": lambda A: np.trace(np.linalg.inv(A)),
    "inverses of a stack": lambda T: np.linalg.inv(T),
    "determinant": lambda A: np.linalg.det(A),
    "determinants of a stack": lambda T: np.linalg.det(T),
    "log-determinant": lambda P: mg.logdet(P),
    "sign and logarithm": lambda A: np.linalg.slogdet(-A)[1],
}


def parameters(function):
    return function.__code__.co_varnames[: function.__code__.co_argcount]


def compiled(function):
    symbols = [SYMBOLS[name] for name in parameters(function)]
    return function(*symbols).compile(*symbols)


def assert_close(got, expected, dtype="float64"):
    expected = np.asarray(expected)
    assert isinstance(got, np.ndarray if expected.ndim else np.floating)
    assert (got.shape, got.dtype) == (expected.shape, dtype)
    scale = np.max(np.abs(expected), initial=1.0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=100 * np.finfo(dtype).eps * scale)


# --- Values ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_agree_with_numpy(name, dtype):
    function = FUNCTIONS[name]
    arguments = [VALUES[key].astype(dtype) for key in parameters(function)]
    expected = function(*(a.astype("float64") for a in arguments))
    assert_close(compiled(function)(*arguments), expected, "float64" if name == "constant array" else dtype)


def test_identities_are_never_needed_in_full():
    """A derivative with deltas, slices and reshapes is what NumPy makes of dense ones."""
    J = (A @ X.reshape(-1)[:12].reshape(6, 2)).diff(X)
    dense = np.eye(35)[:12].reshape(6, 2, 7, 5)
    expected = np.einsum("ij,jkpq->ikpq", VALUES["A"], dense)
    assert_close(J(A=VALUES["A"], X=VALUES["X"]), expected)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 31, 64, 257])
def test_odd_sizes(n):
    M, v = values(n, n), values(n)
    assert_close((A @ x).compile(A, x)(M, v), M @ v)
    assert_close((A @ A.T).compile(A)(M), M @ M.T)
    assert_close((A + A.T).compile(A)(M), M + M.T)
    assert_close(np.exp(A.T).compile(A)(M), np.exp(M.T))
    assert_close(np.sum(A, axis=0).compile(A)(M), M.sum(0))
    assert_close(np.max(A, axis=0).compile(A)(M), M.max(0))
    assert_close((x @ A @ x).diff(x, x).compile(x, A)(v, M), M + M.T)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_arrays_without_elements(shape):
    M = np.zeros(shape)
    for function in (lambda A: A @ A.T, lambda A: A.T @ A, lambda A: np.sum(A), lambda A: np.exp(A).T, lambda A: A + 1):
        assert_close(function(A).compile(A)(M), function(M))
    assert mg.logsumexp(A).compile(A)(M) == -np.inf
    assert np.prod(A).compile(A)(M) == 1
    with pytest.raises(ValueError, match="maximum of no elements"):
        np.max(A).compile(A)(M)


def test_the_determinant_and_inverse_of_an_empty_matrix():
    empty = np.zeros((0, 0))
    assert np.linalg.det(A).compile(A)(empty) == 1
    assert np.linalg.inv(A).compile(A)(empty).shape == (0, 0)


def test_several_results_share_what_they_have_in_common():
    loss = np.sum((X - U @ V) ** 2)
    function = mg._core.Function(
        [e._node for e in (loss, loss.diff(U), loss.diff(V), V)],
        [s._node for s in (X, U, V)],
        ("X", "U", "V"),
        False,
    )
    X_, U_, V_ = (VALUES[name] for name in "XUV")
    R = X_ - U_ @ V_
    got = function(X_, U_, V_)
    assert isinstance(got, tuple)
    for result, expected in zip(got, (np.sum(R**2), -2 * R @ V_.T, -2 * U_.T @ R, V_), strict=True):
        assert_close(result, expected)
    out = tuple(np.empty_like(result) for result in got[1:])
    again = function(X_, U_, V_, out=(None, *out))
    assert all(a is b for a, b in zip(again[1:], out, strict=True))
    with pytest.raises(TypeError, match="tuple of 4 arrays"):
        function(X_, U_, V_, out=out)


# --- Special values ---


def test_nan_and_infinity_propagate_as_in_numpy():
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, -2.0, 3.0])
    with np.errstate(all="ignore"):
        for function in (
            lambda x: 1 / x,
            lambda x: x**2,
            lambda x: np.power(x, 0.3),
            lambda x: x**-2,
            lambda x: np.maximum(x, 0.0),
            lambda x: np.minimum(x, 1.0),
            lambda x: np.max(x),
            lambda x: np.min(x[1:]),
            lambda x: np.sum(x),
        ):
            np.testing.assert_array_equal(function(x).compile(x)(special), function(special))


def test_logsumexp_never_overflows():
    function = mg.logsumexp(x).compile(x)
    assert function(np.array([1e300, 1e300])) == 1e300
    assert function(np.array([-np.inf, -np.inf])) == -np.inf
    assert function(np.array([np.inf, 1.0])) == np.inf
    assert np.isnan(function(np.array([np.nan, 1.0])))


def test_log_determinants_of_negative_and_singular_matrices():
    assert np.isnan(mg.logdet(A).compile(A)(np.diag([1.0, -1.0])))
    assert mg.logdet(A).compile(A)(np.zeros((2, 2))) == -np.inf
    assert np.linalg.det(A).compile(A)(np.diag([1e-200, 1e-200, 1e200, 1e200])) == pytest.approx(1, rel=1e-12)


def test_derivatives_where_a_norm_is_zero():
    norm = np.linalg.norm(x - y)
    assert_close(norm.diff(x)(x=VALUES["x"], y=VALUES["x"]), np.zeros(6))
    assert_close(norm.diff(x, x)(x=VALUES["x"], y=VALUES["x"]), np.zeros((6, 6)))


def test_the_derivative_of_the_branch_that_is_not_chosen_does_not_matter():
    derivative = np.sum(np.where(x > 0, np.log(x), x)).diff(x)
    np.testing.assert_allclose(derivative(x=np.array([-1.0, 0.0, 2.0])), [1, 1, 0.5])


def test_long_sums_are_accurate():
    """Adding one after another loses four digits here in single precision."""
    ones = np.full((200_000, 3), 0.1, "float32")
    exact = 200_000 * float(np.float32(0.1))
    np.testing.assert_allclose(np.sum(A).compile(A)(ones), 3 * exact, rtol=1e-6)
    np.testing.assert_allclose(np.sum(A, axis=0).compile(A)(ones), [exact] * 3, rtol=1e-5)
    np.testing.assert_allclose((A.T @ A).compile(A)(ones), np.full((3, 3), exact * 0.1), rtol=2e-5)


# --- Arguments ---


def test_any_layout_gives_the_same_result():
    function = (A @ C + np.sin(A)).compile(A, C)
    a, c = VALUES["A"], VALUES["C"]
    expected = function(a, c)
    misaligned = np.frombuffer(b"\0" + a.tobytes(), "u1")[1:].view("float64").reshape(6, 6)
    read_only, spread = a.copy(), np.zeros((12, 18))[::2, ::3]
    read_only.flags.writeable, spread[:] = False, a
    for same in (misaligned, read_only, spread, a[::-1][::-1], a.astype(">f8"), a.tolist()):
        np.testing.assert_array_equal(function(same, c), expected)
    # What is read in place along other axes is summed in another order.
    in_columns, repeated = np.asfortranarray(a), np.broadcast_to(np.arange(6.0), (6, 6))
    np.testing.assert_allclose(function(in_columns, c), expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(function(repeated, c), function(repeated.copy(), c), rtol=1e-14, atol=1e-14)


def test_precisions_promote_as_in_numpy():
    function = (x + y).compile(x, y)
    single, double, integers = np.ones(3, "float32"), np.ones(3), np.ones(3, int)
    assert function(single, single).dtype == np.float32
    assert function(single, double).dtype == np.float64
    assert function(integers, integers).dtype == np.float64
    assert (x + np.ones(3)).compile(x)(single).dtype == np.float64
    assert (x + np.ones(3, "float32")).compile(x)(single).dtype == np.float32
    assert (x * t).compile(x, t)(single, 2.0).dtype == np.float32
    assert (t * t).compile(t)(3.0) == 9
    with pytest.raises(TypeError, match="y has dtype complex128"):
        function(double, 1j * double)


def test_out():
    function = (A @ x).compile(A, x)
    a, v = VALUES["A"], VALUES["x"]
    expected = a @ v
    out = np.empty(6)
    assert function(a, v, out=out) is out
    assert_close(out, expected)
    spread = np.zeros(12)[::2]
    assert_close(function(a, v, out=spread), expected)
    overlapping = v.copy()
    assert_close(function(a, overlapping, out=overlapping), expected)
    frozen = np.empty(6)
    frozen.flags.writeable = False
    for wrong, error in (
        (np.empty(5), ValueError),
        (np.empty(6, "float32"), TypeError),
        (frozen, ValueError),
        ([0.0] * 6, TypeError),
    ):
        with pytest.raises(error, match="out"):
            function(a, v, out=wrong)


# --- Errors ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((4, 5)), np.ones((3, 2)), np.ones((2, 5))), "X has length 4 along axis 0 but U has length 3"),
        ((np.ones((3, 5)), np.ones((3, 2)), np.ones((4, 5))), "U has length 2 along axis 1 but V has length 4"),
        ((np.ones(3), np.ones((3, 2)), np.ones((4, 5))), "X has 1 axis but must have 2"),
    ],
)
def test_lengths_that_disagree(arguments, message):
    function = (X - U @ V).compile(X, U, V)
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def test_declared_lengths():
    a, b = mg.vector("a", "n"), mg.vector("b", "n")
    function = (a * 2).compile(a)
    assert_close(function(np.ones(3)), np.full(3, 2.0))
    both = (a @ b).compile(a, b)
    with pytest.raises(ValueError, match="a has length 3 along axis 0 but b has length 4 along axis 0"):
        both(np.ones(3), np.ones(4))
    fixed = mg.vector("c", 3)
    with pytest.raises(ValueError, match="c has length 4 along axis 0 but is declared to have 3"):
        (2 * fixed).compile(fixed)(np.ones(4))


def test_lengths_of_arguments_that_dropped_out_are_checked():
    a, b = mg.vector("a", "n"), mg.vector("b", "n")
    function = (a @ b).diff(a).compile(a, b)
    with pytest.raises(ValueError, match="both are declared as n"):
        function(np.ones(3), np.ones(4))


def test_matrices_that_are_not_square():
    for function in (np.linalg.inv(A), np.linalg.det(A), np.trace(A)):
        with pytest.raises(ValueError, match="A has length 2 along axis 0 but A has length 3 along axis 1"):
            function.compile(A)(np.ones((2, 3)))


def test_an_element_that_does_not_exist():
    with pytest.raises(IndexError, match="index 5 is out of bounds: x has length 3"):
        x[5].compile(x)(np.ones(3))


@pytest.mark.parametrize("name", ["inverse", "solution", "solution from the right", "inverses of a stack"])
def test_singular_matrices_leave_everything_as_it_was(name):
    function = compiled(FUNCTIONS[name])
    arguments = [VALUES[key] for key in parameters(FUNCTIONS[name])]
    out = np.full_like(function(*arguments), 7.0)
    singular = arguments[0].copy()
    singular[-1:] = 0  # a row, or a matrix of the stack
    before = singular.copy()
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        function(singular, *arguments[1:], out=out)
    assert np.all(out == 7)
    np.testing.assert_array_equal(singular, before)


def test_wrong_arguments():
    function = (A @ x).compile(A, x)
    with pytest.raises(TypeError, match="argument x is missing"):
        function(np.eye(3))
    with pytest.raises(TypeError, match=r"takes 2 arrays \(A, x\) but got 3"):
        function(np.eye(3), np.ones(3), np.ones(3))
    with pytest.raises(TypeError, match="unexpected keyword argument 'where'"):
        function(np.eye(3), np.ones(3), where=True)


def test_results_that_do_not_fit_in_memory():
    outer = np.einsum("i,j,k->ijk", x, x, x)
    with pytest.raises(MemoryError, match=r"structured"):
        outer.compile(x)(np.ones(100_000))
    with pytest.raises(MemoryError, match=r"intermediate"):
        np.sum(np.exp(outer)).compile(x)(np.ones(100_000))
    with pytest.raises(MemoryError):
        np.exp(np.einsum("i,j,k,l->ijkl", x, x, x, x)).compile(x)(np.ones(1_000_000))


# --- Use ---


def test_functions_can_be_pickled():
    function = np.sum((X - U @ V) ** 2).diff(U).compile(X, U, V)
    arguments = [VALUES[name] for name in "XUV"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(function))(*arguments), function(*arguments))


def test_many_threads_may_use_one_function():
    function = np.sum((X - U @ V) ** 2).diff(V).compile(X, U, V)
    problems = [[values(m, n), values(m, 3), values(3, n)] for m, n in ((5, 4), (300, 200), (40, 90), (7, 1))] * 12
    expected = [function(*arguments) for arguments in problems]
    wrong = []

    def work(first):
        for k in range(first, len(problems), 4):
            for _ in range(5):
                if not np.array_equal(function(*problems[k]), expected[k]):
                    wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


@pytest.mark.parametrize(
    "function",
    [FUNCTIONS[name] for name in ("product", "sum over everything", "row by row", "softmax", "matrix and vector")],
)
def test_results_do_not_depend_on_the_number_of_threads(function):
    shapes = {1: (300_000,), 2: (700, 700), 3: (3, 400, 400)}
    arguments = [values(*shapes[SYMBOLS[name].ndim]) for name in parameters(function)]
    arguments = [a[:700] if a.ndim == 1 and len(arguments) > 1 else a for a in arguments]
    before = mg.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            mg.set_num_threads(count)
            results.append(compiled(function)(*arguments))
    finally:
        mg.set_num_threads(before)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])
