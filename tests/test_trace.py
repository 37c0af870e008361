"""Tracing: when a function is called anew, what it closes over, static arguments, threads, pickling, formulas."""

import functools
import gc
import pickle
import threading
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import identity
import matgrad as mg
from matgrad.testing import check_derivatives

RNG = np.random.default_rng(3)
A, B, X = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 3)), RNG.standard_normal((5, 4))
x, y = RNG.standard_normal(4), RNG.standard_normal(3)


def counted(fun):
    calls = []

    def counting(*args, **kwargs):
        calls.append(args)
        return fun(*args, **kwargs)

    return counting, calls


def test_values_and_shapes_do_not_retrace():
    fun, calls = counted(lambda x, s: s * np.sum(x**3))
    gradient = mg.grad(fun)
    for k in (4, 5, 6, 4):
        z = RNG.standard_normal(k)
        np.testing.assert_allclose(gradient(z, float(k)), k * 3 * z**2)
    assert len(calls) == 1
    gradient(np.ones((2, 3)), 1.0)
    assert len(calls) == 2
    gradient(np.ones((1, 3)), 1.0)
    assert len(calls) == 3
    gradient(np.ones(3, np.float32), 1.0)
    assert len(calls) == 4
    for _ in range(3):
        gradient(np.ones(7), 1.0)
        gradient(np.ones((4, 3)), 1.0)
        gradient(np.ones((1, 8)), 1.0)
    assert len(calls) == 4


def test_a_function_that_looks_at_lengths_is_traced_per_shape():
    fun, calls = counted(lambda x: np.sum(x) ** 2 / x.size)
    gradient = mg.grad(fun)
    for k in (3, 4, 3, 4):
        np.testing.assert_allclose(gradient(np.ones(k)), 2 * np.ones(k))
    shapes = {args[0].ndim for args in calls}
    assert shapes == {1}
    assert len(calls) <= 3


def test_static_arguments_are_part_of_the_signature():
    fun, calls = counted(lambda x, n, flag: np.sum(x**n) if flag else np.sum(x))
    gradient = mg.grad(fun)
    for n, flag in [(2, True), (3, True), (2, True), (3, False), (True, True), (1, True)]:
        np.testing.assert_allclose(gradient(x, n, flag), n * x ** (n - 1) if flag else 1 + 0 * x)
    assert len(calls) == 5


def test_integer_arrays_are_data_where_the_function_needs_their_values():
    index = np.array([2, 0])
    gradient = mg.grad(lambda x, index: x[index[0]] ** 2 + x[index[1]])
    np.testing.assert_allclose(gradient(x, index), [1, 0, 2 * x[2], 0])
    np.testing.assert_allclose(gradient(x, index[::-1].copy()), [2 * x[0], 0, 1, 0])
    labels, calls = counted(lambda x, t: np.sum(x * t))
    by_labels = mg.grad(labels)
    for t in (np.array([0, 1, 1, 0]), np.array([2, 2, 2, 3])):
        np.testing.assert_allclose(by_labels(x, t), t)
    assert len(calls) == 1


def test_closed_over_variables_may_be_bound_anew():
    scale, matrix = 2.0, np.eye(4)

    def f(x):
        return scale * x @ matrix @ x

    gradient = mg.grad(f)
    np.testing.assert_allclose(gradient(x), 4 * x)
    scale = 3.0
    np.testing.assert_allclose(gradient(x), 6 * x)
    matrix = B @ A
    np.testing.assert_allclose(gradient(x), 3 * (B @ A + A.T @ B.T) @ x)


SCALE = 2.0


def scaled(x):
    return SCALE * np.sum(x**2)


def test_globals_of_called_functions_may_be_bound_anew(monkeypatch):
    gradient = mg.grad(lambda x: scaled(x) + 1)
    np.testing.assert_allclose(gradient(x), 4 * x)
    monkeypatch.setitem(scaled.__globals__, "SCALE", 5.0)
    np.testing.assert_allclose(gradient(x), 10 * x)


def test_attributes_and_items_may_be_bound_anew():
    class Model:
        def __init__(self):
            self.scale = 2.0

        def loss(self, x):
            return self.scale * options["power"] * np.sum(x**2)

    options = {"power": 1.0}
    model = Model()
    gradient = mg.grad(model.loss)
    np.testing.assert_allclose(gradient(x), 4 * x)
    model.scale = 3.0
    np.testing.assert_allclose(gradient(x), 6 * x)
    options["power"] = 2.0
    np.testing.assert_allclose(gradient(x), 12 * x)


