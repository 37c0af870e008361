"""The mission, row by row: each function is differentiated by the engine as written, evaluated and printed."""

import itertools
import math

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(17)
m, n, p, q = 3, 4, 2, 5


def random(*shape):
    return RNG.uniform(-1, 1, shape)


def close(got, expected, tolerance=1e-12):
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_m1_jacobian_tensor_of_a_matrix_by_a_matrix():
    B, C, D = mg.matrices("B C D")
    values = {"B": random(p, q), "C": random(m, p), "D": random(q, n)}
    J = np.exp(C @ B @ D).diff(B)
    A = np.exp(values["C"] @ values["B"] @ values["D"])
    assert J.ndim == 4
    close(J(**values), np.einsum("ij,ik,lj->ijkl", A, values["C"], values["D"]))


def test_m2_flattening_turns_the_chain_rule_into_a_product():
    X, A, B = mg.matrices("X A B")
    values = {"X": random(m, n), "A": random(p, m), "B": random(n, q)}
    G = A @ X @ B
    Y = mg.matrix("Y")
    F = np.tanh(Y @ Y.T)
    outer = F.diff(Y, layout="numerator")(Y=values["A"] @ values["X"] @ values["B"])
    inner = G.diff(X, layout="numerator")(**values)
    close(inner, np.kron(values["B"].T, values["A"]))
    whole = np.tanh(G @ G.T)
    close(whole.diff(X, layout="numerator")(**values), outer @ inner)
    close(whole.diff(X, layout="denominator")(**values), inner.T @ outer.T)
    tensor = whole.diff(X)(**values)
    close(mg.flatten(tensor, 2), outer @ inner)
    close(mg.unflatten(outer @ inner, (p, p), (m, n)), tensor)
    close(mg.vec(G)(**values), (values["A"] @ values["X"] @ values["B"]).ravel(order="F"))
    close(mg.vec(G).diff(X)(**values).transpose(0, 2, 1).reshape(p * q, n * m), inner)


def test_m3_matrix_times_vector_by_the_matrix():
    A, x = mg.matrix("A"), mg.vector("x")
    J = (A @ x).diff(A)
    values = {"A": random(m, n), "x": random(n)}
    close(J(**values), np.einsum("ik,l->ikl", np.eye(m), values["x"]))
    assert J.to_index() == "δ[i,j] x[k]"


def test_m4_gram_matrix():
    R = mg.matrix("R")
    J = (R.T @ R).diff(R)
    value = random(m, n)
    close(J(R=value), np.einsum("jp,iq->pqij", np.eye(n), value) + np.einsum("jq,ip->pqij", np.eye(n), value))


FUNCTIONS = {  # of each kind of variable, with a value of each kind
    "scalar by scalar": lambda t, c, C: np.sin(t) * t,
    "vector by scalar": lambda t, c, C: np.sin(t * c),
    "matrix by scalar": lambda t, c, C: np.exp(t * C),
    "scalar by vector": lambda x, c, C: np.sum(np.sin(C @ x)),
    "vector by vector": lambda x, c, C: np.tanh(C @ x),
    "matrix by vector": lambda x, c, C: np.outer(np.sin(C @ x), x),
    "scalar by matrix": lambda X, c, C: np.sum(np.sin(C @ X)),
    "vector by matrix": lambda X, c, C: np.tanh(C @ X @ X.T @ c),
    "matrix by matrix": lambda X, c, C: np.sin(C @ X),
}
VARIABLES = {"t": np.float64(0.6), "x": random(n), "X": random(n, q)}


@pytest.mark.parametrize("pair", FUNCTIONS)
def test_m5_all_pairs_in_all_layouts(pair):
    function = FUNCTIONS[pair]
    name = function.__code__.co_varnames[0]
    values = {name: VARIABLES[name], "c": random(n), "C": random(m, n)}
    variable = mg.tensor(name, np.ndim(values[name]))
    f = function(variable, mg.vector("c"), mg.matrix("C"))
    by_differences = differences(lambda v: function(v, values["c"], values["C"]), values[name])
    y_ndim = f.ndim
    for layout in ("tensor", "numerator", "denominator"):
        derivative = f.diff(variable, layout=layout)
        got = derivative(**{symbol.name: values[symbol.name] for symbol in f.symbols})
        close(got, mg.to_layout(by_differences, y_ndim, layout), 1e-6)


def differences(function, x, step=1e-5):
    columns = []
    for index in np.ndindex(np.shape(x)):
        direction = np.zeros(np.shape(x))
        direction[index] = step
        columns.append((function(x + direction) - function(x - direction)) / (2 * step))
    return np.stack(columns, -1).reshape(np.shape(columns[0]) + np.shape(x))


