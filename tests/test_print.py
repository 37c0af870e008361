"""Formulas are printed as a textbook prints them: matrix notation, LaTeX, index notation, NumPy source."""

import numpy as np
import pytest

import matgrad as mg
from identity import run_source

A, B, C, X, U, V = mg.matrices("A B C X U V")
a, b, x, y, v, w = mg.vectors("a b x y v w")
s, t = mg.scalars("s t")
S = mg.matrix("S", symmetric=True)
n = mg.vector("x", "n")
T = mg.tensor("T", 3)

# Expression, matrix notation, LaTeX, index notation.
FORMS = {
    "scalar": (t, "t", "t", "t"),
    "number": (0 * x, "0", "0", "0"),
    "ones": (np.sum(x).diff(x), "1", r"\mathbf{1}", "1"),
    "multiple of ones": ((2 * np.sum(x)).diff(x), "2 · 1", r"2 \mathbf{1}", "2"),
    "matrix of ones": (np.sum(X).diff(X), "1 1ᵀ", r"\mathbf{1} \mathbf{1}^\top", "1"),
    "product": (A @ x, "A x", "A x", "A[i,j] x[j]"),
    "row": (x @ A, "Aᵀx", r"A^\top x", "A[j,i] x[j]"),
    "chain": (A @ B.T @ C, "A BᵀC", r"A B^\top C", "A[i,k] C[l,j] B[l,k]"),
    "transposed chain": ((A @ B).T, "BᵀAᵀ", r"B^\top A^\top", "B[k,i] A[j,k]"),
    "transposed sum": ((X - U @ V).T @ x, "(X − U V)ᵀx", r"(X - U V)^\top x", "(X[j,i] − U[j,k] V[k,i]) x[j]"),
    "inner product": (a @ x, "aᵀx", r"a^\top x", "a[i] x[i]"),
    "quadratic form": (x @ A @ x, "xᵀA x", r"x^\top A x", "A[i,j] x[i] x[j]"),
    "outer product": (np.outer(x, y), "x yᵀ", r"x y^\top", "x[i] y[j]"),
    "outer product of a chain": (np.outer(A @ x, y), "A x yᵀ", r"A x y^\top", "A[i,k] y[j] x[k]"),
    "trace": (np.trace(A), "tr(A)", r"\operatorname{tr}(A)", "A[i,i]"),
    "trace of a chain": (np.trace(A @ B.T), "tr(AᵀB)", r"\operatorname{tr}(A^\top B)", "A[i,j] B[i,j]"),
    "diagonal matrix": (np.diag(x), "diag(x)", r"\operatorname{diag}(x)", "x[i] δ[i,j]"),
    "diagonal": (np.diagonal(A @ B), "diag(A B)", r"\operatorname{diag}(A B)", "A[i,j] B[j,i]"),
    "scaled rows": (np.diag(x) @ A, "diag(x) A", r"\operatorname{diag}(x) A", "A[i,j] x[i]"),
    "scaled within": (A @ np.diag(v) @ B, "A diag(v) B", r"A \operatorname{diag}(v) B", "A[i,k] B[k,j] v[k]"),
    "elementwise product": (x * y, "x ⊙ y", r"x \odot y", "x[i] y[i]"),
    "elementwise product in a chain": (A @ (x * y), "A(x ⊙ y)", r"A (x \odot y)", "A[i,j] x[j] y[j]"),
    "elementwise quotient": (x / y, "x/y", r"\frac{x}{y}", "x[i]/y[i]"),
    "reciprocal": (1 / x, "1/x", r"\frac{1}{x}", "1/x[i]"),
    "powers": (x**2 + x**3, "x² + x³", "x^{2} + x^{3}", "x[i]² + x[i]³"),
    "elementwise square of a matrix": (X**2, "X ⊙ X", r"X \odot X", "X[i,j]²"),
    "matrix power": (X @ X @ X, "X³", "X^{3}", "X[i,k] X[l,j] X[k,l]"),
    "square root": (np.sqrt(x), "√x", r"\sqrt{x}", "√x[i]"),
    "fractional power": (x**2.5, "x^2.5", "x^{2.5}", "x[i]^2.5"),
    "norm": (np.linalg.norm(x), "‖x‖", r"\lVert x \rVert", "√(x[i]²)"),
    "squared norm": (np.sum((X - U @ V) ** 2), "‖X − U V‖²", r"\lVert X - U V \rVert^{2}", "(X[i,j] − U[i,k] V[k,j])²"),
    "norm of a tensor": (np.sqrt(np.sum(T**2)), "‖T‖", r"\lVert T \rVert", "√(T[i,j,k]²)"),
    "sum": (np.sum(x), "1ᵀx", r"\mathbf{1}^\top x", "x[i]"),
    "sum of a matrix": (np.sum(X), "sum(X)", r"\operatorname{sum}(X)", "X[i,j]"),
    "sums of rows": (np.sum(X, axis=1), "X 1", r"X \mathbf{1}", "X[i,j]"),
    "sum of a function": (np.sum(np.exp(x)), "sum(exp(x))", r"\operatorname{sum}(\exp\left(x\right))", "exp(x[i])"),
    "mean": (np.mean(x), "mean(x)", r"\operatorname{mean}(x)", "x[i]/x.shape[0]"),
    "mean over a named axis": (np.mean(n**2), "mean(x²)", r"\operatorname{mean}(x^{2})", "x[i]²/n"),
    "largest": (np.max(x), "max(x)", r"\max(x)", "max[i](x[i])"),
    "largest of rows": (np.max(X, axis=1), "max(X, axis=1)", r"\max(X, \mathrm{axis}=1)", "max[j](X[i,j])"),
    "logsumexp": (mg.logsumexp(x), "logsumexp(x)", r"\operatorname{logsumexp}(x)", "logsumexp[i](x[i])"),
    "softmax": (mg.softmax(x), "softmax(x)", r"\operatorname{softmax}(x)", "exp(x[i] − logsumexp[j](x[j]))"),
    "log_softmax": (
        mg.log_softmax(x),
        "log_softmax(x)",
        r"\operatorname{log\_softmax}(x)",
        "x[i] − logsumexp[j](x[j])",
    ),
    "absolute value": (np.abs(x), "|x|", r"\left|x\right|", "|x[i]|"),
    "inverse": (np.linalg.inv(X), "X⁻¹", "X^{-1}", "X⁻¹[i,j]"),
    "inverse of the transpose": (np.linalg.inv(X.T), "X⁻ᵀ", r"X^{-\top}", "X⁻¹[j,i]"),
    "inverse of a sum": (np.linalg.inv(A + B) @ x, "(A + B)⁻¹x", r"(A + B)^{-1} x", "(A + B)⁻¹[i,j] x[j]"),
    "determinant": (np.linalg.det(X), "det(X)", r"\det(X)", "det(X)"),
    "log-determinant": (mg.logdet(X), "log det(X)", r"\log\det(X)", "log det(X)"),
    "symmetric": (S.T @ x + S @ x, "2 S x", "2 S x", "2 S[i,j] x[j]"),
    "Kronecker product": (np.kron(A, B), "A ⊗ B", r"A \otimes B", None),
    "stacked columns": (mg.vec(X), "vec(X)", r"\operatorname{vec}(X)", None),
    "slice": (x[1:], "x[1:]", "x_{1:}", None),
    "column": (X[:, 0], "X[:,0]", "X_{:,0}", None),
    "entry": (x[2], "x[2]", "x_{2}", None),
    "unit vector": (x[2].diff(x), "e[2]", "e_{2}", "δ[2,i]"),
    "negative sum": (-(x + y), "−x − y", "-x - y", "−x[i] − y[i]"),
    "scaled sum": (0.5 * (x + y), "½ (x + y)", r"\frac{1}{2} (x + y)", "½ (x[i] + y[i])"),
    "decimal coefficient": (0.3 * x, "0.3 x", "0.3 x", "0.3 x[i]"),
    "scalar factors": ((a @ x) * t * b, "t (aᵀx) b", r"t (a^\top x) b", "t a[j] x[j] b[i]"),
    "scalar divisor": ((A @ x) / t, "A x/t", r"\frac{A x}{t}", "A[i,j] x[j]/t"),
    "scalar broadcast": (x + t, "t 1 + x", r"t \mathbf{1} + x", "t + x[i]"),
    "plus before minus": (-A + B, "B − A", "B - A", "B[i,j] − A[i,j]"),
    "unknowns before data": (np.linalg.norm(b - A @ x), "‖A x − b‖", r"\lVert A x - b \rVert", None),
    "sign taken by a sum": (-2 * A @ (x - y), "2 A(y − x)", "2 A (y - x)", "2 A[i,j] (y[j] − x[j])"),
    "function in a chain": (a @ np.sin(A @ x), "aᵀ sin(A x)", r"a^\top \sin\left(A x\right)", "a[i] sin(A[i,j] x[j])"),
    "indicator": (mg.relu(x).diff(x), "diag([x > 0])", None, None),
    "power with a scalar exponent": (x**t, "x^t", "{x}^{t}", "x[i]^t"),
    "power of a subscript": (mg.matrix("W_1")[:, 0] ** 2, "W_1[:,0]²", "{W_{1}}_{:,0}^{2}", None),
    "reshaped": (np.reshape(x, (2, 3)), "reshape(x, (2, 3))", None, "δ[k,(i,j)] x[k]"),
    "derivative of a slice": (np.sum(x[1:]).diff(x), "I[1:,:]ᵀ1", r"I_{1:,:}^\top \mathbf{1}", "δ[1+j,i]"),
    "mean of a slice": (np.mean(x[1:]), "sum(x[1:])/len(range(x.shape[0])[1:])", None, None),
    "inverses of a stack": (np.linalg.inv(T), "T[i,:,:]⁻¹[j,k]", "{T_{i,:,:}^{-1}}_{jk}", None),
    "tensor": (T, "T[i,j,k]", "T_{ijk}", "T[i,j,k]"),
    "array": (np.array([1.0, 2.5]) * x, "x ⊙ [1, 2.5]", None, None),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name):
    expression, *expected = FORMS[name]
    printed = (str(expression), expression.to_latex(), expression.to_index())
    assert [p for p, e in zip(printed, expected, strict=True) if e is not None] == [
        e for e in expected if e is not None
    ]