def test_attributes_of_classes_and_modules_may_be_bound_anew(monkeypatch):
    class Options:
        scale = 2.0

    gradient = mg.grad(lambda x: Options.scale * identity.FACTOR * np.sum(x**2))
    monkeypatch.setattr(identity, "FACTOR", 1.0, raising=False)
    np.testing.assert_allclose(gradient(x), 4 * x)
    Options.scale = 3.0
    np.testing.assert_allclose(gradient(x), 6 * x)
    monkeypatch.setattr(identity, "FACTOR", 2.0)
    np.testing.assert_allclose(gradient(x), 12 * x)


def test_defaults_and_items_of_long_containers_may_be_bound_anew():
    many, named = [1.0] * 100, OrderedDict.fromkeys(map(str, range(100)), 1.0)

    def f(x, factors=many[:1]):
        return factors[0] * many[90] * named["90"] * np.sum(x)

    gradient = mg.grad(f)
    np.testing.assert_allclose(gradient(x), np.ones(4))
    many[90] = 2.0
    np.testing.assert_allclose(gradient(x), 2 * np.ones(4))
    named["90"] = 3.0
    np.testing.assert_allclose(gradient(x), 6 * np.ones(4))
    f.__defaults__[0][0] = 5.0
    np.testing.assert_allclose(gradient(x), 30 * np.ones(4))


def test_objects_among_the_arguments_may_change():
    class Options:
        def __init__(self):
            self.scale = 2.0

    scale = 1.0
    options, chosen = Options(), {2, 3}
    gradient = mg.grad(lambda x, options, chosen, of: options.scale * len(chosen) * of() * np.sum(x))
    arguments = (x, options, chosen, lambda: scale)
    np.testing.assert_allclose(gradient(*arguments), 4 * np.ones(4))
    options.scale = 3.0
    np.testing.assert_allclose(gradient(*arguments), 6 * np.ones(4))
    chosen.add(4)
    np.testing.assert_allclose(gradient(*arguments), 9 * np.ones(4))
    scale = 2.0
    np.testing.assert_allclose(gradient(*arguments), 18 * np.ones(4))


def test_closed_over_arrays_are_read_at_every_call():
    matrix, data = np.eye(4), np.array([1, 2, 3, 4])
    gradient = mg.grad(lambda x: x @ matrix.T @ x + x @ data)
    np.testing.assert_allclose(gradient(x), 2 * x + data)
    matrix[:] = B @ A
    data[:] = 7
    np.testing.assert_allclose(gradient(x), (B @ A + A.T @ B.T) @ x + 7)


def test_a_buffer_that_the_function_writes_to_has_its_values_when_used():
    buffer = np.zeros(4)

    def f(x):
        buffer[:] = 1
        shifted = x + buffer
        buffer[:] = 5
        return np.sum(shifted * buffer * x)

    gradient = mg.grad(f)
    for _ in range(3):
        np.testing.assert_allclose(gradient(x), 5 * (2 * x + 1))
        buffer[:] = 9


def test_strides_and_byte_orders_do_not_matter():
    gradient = mg.grad(lambda X: np.sum(X**3))
    for variant in (X, X[::-1], np.asfortranarray(X), X[:, ::2], X.astype(">f8")):
        np.testing.assert_allclose(gradient(variant), 3 * np.asarray(variant, float) ** 2)
    read_only = X.copy()
    read_only.flags.writeable = False
    np.testing.assert_allclose(gradient(read_only), 3 * X**2)


def test_objects_that_hold_transforms_of_themselves_are_freed():
    class Model:
        def __init__(self):
            self.scale = np.ones(4)
            self.gradient = mg.grad(self.loss)

        def loss(self, x):
            return np.sum(self.scale * x**2)

    model = Model()
    for _ in range(3):
        np.testing.assert_allclose(model.gradient(x), 2 * x)
    freed = weakref.ref(model)
    del model
    gc.collect()
    assert freed() is None


