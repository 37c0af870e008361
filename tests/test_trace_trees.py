"""Arguments and results of transforms that are made of several arrays, against JAX, and lengths that decide a trace."""

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import matgrad as mg

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

rng = np.random.default_rng(5)


class Layer(NamedTuple):
    weights: Any
    bias: Any


def params():
    return {
        "layers": [
            Layer(rng.standard_normal((3, 2)), rng.standard_normal(3)),
            Layer(rng.standard_normal((2, 3)), None),
        ],
        "scale": 0.5,
        "shift": (rng.standard_normal(2), ()),
    }


def network_of(np):
    def network(p, x):
        first, second = p["layers"]
        hidden = np.tanh(first.weights @ x + first.bias)
        return {"y": p["scale"] * (second.weights @ hidden) + p["shift"][0], "norm": (hidden**2).sum(), "none": None}

    return network


def loss_of(np):
    def loss(p, x):
        out = network_of(np)(p, x)
        return (out["y"] ** 2).sum() + out["norm"]

    return loss


network, loss = network_of(np), loss_of(np)
their_network, their_loss = network_of(jax.numpy), loss_of(jax.numpy)


def assert_trees_close(ours, theirs):
    ours, theirs = (jax.tree_util.tree_flatten(tree) for tree in (ours, theirs))
    assert ours[1] == theirs[1]
    for a, b in zip(ours[0], theirs[0], strict=True):
        assert isinstance(a, (np.ndarray, np.generic))
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def like(tree):
    return jax.tree_util.tree_map(lambda leaf: rng.standard_normal(np.shape(leaf)) + 0.0, tree)


def test_a_gradient_is_nested_as_its_argument():
    p, x = params(), rng.standard_normal(2)
    assert_trees_close(mg.grad(loss)(p, x), jax.grad(their_loss)(p, x))
    assert_trees_close(mg.grad(loss, (1, 0))(p, x), jax.grad(their_loss, (1, 0))(p, x))
    assert_trees_close(mg.value_and_grad(loss)(p, x), jax.value_and_grad(their_loss)(p, x))


@pytest.mark.parametrize("argnums", [0, 1, (1, 0)])
def test_a_jacobian_and_a_hessian_are_nested_as_the_values_and_then_the_arguments(argnums):
    p, x = params(), rng.standard_normal(2)
    assert_trees_close(mg.jacobian(network, argnums)(p, x), jax.jacobian(their_network, argnums)(p, x))
    assert_trees_close(mg.hessian(network, argnums)(p, x), jax.hessian(their_network, argnums)(p, x))


def test_products_take_and_return_trees():
    p, x = params(), rng.standard_normal(2)
    tangents = like((p, x))
    assert_trees_close(mg.jvp(network, (p, x), tangents), jax.jvp(their_network, (p, x), tangents))
    value, pullback = mg.vjp(network, p, x)
    expected, their_pullback = jax.vjp(their_network, p, x)
    assert_trees_close(value, expected)
    u = like(expected)
    assert_trees_close(pullback(u), their_pullback(u))
    assert_trees_close(pullback(OrderedDict(reversed(u.items()))), their_pullback(u))
    reordered = OrderedDict(reversed(tangents[0].items())), tangents[1]
    assert_trees_close(mg.hvp(loss, (p, x), reordered), jax.jvp(jax.grad(their_loss, (0, 1)), (p, x), tangents)[1])


def test_products_of_trees_differentiate_again():
    x = rng.standard_normal(4)

    def ours(x):
        value, tangent = mg.jvp(lambda a: (np.sin(a), [np.sum(a**2)]), (x,), (x,))
        _, pullback = mg.vjp(lambda a: {"s": np.sum(a**3), "a": np.outer(a, a)}, x)
        return np.sum(value[0] * tangent[0]) + tangent[1][0] + np.sum(pullback({"s": 2.0, "a": np.ones((4, 4))})[0])

    def plain(x):
        return np.sum(np.sin(x) * np.cos(x) * x) + 2 * np.sum(x**2) + np.sum(6 * x**2) + 2 * x.size * np.sum(x)

    np.testing.assert_allclose(mg.value_and_grad(ours)(x)[0], plain(x), rtol=1e-12)
    np.testing.assert_allclose(mg.grad(ours)(x), mg.grad(plain)(x), rtol=1e-12)


