"""Explanations: adjoints and tangents against JAX, structure as written, counts, printed forms, errors."""

import re

import numpy as np
import pytest

import matgrad as mg

POINT = {"w": 1.0, "x": 0.5, "y": 0.2, "z": -0.3}
RNG = np.random.default_rng(2)


def network(w, x, y, z):
    a = (w + x + y + z) ** 2
    b = (w + x - y - z) ** 2
    u = (a + b) ** 2
    v = (a - b) ** 2
    return (u + v) ** 2


def layers(W, x, b):
    hidden = np.tanh(W @ x + b)
    squares = hidden * hidden
    return np.sum(squares) * hidden[0]


ARRAYS = {"W": RNG.standard_normal((3, 2)), "x": RNG.standard_normal(2), "b": RNG.standard_normal(3)}


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def rows_of(explanation):
    return {row.name: row for row in explanation.rows}


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_the_network_of_scalars(mode, jax):
    explanation = mg.explain(network, ["w", "x", "y", "z"], at=POINT, mode=mode)
    assert list(rows_of(explanation)) == ["a", "b", "u", "v", "f"]
    expected = jax.grad(network, (0, 1, 2, 3))(*POINT.values())
    for name, derivative in zip(POINT, expected, strict=True):
        np.testing.assert_allclose(explanation.derivatives[name], derivative, rtol=1e-12)
    a, b = 1.4**2, 1.6**2
    u, v = (a + b) ** 2, (a - b) ** 2
    rows = rows_of(explanation)
    values = {"a": a, "b": b, "u": u, "v": v, "f": (u + v) ** 2}
    assert {name: float(row.value) for name, row in rows.items()} == pytest.approx(values)
    steps = {p.operand: float(p.value) for p in rows["v"].partials}
    assert steps == pytest.approx({"a": 2 * (a - b), "b": 2 * (b - a)})
    assert explanation.sweeps == {"reverse": 1, "forward": 4}
    assert explanation.multiplications == {"reverse": 4 + 4 + 2 + 2 + 2, "forward": 4 * (1 + 1 + 2 + 2 + 2)}


def test_adjoints_of_the_network():
    adjoints = mg.explain(network, at=POINT).passes
    a, b = 1.4**2, 1.6**2
    u, v = (a + b) ** 2, (a - b) ** 2
    outer = 2 * (u + v)
    expected = {"f": 1, "u": outer, "v": outer, "a": 4 * outer * a, "b": 4 * outer * b}
    assert {name: float(adjoints[name]) for name in expected} == pytest.approx(expected)
    assert list(adjoints) == ["f", "v", "u", "b", "a", "w", "x", "y", "z"]


def test_tangents_of_the_network():
    tangents = mg.explain(network, "w", at=POINT, mode="forward").passes["w"]
    assert float(tangents["a"]) == pytest.approx(2 * 1.4)
    assert float(tangents["b"]) == pytest.approx(2 * 1.6)
    assert float(tangents["u"]) == pytest.approx(2 * (1.4**2 + 1.6**2) * 6)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_arrays(mode, jax):
    explanation = mg.explain(layers, ["W", "b"], at=ARRAYS, mode=mode)
    assert list(rows_of(explanation)) == ["hidden", "squares", "f"]

    def theirs(W, x, b):
        hidden = jax.numpy.tanh(W @ x + b)
        return jax.numpy.sum(hidden * hidden) * hidden[0]

    expected = jax.grad(theirs, (0, 2))(*ARRAYS.values())
    np.testing.assert_allclose(explanation.derivatives["W"], expected[0], rtol=1e-12)
    np.testing.assert_allclose(explanation.derivatives["b"], expected[1], rtol=1e-12)
    assert explanation.sweeps == {"reverse": 1, "forward": 9}
    assert [p.products for p in rows_of(explanation)["squares"].partials] == [3]
    assert [p.products for p in rows_of(explanation)["hidden"].partials] == [6, 3]


def test_functions_of_several_elements(jax):
    reverse = mg.explain(lambda W, x: np.tanh(W @ x), at={"W": ARRAYS["W"], "x": ARRAYS["x"]})
    forward = mg.explain(lambda W, x: np.tanh(W @ x), at={"W": ARRAYS["W"], "x": ARRAYS["x"]}, mode="forward")
    expected = jax.jacobian(lambda W, x: jax.numpy.tanh(W @ x), (0, 1))(ARRAYS["W"], ARRAYS["x"])
    for name, jacobian in zip(("W", "x"), expected, strict=True):
        np.testing.assert_allclose(reverse.derivatives[name], jacobian, rtol=1e-12)
        np.testing.assert_allclose(forward.derivatives[name], jacobian, rtol=1e-12)
    assert reverse.sweeps == {"reverse": 3, "forward": 8}