def test_threads_share_a_transform():
    gradient = mg.grad(lambda x: np.sum(x**3) / x.size)
    failures = []

    def work(k):
        for _ in range(50):
            for n in range(1, 12):
                z = np.full(n, float(k))
                if not np.allclose(gradient(z), 3 * z**2 / n):
                    failures.append((k, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_transforms_of_named_functions_are_pickled():
    gradient = pickle.loads(pickle.dumps(mg.grad(scaled)))
    np.testing.assert_allclose(gradient(x), 2 * SCALE * x)


# --- Formulas ---


def test_formulas_have_symbols_named_after_the_parameters():
    def loss(X, U, V):
        return np.sum((X - U @ V) ** 2)

    f = mg.formula(loss, A, A[:, :2], A[:2])
    assert [s.name for s in f.symbols] == ["X", "U", "V"]
    X, U, V = mg.matrices("X U V")
    assert f.equals(np.sum((X - U @ V) ** 2))
    assert mg.formula(lambda t, n: t**n, 2.0, 3).equals(mg.scalar("t") ** 3)
    assert mg.formula(lambda x: x / x.shape[0], x).equals(mg.vector("x", 4) / 4)
    assert mg.formula(lambda t: t**2, 3).equals(mg.scalar("t") ** 2)


def test_check_derivatives_agrees_with_transforms():
    def fun(W, x, b):
        return np.sum(np.tanh(W @ np.tanh(W.T @ b + x)) ** 2)

    check_derivatives(fun, (A, x, y), derivatives=[mg.grad(fun, (0, 1, 2)), mg.hessian(fun, (0, 1, 2))])


class Layer:
    __slots__ = ("W",)

    def __init__(self, W):
        self.W = W


class Network:
    def __init__(self):
        self.layers = [Layer(np.eye(4)), Layer(2 * np.eye(4))]
        self.options = {"scales": (1.0, [3.0])}

    def loss(self, x):
        for layer in self.layers:
            x = layer.W @ x
        return np.sum(x) * self.options["scales"][1][0]


def test_what_objects_hold_may_change_in_place_or_be_bound_anew():
    network = Network()
    gradient = mg.grad(network.loss)
    np.testing.assert_allclose(gradient(x), 6)
    network.layers[0].W *= 2
    np.testing.assert_allclose(gradient(x), 12)
    network.layers[1].W = np.eye(4)
    np.testing.assert_allclose(gradient(x), 6)
    network.options["scales"][1][0] = 1.0
    np.testing.assert_allclose(gradient(x), 2)
    network.layers = network.layers[:1]
    np.testing.assert_allclose(gradient(x), 2)
    network.layers[0] = Layer(5 * np.eye(4))
    np.testing.assert_allclose(gradient(x), 5)


def test_a_callable_object_and_a_partial_function_may_change():
    class Scaled:
        scale = 2.0

        def __call__(self, x):
            return self.scale * np.sum(x)

    scaled_sum = Scaled()
    gradient = mg.grad(scaled_sum)
    np.testing.assert_allclose(gradient(x), 2)
    scaled_sum.scale = 3.0
    np.testing.assert_allclose(gradient(x), 3)
    settings = {"scale": 2.0}
    partial = mg.grad(functools.partial(lambda settings, x: settings["scale"] * np.sum(x), settings))
    np.testing.assert_allclose(partial(x), 2)
    settings["scale"] = 5.0
    np.testing.assert_allclose(partial(x), 5)


def _of_a_captured_array(transformed):
    """Return a function whose inner function's parameter is called as the outer array that it captures."""

    def outer(x):
        captured = x
        return transformed(lambda x: x * x * captured)

    return outer


@pytest.mark.parametrize(
    "transformed",
    [
        lambda f: mg.grad(f)(2.0),
        lambda f: mg.value_and_grad(f)(2.0)[1],
        lambda f: mg.jvp(f, (2.0,), (1.0,))[1],
        lambda f: mg.vjp(f, 2.0)[1](1.0)[0],
        lambda f: mg.hvp(f, 2.0, 2.0),
        lambda f: mg.hessian(f)(1.0) + mg.jacobian(f)(1.0),
    ],
)
def test_inner_functions_of_plain_numbers_may_capture_outer_traced_arrays(transformed):
    assert mg.grad(_of_a_captured_array(transformed))(3.0) == 4.0


def test_parameters_of_any_name_stay_apart_from_those_of_nested_functions():
    for k in range(100):  # whatever number a fresh name had
        names = {}
        exec(f"def f(x{k}): return mg.grad(lambda x: x * x{k})(x{k})", {"mg": mg}, names)
        assert mg.grad(names["f"])(2.0) == 1.0


def test_a_captured_symbol_of_a_parameters_name_is_another_variable():
    s = mg.scalar("y")
    assert mg.grad(lambda y: s * y * y)(3.0).equals(6 * s)