def test_m6_tangents_and_the_total_differential():
    a, c, C = mg.scalar("a"), mg.vector("c"), mg.matrix("C")
    values = {"a": 0.4, "c": random(n), "C": random(m, n)}
    close(np.sin(a * c).diff(a)(a=0.4, c=values["c"]), values["c"] * np.cos(0.4 * values["c"]))
    close(np.sin(a * C).diff(a)(a=0.4, C=values["C"]), values["C"] * np.cos(0.4 * values["C"]))
    x = np.exp(a * c)
    f = C @ x
    y = mg.vector("y")
    total = (C @ y).diff(y)(C=values["C"], y=np.exp(0.4 * values["c"])) @ x.diff(a)(a=0.4, c=values["c"])
    close(f.diff(a)(**values), total)


def test_m7_rules_are_applied_by_the_engine():
    x, A, B, b = mg.vector("x"), mg.matrix("A"), mg.matrix("B"), mg.vector("b")
    u, v = np.sin(x), np.exp(x)
    assert x.diff(x).equals((1.0 * x).diff(x))
    assert (u + v).diff(x).equals(u.diff(x) + v.diff(x))
    assert (A @ u).diff(x).equals(A @ u.diff(x))
    w = b @ u
    assert (w * v).diff(x).equals(w * v.diff(x) + np.outer(v, w.diff(x)))
    assert (u @ A @ v).diff(x).equals(A @ v @ u.diff(x) + A.T @ u @ v.diff(x))
    g = B @ x
    y = mg.vector("y")
    assert np.sin(g).diff(x).equals(np.diag(np.cos(g)) @ B)
    values = {"B": random(m, n), "x": random(n)}
    inner = g.diff(x)(**values)
    close(np.sin(g).diff(x)(**values), np.sin(y).diff(y)(y=values["B"] @ values["x"]) @ inner)


def test_m8_bilinear_form():
    a, b, x = mg.vectors("a b x")
    f = (a @ x) * (x @ b)
    values = {"a": random(n), "b": random(n), "x": random(n)}
    A, B, X = values.values()
    close(f.diff(x)(**values), (B @ X) * A + (A @ X) * B)
    close(f.diff(x, layout="numerator")(**values), (X @ (np.outer(A, B) + np.outer(B, A)))[None, :])
    assert str(f.diff(x)) in {"(bᵀx) a + (aᵀx) b", "(aᵀx) b + (bᵀx) a"}


def test_m9_distance():
    x, a = mg.vectors("x a")
    values = {"x": random(n), "a": random(n)}
    d = values["x"] - values["a"]
    g = np.linalg.norm(x - a).diff(x)
    close(g(**values), d / np.linalg.norm(d))
    assert str(g) in {"(x − a)/‖x − a‖", "(x − a) / ‖x − a‖"}


def test_m10_taylor_model_of_first_order():
    x, y = mg.scalars("x y")
    f = np.log(np.exp(x) + np.exp(y))
    at = {"x": 0.0, "y": math.log(2)}
    close(f(**at), math.log(3))
    close(f.diff(x)(**at), 1 / 3)
    close(f.diff(y)(**at), 2 / 3)
    z = mg.vector("z")
    model = mg.taylor(mg.logsumexp(z), z, order=1).at(np.array([0.0, math.log(2)]))
    close(model(np.array([0.3, 0.1])), math.log(3) + 0.3 / 3 + (0.1 - math.log(2)) * 2 / 3)


def network(w, x, y, z):
    a, b = (w + x + y + z) ** 2, (w + x - y - z) ** 2
    u, v = (a + b) ** 2, (a - b) ** 2
    return (u + v) ** 2


def test_m11_network_of_scalars():
    symbols = mg.scalars("w x y z")
    w, x, y, z = 1.0, 0.5, -0.3, 0.2
    a, b = (w + x + y + z) ** 2, (w + x - y - z) ** 2
    u, v = (a + b) ** 2, (a - b) ** 2
    by_a = 2 * (u + v) * (2 * (a + b) + 2 * (a - b))
    by_b = 2 * (u + v) * (2 * (a + b) - 2 * (a - b))
    by_s, by_d = by_a * 2 * (w + x + y + z), by_b * 2 * (w + x - y - z)
    expected = [by_s + by_d, by_s + by_d, by_s - by_d, by_s - by_d]
    f = network(*symbols)
    for symbol, derivative in zip(symbols, expected, strict=True):
        for mode in ("forward", "reverse", "cross_country"):
            close(f.diff(symbol, mode=mode)(w=w, x=x, y=y, z=z), derivative)
    close(mg.grad(network, (0, 1, 2, 3))(w, x, y, z), expected)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_m12_back_propagation_is_explained(mode):
    w, x, y, z = mg.scalars("w x y z")
    at = {"w": 1.0, "x": 0.5, "y": -0.3, "z": 0.2}
    table = mg.explain(network(w, x, y, z), wrt=[w, x, y, z], at=at, mode=mode)
    close([table.derivatives[name] for name in "wxyz"], mg.grad(network, (0, 1, 2, 3))(*at.values()))
    # one sweep for the one result over 19 one-step partials, or one for each input over the 13 that it reaches
    assert table.sweeps == {"reverse": 1, "forward": 4}
    assert table.multiplications == {"reverse": 19, "forward": 4 * 13}
    assert all(name in str(table) for name in "wxyz")
    assert "digraph" in table.to_dot()
    assert "<table" in table._repr_html_()