NAMES = {
    "alpha": r"\alpha",
    "Sigma": r"\Sigma",
    "loss": r"\mathrm{loss}",
    "x_1": "x_{1}",
    "x1": "x_{1}",
    "beta_max": r"\beta_{\mathrm{max}}",
    "_x": r"\mathrm{\_x}",
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    symbol = mg.vector(name)
    assert str(symbol) == name
    assert symbol.to_latex() == NAMES[name]


FACTORIZATION = np.sum((X - U @ V) ** 2)


def test_the_contract():
    assert str(FACTORIZATION.diff(V)) == "2 Uᵀ(U V − X)"
    assert FACTORIZATION.diff(V).to_latex() == r"2 U^\top (U V - X)"
    assert FACTORIZATION.diff(V).to_index() == "2 U[k,i] (U[k,l] V[l,j] − X[k,j])"
    assert FACTORIZATION.diff(V).to_numpy() == "2 * U.T @ (U @ V - X)"
    assert str(FACTORIZATION.diff(V, V)) == "2 (UᵀU)[i,k] δ[j,l]"
    assert FACTORIZATION.diff(V, V).to_latex() == r"2 (U^\top U)_{ik} \delta_{jl}"
    assert FACTORIZATION.diff(V, V).to_numpy() == ('2 * np.einsum("ik,jl->ijkl", U.T @ U, np.eye(V.shape[1]))')
    assert str((np.linalg.norm(X - U @ V) ** 2).diff(V)) == str(FACTORIZATION.diff(V))


def test_a_sum_has_the_same_sign_all_over_a_product():
    assert str(np.linalg.norm(x - a).diff(x)) == "(x − a)/‖x − a‖"
    assert str(np.linalg.norm(x - a).diff(a)) == "(a − x)/‖a − x‖"


RIDGE = np.mean((y - X @ w) ** 2) + 0.1 * np.sum(w**2)
CROSS_ENTROPY = -y @ mg.log_softmax(X @ w)
GAUSSIAN = 0.5 * mg.logdet(S) + 0.5 * (x - a) @ np.linalg.inv(S) @ (x - a)
NETWORK = np.sum(mg.relu(B @ mg.relu(A @ x)))
COSINE = (x @ y) / (np.linalg.norm(x) * np.linalg.norm(y))
PRINTED = {
    "ridge regression": (RIDGE, "0.1 ‖w‖² + mean((y − X w)²)"),
    "its gradient": (RIDGE.diff(w), "0.2 w + 2 Xᵀ(X w − y)/X.shape[0]"),
    "cross-entropy": (CROSS_ENTROPY, "−yᵀ log_softmax(X w)"),
    "gradient of the cross-entropy": (CROSS_ENTROPY.diff(w), "Xᵀ((1ᵀy) softmax(X w) − y)"),
    "softmax of rows": (mg.softmax(X, axis=1), "softmax(X, axis=1)"),
    "Gaussian": (GAUSSIAN, "½ (log det(S) + (x − a)ᵀS⁻¹(x − a))"),
    "score of the Gaussian": (GAUSSIAN.diff(x), "S⁻¹(x − a)"),
    "Gaussian by its covariance": (GAUSSIAN.diff(S), "½ (S⁻¹ − S⁻¹(x − a)(x − a)ᵀS⁻¹)"),
    "network by its first layer": (NETWORK.diff(A), "([A x > 0] ⊙ Bᵀ [B relu(A x) > 0])xᵀ"),
    "cosine similarity": (COSINE.diff(x), "(y − (xᵀy) x/‖x‖²)/(‖x‖ ‖y‖)"),
    "variance": (np.var(x).diff(x), "2 (x − mean(x) 1)/x.shape[0]"),
    "bell curve": (np.exp(-np.sum((x - a) ** 2) / (2 * s**2)), "exp(−‖x − a‖²/(2 s²))"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_functions_of_practice(name):
    expression, printed = PRINTED[name]
    assert str(expression) == printed


# --- NumPy source ---

VALUES = {
    "A": np.random.default_rng(1).uniform(-1, 1, (3, 4)),
    "B": np.random.default_rng(2).uniform(-1, 1, (4, 5)),
    "S": np.diag([1.5, 2.0, 3.0, 2.5]) + 0.1,
    "x": np.array([0.5, -1.0, 2.0, 0.25]),
    "y": np.array([1.0, 0.0, -1.0]),
    "t": np.float64(0.3),
    "T": np.random.default_rng(3).uniform(-1, 1, (3, 4, 2)),
}

# Expression, source where it is pinned, value.
SOURCES = {
    "chain": (A @ B, "A @ B", lambda A, B: A @ B),
    "a chain to a vector is evaluated from the right": (
        B.T @ A.T @ y,
        "B.T @ (A.T @ y)",
        lambda A, B, y: B.T @ A.T @ y,
    ),
    "quadratic form": (x @ S @ x, "x @ S @ x", lambda x, S: x @ S @ x),
    "outer product": (np.outer(A @ x, x), "np.outer(A @ x, x)", lambda A, x: np.outer(A @ x, x)),
    "scaled rows": (y[:, None] * A, "y[:, None] * A", lambda y, A: y[:, None] * A),
    "scaled within": (A @ np.diag(x) @ B, "(A * x) @ B", lambda A, x, B: A * x @ B),
    "trace": (np.trace(A @ A.T), "np.sum(A**2)", lambda A: np.sum(A**2)),
    "diagonal": (np.diagonal(A @ A.T), "np.sum(A**2, axis=1)", lambda A: np.sum(A**2, 1)),
    "norm": (np.linalg.norm(A), "np.linalg.norm(A)", lambda A: np.linalg.norm(A)),
    "mean": (np.mean(x), "np.sum(x) / x.shape[0]", lambda x: np.mean(x)),
    "identity": ((x @ x).diff(x, x), "2 * np.eye(x.shape[0])", lambda x: 2 * np.eye(4)),
    "zero": (0 * A, None, lambda A: 0 * A),
    "ones": (np.sum(A).diff(A), None, lambda A: np.ones((3, 4))),
    "repeated rows": (np.sum(A * x).diff(A), None, lambda A, x: np.ones((3, 1)) * x),
    "repeated columns": (np.sum(A * y[:, None]).diff(A), None, lambda A, y: y[:, None] * np.ones(4)),
    "log-determinant": (mg.logdet(S), None, lambda S: np.linalg.slogdet(S)[1]),
    "logsumexp of large numbers": (mg.logsumexp(1e4 * x), None, lambda x: 2e4),
    "logsumexp of rows": (mg.logsumexp(A, axis=1), None, lambda A: np.log(np.sum(np.exp(A), 1))),
    "logsumexp of all": (mg.logsumexp(A), None, lambda A: np.log(np.sum(np.exp(A)))),
    "sigmoid": (mg.sigmoid(x), "1 / (1 + np.exp(-x))", lambda x: 1 / (1 + np.exp(-x))),
    "softplus": (mg.softplus(x), "np.logaddexp(0, x)", lambda x: np.log1p(np.exp(x))),
    "comparisons are numbers": (mg.relu(x).diff(x), None, lambda x: np.diag(x > 0) * 1.0),
    "a zero norm": (np.linalg.norm(y - y * t / t).diff(y), None, lambda y, t: np.zeros(3)),
    "the branch not taken": (np.sum(np.where(y > 0, np.log(y), y)).diff(y), None, lambda y: [1.0, 1.0, 1.0]),
    "0 times infinity": (np.sum(np.where(y > 0, np.sqrt(y), 0)).diff(y), None, lambda y: [0.5, 0.0, 0.0]),
    "slices": (np.sum(x[1:] ** 2).diff(x), None, lambda x: [0, *2 * x[1:]]),
    "reversed": (x[::-1] * t, None, lambda x, t: x[::-1] * t),
    "entry": (A[1, 2] * A[:, 2], None, lambda A: A[1, 2] * A[:, 2]),
    "stacked columns": (mg.vec(A), None, lambda A: A.T.ravel()),
    "reshaped": (np.reshape(A @ B, (5, 3)), None, lambda A, B: np.reshape(A @ B, (5, 3))),
    "Kronecker product": (np.kron(A, S), "np.kron(A, S)", lambda A, S: np.kron(A, S)),
    "contraction of a tensor": (np.einsum("ijk,j->ki", T, x), None, lambda T, x: np.einsum("ijk,j->ki", T, x)),
    "sums of a tensor": (np.sum(T, axis=1), "np.sum(T, axis=1)", lambda T: np.sum(T, 1)),
    "sums of columns": (np.sum(A, axis=0), "np.sum(A, axis=0)", lambda A: np.sum(A, 0)),
    "transposed tensor": (np.transpose(T, (2, 0, 1)), None, lambda T: np.transpose(T, (2, 0, 1))),
    "power of a power": ((t**4) ** x, None, lambda t, x: (t**4) ** x),
    "array": (np.array([1.0, 2.5, 1e-300, -0.1]) * x, None, lambda x: np.array([1.0, 2.5, 1e-300, -0.1]) * x),
    "Jacobian": ((A @ x).diff(A), None, lambda A, x: np.einsum("ik,l->ikl", np.eye(3), x)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_numpy_source(name):
    expression, source, function = SOURCES[name]
    assert source is None or expression.to_numpy() == source
    arguments = {key: VALUES[key] for key in function.__code__.co_varnames}
    expected = np.asarray(function(**arguments))
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        got = np.asarray(run_source(expression.to_numpy(), arguments))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


def test_named_lengths_are_read_off_symbols_that_dropped_out():
    f = mg.vector("c", "m") @ mg.matrix("D", "m", "n") @ mg.vector("z", "n")
    source = f.diff(*f.symbols[1:2]).to_numpy()
    assert source == "np.outer(c, z)"
    ones = np.sum(f.symbols[2]).diff(f.symbols[2])
    assert ones.to_numpy() == "np.ones((z.shape[0],))"


def network(depth):
    """A function whose formula doubles in length with every layer."""
    h = x
    for _ in range(depth):
        h = np.tanh(S @ h) * np.cos(h)
    return np.sum(h)


def test_shared_subexpressions_of_numpy_source_become_statements():
    f = network(12)
    source = f.to_numpy()
    assert len(source) < 5000
    assert source.splitlines()[-1].startswith("result = ")
    np.testing.assert_allclose(run_source(source, VALUES), f(S=VALUES["S"], x=VALUES["x"]), rtol=1e-12)


def test_formulas_that_nobody_would_read_are_cut():
    f = network(40)
    for text in (str(f), f.to_index(), f.to_latex()):
        assert len(text) < 1_000_000
    assert "…" in str(f)


def test_deep_expressions_are_printed_in_part_and_run_as_statements():
    x = mg.vector("x")
    f = x
    for _ in range(5000):
        f = np.sin(f) + 1
    assert "…" in str(f)
    assert "…" in f.to_index()
    namespace = {"np": np, "x": np.ones(3)}
    exec(f.to_numpy(), namespace)
    assert np.allclose(namespace["result"], f(x=np.ones(3)))