def test_expressions_are_explained_node_by_node_or_by_named_nodes():
    w, x, y, z = mg.scalars("w x y z")
    a, b = (w + x + y + z) ** 2, (w + x - y - z) ** 2
    u, v = (a + b) ** 2, (a - b) ** 2
    f = (u + v) ** 2
    by_node = mg.explain(f, [w, x, y, z], at=POINT)
    assert len(by_node.rows) == 10
    assert by_node.multiplications == {"reverse": 19, "forward": 52}
    named = mg.explain(f, [w, x, y, z], at=POINT, intermediates={"a": a, "b": b, "u": u, "v": v})
    assert {*rows_of(named)} == {"a", "b", "u", "v", "f"}
    for explanation in (by_node, named):
        np.testing.assert_allclose(explanation.derivatives["w"], mg.grad(network)(*POINT.values()), rtol=1e-12)
    with pytest.raises(ValueError, match=r"^explain: the intermediate c is not a part of the function"):
        mg.explain(f, w, at=POINT, intermediates={"c": w * x})


def test_a_variable_that_is_bound_twice_has_its_last_meaning():
    def f(x):
        x = np.sin(x)
        x = x * x
        return x + 1

    explanation = mg.explain(f, at={"x": 0.3})
    assert explanation.derivatives["x"] == pytest.approx(np.sin(0.6))


def test_what_does_not_depend_on_the_variables_is_left_out():
    explanation = mg.explain(lambda x, y: x**2 + y**3, "x", at={"x": 2.0, "y": 3.0})
    assert explanation.derivatives.keys() == {"x"}
    assert explanation.derivatives["x"] == 4
    constant = mg.explain(lambda x, y: y**3 + 0 * x, "x", at={"x": 2.0, "y": 3.0})
    assert constant.derivatives["x"] == 0


def test_functions_of_matgrad_are_explained_node_by_node():
    explanation = mg.explain(lambda x: mg.logsumexp(2 * x), at={"x": np.zeros(2)})
    np.testing.assert_allclose(explanation.derivatives["x"], [1, 1])


def test_printed_forms():
    reverse, forward = (mg.explain(network, at=POINT, mode=mode) for mode in ("reverse", "forward"))
    text = str(reverse)
    assert re.search(r"^u +\(a \+ b\)² +20\.4304 +∂u/∂a = 2 \(a \+ b\) = 9\.04;", text, re.MULTILINE)
    assert re.search(r"^a +325\.993 +∂f/∂a = ∂f/∂u · ∂u/∂a \+ ∂f/∂v · ∂v/∂a$", text, re.MULTILINE)
    assert text.endswith("reverse mode: 1 sweep, 14 multiplications\nforward mode: 4 sweeps, 32 multiplications")
    assert re.search(r"^b +3\.2 +3\.2 +-3\.2 +-3\.2$", str(forward), re.MULTILINE)
    assert "<td>(a + b)²</td>" in reverse._repr_html_()
    dot = reverse.to_dot()
    assert dot.startswith("digraph {")
    assert '"a" -> "u" [label="9.04"];' in dot
    assert dot.count("->") == 14


def test_errors_name_what_is_wrong():
    x, y = mg.scalars("x y")
    with pytest.raises(ValueError, match=r'^explain: mode is \'up\' but must be "reverse" or "forward"'):
        mg.explain(x * y, x, at={"x": 1.0, "y": 2.0}, mode="up")
    with pytest.raises(TypeError, match=r"^explain: the expression needs a value for its symbol y"):
        mg.explain(x * y, x, at={"x": 1.0})
    with pytest.raises(TypeError, match=r"^explain: the expression has no symbol t"):
        mg.explain(x * y, x, at={"x": 1.0, "y": 1.0, "t": 1.0})
    with pytest.raises(TypeError, match=r"^explain: q is not a symbol of the function"):
        mg.explain(x * y, "q", at={"x": 1.0, "y": 1.0})
    with pytest.raises(TypeError, match=r"^explain: f is 3"):
        mg.explain(3, at={})