def test_m13_hessian_of_a_quadratic_and_its_taylor_model():
    a, b, x, C = mg.scalar("a"), mg.vector("b"), mg.vector("x"), mg.matrix("C")
    f = a + b @ x + x @ C @ x
    H = f.diff(x, x)
    values = {"a": 0.3, "b": random(n), "C": random(n, n), "x": random(n)}
    close(H(**values), values["C"] + values["C"].T)
    assert H.T.equals(H)
    assert str(H) in {"C + Cᵀ", "Cᵀ + C"}
    numbers = values["a"] + values["b"] @ x + x @ values["C"] @ x
    model = mg.taylor(numbers, x, order=2)
    x0, x1 = random(n), random(n)
    close(model.at(x0)(x1), values["a"] + values["b"] @ x1 + x1 @ values["C"] @ x1)


def test_m14_linear_and_quadratic_form():
    beta, x, A = mg.vector("beta"), mg.vector("x"), mg.matrix("A")
    assert (beta @ x).diff(x).equals(beta)
    assert str((beta @ x).diff(x)) in {"beta", "β"}
    f = x @ A @ x
    values = {"A": random(n, n), "x": random(n)}
    close(f.diff(x)(**values), (values["A"] + values["A"].T) @ values["x"])
    assert f.diff(x).equals((A + A.T) @ x)
    assert f.diff(x, x).equals(A + A.T)
    assert str(f.diff(x)) == "(A + Aᵀ)x"


def test_m15_matrix_factorization():
    X, U, V = mg.matrices("X U V")
    values = {"X": random(n, q), "U": random(n, p), "V": random(p, q)}
    residual = values["X"] - values["U"] @ values["V"]
    for f in (np.sum((X - U @ V) ** 2), np.linalg.norm(X - U @ V) ** 2):
        close(f.diff(V)(**values), -2 * values["U"].T @ residual)
        close(f.diff(U)(**values), -2 * residual @ values["V"].T)
        assert str(f.diff(V)) in {"2 Uᵀ(U V − X)", "−2 Uᵀ(X − U V)"}
        assert str(f.diff(U)) in {"2 (U V − X)Vᵀ", "−2 (X − U V)Vᵀ", "2 (U V − X) Vᵀ", "−2 (X − U V) Vᵀ"}


def test_m16_index_notation():
    A, B, x = mg.matrix("A"), mg.matrix("B"), mg.vector("x")
    assert (A @ x).to_index() == "A[i,j] x[j]"
    assert (A @ B).to_index() == "A[i,k] B[k,j]"
    assert np.trace(A @ B).to_index() in {"A[i,j] B[j,i]", "B[i,j] A[j,i]"}
    assert A.T.to_index() == "A[j,i]"


def test_m17_derivatives_are_checked_in_one_call():
    A, x = mg.matrix("A"), mg.vector("x")
    values = {"A": random(n, n), "x": random(n)}
    mg.testing.check_derivatives(x @ A @ x, values, order=2)
    mg.testing.check_derivatives(lambda A, x: x @ A @ x, tuple(values.values()), order=2)
    with pytest.raises(AssertionError):
        mg.testing.check_derivatives(lambda x: x @ x, (values["x"],), 1, derivatives=[lambda x: x])


def test_layouts_of_all_pairs_obey_the_chain_rule():
    """numerator: ∂f/∂x = ∂f/∂g ∂g/∂x; denominator: ∂f/∂x = ∂g/∂x ∂f/∂g."""
    A, B, x, y = mg.matrix("A"), mg.matrix("B"), mg.vector("x"), mg.vector("y")
    values = {"A": random(m, n), "x": random(n), "B": random(p, m)}
    g, f = np.sin(A @ x), np.tanh(B @ y)
    inside = np.sin(values["A"] @ values["x"])
    of_f = {layout: f.diff(y, layout=layout)(B=values["B"], y=inside) for layout in ("numerator", "denominator")}
    of_g = {layout: g.diff(x, layout=layout)(A=values["A"], x=values["x"]) for layout in ("numerator", "denominator")}
    whole = np.tanh(B @ g)
    close(whole.diff(x, layout="numerator")(**values), of_f["numerator"] @ of_g["numerator"])
    close(whole.diff(x, layout="denominator")(**values), of_g["denominator"] @ of_f["denominator"])


@pytest.mark.parametrize(("order", "symbol"), list(itertools.product((1, 2, 3), ("x", "w"))))
def test_derivatives_of_any_order(order, symbol):
    x, w = mg.scalars("x w")
    f = np.exp(2 * x) * np.sin(w)
    by = {"x": x, "w": w}[symbol]
    factors = {"x": 2.0**order * np.exp(0.6) * np.sin(0.5)}
    factors["w"] = np.exp(0.6) * [np.cos(0.5), -np.sin(0.5), -np.cos(0.5)][order - 1]
    close(f.diff(*[by] * order)(x=0.3, w=0.5), factors[symbol])