def test_lists_of_scalars_are_results():
    value, pullback = mg.vjp(lambda x: [x[0] * x[1], x[1]], np.array([2.0, 3.0]))
    assert value == [6.0, 3.0]
    np.testing.assert_array_equal(pullback([1.0, 10.0])[0], [3.0, 12.0])
    np.testing.assert_array_equal(mg.jacobian(lambda x: [x[0] * x[1], x[1]])(np.array([2.0, 3.0])), [[3, 2], [0, 1]])


def test_auxiliary_results_keep_their_form():
    def f(p, x):
        out = network(p, x)
        return np.sum(out["y"]), {"hidden": [out["norm"], x], "name": "f", "layer": Layer(out["y"], None)}

    p, x = params(), rng.standard_normal(2)
    expected = network(p, x)
    for transform in (mg.grad, mg.jacobian, mg.hessian):
        _, aux = transform(f, has_aux=True)(p, x)
        assert aux["name"] == "f"
        assert isinstance(aux["layer"], Layer)
        np.testing.assert_allclose(aux["hidden"][0], expected["norm"])
        np.testing.assert_array_equal(aux["hidden"][1], x)
        np.testing.assert_allclose(aux["layer"].weights, expected["y"])


def test_keywords_and_defaults_pass_through():
    weights = rng.standard_normal(3)

    def f(x, w=weights, *, power=2, offsets=(0.0, 0.0)):
        return np.sum(w * (x - offsets[0]) ** power) + offsets[1]

    x = rng.standard_normal(3)
    np.testing.assert_allclose(mg.grad(f)(x), 2 * weights * x)
    np.testing.assert_allclose(mg.grad(f)(x, power=3), 3 * weights * x**2)
    np.testing.assert_allclose(mg.grad(f)(x, w=x, offsets=(x, 1.0)), np.zeros(3))
    np.testing.assert_allclose(mg.grad(f, 1)(x, 2 * x, offsets=[np.ones(3), 1.0]), (x - 1) ** 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: mg.grad(lambda x: (x, x))(x), "grad: the function returns a tuple"),
        (lambda x: mg.jvp(lambda p: p["a"], ({"a": x},), ({"b": x},)), "tangents must be nested as primals are"),
        (lambda x: mg.vjp(lambda x: (x, x), x)[1]((x,)), "vjp: u must be nested as the value is"),
        (lambda x: mg.vjp(lambda x: (x, x), x)[1](x), "vjp: u must be nested as the value is"),
        (lambda x: mg.jacobian(lambda x: None)(x), "jacobian: the function returns a NoneType"),
        (lambda x: mg.jacobian(lambda x: (x, "s"))(x), "jacobian: the function returns a str"),
    ],
)
def test_trees_that_dont_fit_are_named(call, message):
    with pytest.raises(TypeError, match=message):
        call(rng.standard_normal(3))


def test_layouts_are_for_one_array():
    with pytest.raises(ValueError, match="layout is 'numerator' but must be 'tensor' for several arrays"):
        mg.jacobian(lambda x: (x, x), layout="numerator")(rng.standard_normal(3))


@pytest.mark.parametrize("shapes", [[(4, 4), (4, 5)], [(4, 5), (4, 4)], [(5, 4), (2, 3)]])
def test_the_diagonal_of_oblong_matrices(shapes):
    gradient, pullback = mg.grad(np.trace), lambda x: mg.vjp(np.diagonal, x)[1](np.arange(float(min(x.shape))))[0]
    for shape in shapes:
        x = rng.standard_normal(shape)
        np.testing.assert_array_equal(gradient(x), np.eye(*shape))
        np.testing.assert_array_equal(pullback(x), np.eye(*shape) * np.arange(shape[1]))
        product = mg.jvp(lambda x, u: mg.vjp(np.trace, x)[1](u)[0], (x, 2.0), (x, 3.0))
        np.testing.assert_array_equal(product, (2 * np.eye(*shape), 3 * np.eye(*shape)))
