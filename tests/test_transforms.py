"""Transforms of NumPy functions: against JAX and finite differences, their conventions, errors."""

import functools

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(3)
A, B, X = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 3)), RNG.standard_normal((5, 4))
x, y, w = RNG.standard_normal(4), RNG.standard_normal(3), RNG.standard_normal(4)
M = RNG.standard_normal((3, 3)) + 4 * np.eye(3)

# Functions of one element, as functions of the NumPy-like module that they are written in, and their arguments.
SCALARS = {
    "cubic": (lambda np: lambda x: np.sum(x**3) * x[0], (x,)),
    "quadratic form": (lambda np: lambda A, x: x @ A @ x, (B @ A, x)),
    "least squares": (lambda np: lambda A, x, y: np.sum((A @ x - y) ** 2), (A, x, y)),
    "factorization": (lambda np: lambda A, U, V: np.linalg.norm(A - U @ V) ** 2, (A, A[:, :2], B[:2] @ A)),
    "logistic": (lambda np: lambda w, X, t: np.sum(np.log1p(np.exp(-t * (X @ w)))), (w, X, np.sign(X[:, 0]))),
    "network": (lambda np: lambda W, x, b: np.sum(np.tanh(W @ np.tanh(W.T @ b + x)) ** 2), (A, x, y)),
    "log-sum-exp": (lambda np: lambda x: np.log(np.sum(np.exp(x))), (x,)),
    "log-determinant": (lambda np: lambda M, y: np.linalg.slogdet(M)[1] + y @ np.linalg.inv(M) @ y, (M, y)),
    "solve": (lambda np: lambda M, y: np.sum(np.linalg.solve(M, y) ** 2), (M, y)),
    "broadcasting": (lambda np: lambda X, x, s: np.sum((X - x) ** 2 * s), (X, x, 2.0)),
    "ones": (lambda np: lambda X, r: np.sum((X * r) ** 3), (X, RNG.standard_normal((5, 1)))),
    "where": (lambda np: lambda x: np.sum(np.where(x > 0, x**2, -3 * x)), (x,)),
    "statistics": (lambda np: lambda X: np.sum(np.var(X, axis=0) * np.mean(X, axis=0)), (X,)),
    "scalars": (lambda np: lambda a, b: np.log(np.exp(a) + np.exp(b)), (0.0, np.log(2.0))),
    "lengths": (lambda np: lambda x: np.sum(x) ** 2 / x.shape[0] + len(x) * x[-1], (x,)),
    "a loop": (lambda np: lambda x: sum(v**k for k, v in enumerate(x)), (x,)),
    "an exponent": (lambda np: lambda x, p: np.sum(np.abs(x) ** p), (x, 2.5)),
    "slices": (lambda np: lambda x: np.sum(x[1:] * x[:-1] ** 2), (x,)),
    "one by one": (lambda np: lambda s: np.sum(s * s) + s[0, 0], (np.array([[1.5]]),)),
}
# Functions of more than one element.
ARRAYS = {
    "linear": (lambda np: lambda A, x: A @ x, (A, x)),
    "elementwise": (lambda np: lambda x: np.sin(x) * x, (x,)),
    "gram": (lambda np: lambda A: A.T @ A, (A,)),
    "inverse": (lambda np: lambda M: np.linalg.inv(M), (M,)),
    "softmax": (lambda np: lambda x: np.exp(x) / np.sum(np.exp(x)), (x,)),
    "outer": (lambda np: lambda x, y: np.outer(x, y) ** 2, (x, y)),
    "transposed": (lambda np: lambda A, B: (A @ B).T, (A, B)),
    "by a scalar": (lambda np: lambda t: t * np.ones((2, 3)) * t, (0.7,)),
}


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def close(got, expected):
    """Compare trees of arrays."""
    if isinstance(expected, (tuple, list)):
        assert isinstance(got, tuple)
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            close(g, e)
    elif isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for key in expected:
            close(got[key], expected[key])
    else:
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


def everything(args):
    return tuple(range(len(args)))


# --- Values, against JAX ---


@pytest.mark.parametrize("case", SCALARS)
def test_gradients_and_hessians_of_scalars(case, jax):
    make, args = SCALARS[case]
    ours, theirs, argnums = make(np), make(jax.numpy), everything(args)
    expected = jax.value_and_grad(theirs, argnums)(*args)
    close(mg.value_and_grad(ours, argnums)(*args), expected)
    close(mg.grad(ours, argnums)(*args), expected[1])
    close(mg.grad(ours)(*args), expected[1][0])
    expected = jax.jit(jax.hessian(theirs, argnums))(*args)
    close(mg.hessian(ours, argnums)(*args), expected)
    close(mg.hessian(ours)(*args), expected[0][0])


@pytest.mark.parametrize("case", SCALARS)
def test_products_with_hessians(case, jax):
    make, args = SCALARS[case]
    ours, theirs = make(np), make(jax.numpy)
    v = tuple(RNG.standard_normal(np.shape(arg)) if np.ndim(arg) else 0.3 for arg in args)
    _, expected = jax.jit(lambda args, v: jax.jvp(jax.grad(theirs, everything(args)), args, v))(args, v)
    close(mg.hvp(ours, args, v), expected)
    if len(args) == 1:
        close(mg.hvp(ours, args[0], v[0]), expected[0])


@pytest.mark.parametrize("case", SCALARS | ARRAYS)
def test_jacobians_and_products_with_them(case, jax):
    make, args = (SCALARS | ARRAYS)[case]
    ours, theirs, argnums = make(np), make(jax.numpy), everything(args)
    expected = jax.jit(jax.jacobian(theirs, argnums))(*args)
    close(mg.jacobian(ours, argnums)(*args), expected)
    close(mg.jacobian(ours)(*args), expected[0])
    v = tuple(RNG.standard_normal(np.shape(arg)) if np.ndim(arg) else 0.3 for arg in args)
    close(mg.jvp(ours, args, v), jax.jvp(theirs, args, v))
    value, pullback = mg.vjp(ours, *args)
    expected, their_pullback = jax.vjp(theirs, *args)
    close(value, expected)
    u = RNG.standard_normal(value.shape) if value.ndim else 0.7
    close(pullback(u), their_pullback(jax.numpy.asarray(u)))


@pytest.mark.parametrize("case", ARRAYS)
def test_hessians_of_arrays_have_the_axes_of_the_value_first(case, jax):
    make, args = ARRAYS[case]
    close(mg.hessian(make(np))(*args), jax.jit(jax.hessian(make(jax.numpy)))(*args))


def test_the_hessian_is_symmetric():
    H = mg.hessian(SCALARS["network"][0](np))(A, x, y)
    np.testing.assert_allclose(H, H.transpose(2, 3, 0, 1), rtol=1e-12)


# --- Conventions ---


def test_a_gradient_has_the_precision_of_its_variable():
    def loss(x, y):
        return np.sum((x * y) ** 2)

    x32, y64 = np.ones(3, np.float32), np.arange(3.0)
    for _ in range(2):
        value, (dx, dy) = mg.value_and_grad(loss, (0, 1))(x32, y64)
        assert (value.dtype, dx.dtype, dy.dtype) == (np.float64, np.float32, np.float64)
    assert mg.grad(loss)(x32, x32).dtype == np.float32
    assert mg.grad(loss)(x32, 2.0).dtype == np.float32
    assert mg.grad(loss)([1, 2, 3], 2).dtype == np.float64
    assert mg.grad(loss)(np.array([1, 2, 3]), 2).tolist() == [8, 16, 24]
    assert isinstance(mg.grad(lambda t: t**2)(3), np.float64)
    assert isinstance(mg.grad(lambda t: t**2)(np.float32(3)), np.float32)
    assert isinstance(mg.grad(lambda t: t**2)(3.0), np.float64)


def test_ones_made_in_a_variables_dtype_keep_its_precision():
    value, gradient = mg.value_and_grad(lambda x: np.sum(x * np.ones(3, x.dtype)))(np.ones(3, np.float32))
    assert value.dtype == gradient.dtype == np.float32


def test_argnums_are_jaxs():
    def f(a, b, c):
        return a * b**2 * c**3

    assert mg.grad(f, 1)(2.0, 3.0, 1.0) == 12
    assert mg.grad(f, -1)(2.0, 3.0, 1.0) == 54
    assert mg.grad(f, (2, 0))(2.0, 3.0, 1.0) == (54, 9)
    assert mg.grad(f, (1,))(2.0, 3.0, 1.0) == (12,)
    assert mg.hessian(f, (0, 1))(2.0, 3.0, 1.0) == ((0, 6), (6, 4))


def test_other_arguments_pass_through():
    def f(x, power, axis=None, *, scale=1.0, name="", callback=None):
        assert name == "a name"
        assert callback is print
        return scale * np.sum(x**power, axis=axis)

    gradient = mg.grad(f)
    for power, scale in [(2, 1.0), (3, 1.0), (3, 2.5), (2, 4.0)]:
        got = gradient(x, power, axis=0, scale=scale, name="a name", callback=print)
        np.testing.assert_allclose(got, scale * power * x ** (power - 1))


def test_aux_is_returned_beside():
    def f(x):
        return np.sum(x**2), {"twice": 2 * x, "name": "f", "numbers": [1, 2]}

    aux = {"twice": 2 * x, "name": "f", "numbers": [1, 2]}
    gradient, got = mg.grad(f, has_aux=True)(x)
    np.testing.assert_allclose(gradient, 2 * x)
    assert (got["name"], got["numbers"]) == ("f", [1, 2])
    np.testing.assert_allclose(got["twice"], aux["twice"])
    (value, got), gradient = mg.value_and_grad(f, has_aux=True)(x)
    assert value == pytest.approx(np.sum(x**2))
    np.testing.assert_allclose(got["twice"], aux["twice"])
    assert mg.jacobian(f, has_aux=True)(x)[1]["name"] == "f"
    assert mg.hessian(f, has_aux=True)(x)[1]["name"] == "f"
    with pytest.raises(TypeError, match=r"^grad: with has_aux=True the function must return a pair"):
        mg.grad(lambda x: np.sum(x), has_aux=True)(x)


def test_arguments_may_be_trees_of_arrays(jax):
    def loss(np):
        def apply(parameters, x):
            for layer in parameters["layers"]:
                x = np.tanh(layer["W"] @ x + layer["b"])
            return np.sum(x**2) * parameters["scale"]

        return apply

    parameters = {"layers": [{"W": A, "b": y}, {"W": M, "b": -y}], "scale": 0.5}
    got, expected = mg.grad(loss(np))(parameters, x), jax.grad(loss(jax.numpy))(parameters, x)
    assert type(got["layers"]) is list
    assert got["scale"] == pytest.approx(float(expected["scale"]))
    for ours, theirs in zip(got["layers"], expected["layers"], strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("layout", ["tensor", "numerator", "denominator"])
def test_jacobians_in_every_layout(layout):
    for case in ("linear", "gram", "elementwise"):
        make, args = ARRAYS[case]
        tensor = mg.jacobian(make(np))(*args)
        expected = mg.to_layout(tensor, np.ndim(make(np)(*args)), layout)
        np.testing.assert_allclose(mg.jacobian(make(np), layout=layout)(*args), expected)


def test_a_method_can_be_decorated():
    class Model:
        scale = 3.0

        @mg.grad
        def by_itself(self, x):
            return np.sum(x)

        @functools.partial(mg.grad, argnums=1)
        def slope(self, x):
            """The slope."""
            return self.scale * np.sum(x**2)

    np.testing.assert_allclose(Model().slope(x), 6 * x)
    assert Model.slope.__doc__ == "The slope."
    assert Model.slope.__name__ == "grad(slope)"


def test_a_result_of_one_element_may_have_axes():
    assert mg.value_and_grad(lambda x: x**2)(np.array([[3.0]])) == (9, 6)
    assert mg.grad(lambda x: np.sum(x, keepdims=True))(x).tolist() == [1, 1, 1, 1]


def test_an_empty_array_has_an_empty_gradient():
    assert mg.grad(lambda x: np.sum(x**2))(np.zeros(0)).shape == (0,)
    assert mg.grad(lambda x: np.sum(x**2))(np.zeros((3, 0))).shape == (3, 0)


def test_what_does_not_depend_on_a_variable_has_gradient_zero():
    np.testing.assert_array_equal(mg.grad(lambda x: 3.0)(x), 0 * x)
    np.testing.assert_array_equal(mg.jacobian(lambda x: np.floor(x))(x), np.zeros((4, 4)))
    np.testing.assert_array_equal(mg.jvp(lambda x: np.ones(3), (x,), (x,))[1], np.zeros(3))


# --- Nesting ---


def test_transforms_nest(jax):
    def cube(np):
        return lambda x: np.sum(x**3) * np.sum(np.sin(x))

    ours, theirs = cube(np), cube(jax.numpy)
    close(mg.grad(lambda x: np.sum(mg.grad(ours)(x) ** 2))(x), jax.grad(lambda x: (jax.grad(theirs)(x) ** 2).sum())(x))
    close(mg.jacobian(mg.grad(ours))(x), jax.hessian(theirs)(x))
    close(mg.grad(lambda x: mg.hvp(ours, x, 2 * x) @ x)(x), jax.grad(lambda x: 2 * x @ jax.hessian(theirs)(x) @ x)(x))
    close(
        mg.grad(lambda x: mg.jvp(ours, (x,), (w * x,))[1])(x),
        jax.grad(lambda x: jax.jvp(theirs, (x,), (w * x,))[1])(x),
    )
    close(
        mg.grad(lambda x: np.sum(mg.vjp(np.sin, x)[1](x)[0]))(x),
        jax.grad(lambda x: (jax.numpy.cos(x) * x).sum())(x),
    )
    assert mg.grad(mg.grad(mg.grad(np.sin)))(0.3) == pytest.approx(-np.cos(0.3))
    value, third = mg.value_and_grad(lambda t: mg.grad(mg.grad(lambda s: s**4))(t))(2.0)
    assert (value, third) == (48, 48)


def test_nested_variables_are_not_confused():
    assert mg.grad(lambda x: x * mg.grad(lambda y: x + y)(1.0))(3.0) == 1
    assert mg.grad(lambda x: x * mg.grad(lambda y: x * y)(x))(3.0) == 6
    assert mg.grad(lambda x: mg.grad(lambda x: x**2)(2 * x) * x)(1.0) == 8


def test_transforms_take_expressions():
    s, A = mg.vector("s"), mg.matrix("A")
    assert mg.grad(lambda x: x @ x)(s).equals(2 * s)
    assert mg.jacobian(lambda x: A @ x)(s).equals(A)
    assert mg.grad(lambda x: np.sum(x**2))(A @ s).equals(2 * A @ s)


# --- Errors ---


def fails(error, message, function, *args):
    with pytest.raises(error, match=message):
        function(*args)


def test_errors_say_what_to_do():
    fails(ValueError, r"^grad: .* of shape \(4,\) .* mg.jacobian", mg.grad(lambda x: x**2), x)
    fails(ValueError, r"^hvp: .* of shape \(4,\)", lambda: mg.hvp(lambda x: x**2, x, x))
    fails(TypeError, r"^grad: .* np.where", mg.grad(lambda x: x if x > 0 else -x), 1.0)
    fails(TypeError, r"^grad: .* can't become a Python number", mg.grad(lambda x: float(x)), 1.0)
    fails(TypeError, r"^grad: .* can't become an array", mg.grad(lambda x: np.asarray(x).sum()), x)
    fails(TypeError, r"^grad: the function returns a NoneType", mg.grad(lambda x: None), x)
    fails(TypeError, r"^grad: x has dtype complex128", mg.grad(lambda x: x), 1j * x)
    fails(TypeError, r"^grad: x has dtype float16", mg.grad(lambda x: x), x.astype(np.float16))
    fails(ValueError, r"^grad: argnums is 2 but there are 1 positional", mg.grad(lambda x: x, 2), x)
    fails(TypeError, r"^grad: argnums is 'x'", lambda: mg.grad(np.sum, "x"))
    fails(TypeError, r"^grad: argnums is \(\)", lambda: mg.grad(np.sum, ()))
    fails(TypeError, r"^grad: fun is 3", lambda: mg.grad(3))
    fails(ValueError, r"^jacobian: layout is 'other'", lambda: mg.jacobian(np.sum, layout="other"))
    fails(ValueError, r"^jacobian: layout .* several", lambda: mg.jacobian(np.sum, (0, 1), layout="numerator"))
    fails(ValueError, r"^jvp: tangents\[0\] has shape \(3,\)", lambda: mg.jvp(np.sin, (x,), (y,)))
    fails(ValueError, r"^jvp: primals are 1 but tangents are 2", lambda: mg.jvp(np.sin, (x,), (x, x)))
    fails(TypeError, r"^jvp: primals is a ndarray", lambda: mg.jvp(np.sin, x, (x,)))
    fails(ValueError, r"^vjp: u has shape \(3,\)", lambda: mg.vjp(np.sin, x)[1](y))
    fails(ValueError, r"^hvp: v\[0\] has shape \(3,\)", lambda: mg.hvp(np.sum, x, y))
    fails(TypeError, r"^hvp: primals is a tuple but v is a ndarray", lambda: mg.hvp(np.sum, (x,), x))


def test_an_exception_of_the_function_is_passed_on():
    def f(x):
        raise RuntimeError("from inside")

    fails(RuntimeError, "from inside", mg.grad(f), x)
    gradient = mg.grad(lambda x: np.sum(x**2))
    np.testing.assert_allclose(gradient(x), 2 * x)


def test_shapes_that_do_not_fit_are_reported():
    gradient = mg.grad(lambda x: np.sum(A @ x))
    for good in (False, True):
        if good:
            np.testing.assert_allclose(gradient(x), np.sum(A, axis=0))
        with pytest.raises(ValueError, match=r"^grad: x has length 5 along axis 0 but must be 4"):
            gradient(np.ones(5))
    with pytest.raises(np.linalg.LinAlgError, match=r"^Singular matrix"):
        mg.grad(lambda X: np.sum(np.linalg.inv(X)))(np.zeros((2, 2)))


def test_products_with_derivatives_return_auxiliary_results_too():
    def f(x):
        return x**2, {"double": 2 * x}

    point, u = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    value, tangent, aux = mg.jvp(f, (point,), (u,), has_aux=True)
    np.testing.assert_allclose([value, tangent, aux["double"]], [point**2, 2 * point * u, 2 * point])
    value, pullback, aux = mg.vjp(f, point, has_aux=True)
    np.testing.assert_allclose([value, *pullback(u), aux["double"]], [point**2, 2 * point * u, 2 * point])


def test_pullbacks_of_symbols_take_symbols():
    A, x, u = mg.matrix("A"), mg.vector("x"), mg.vector("u")
    (adjoint,) = mg.vjp(lambda x: A @ x, x)[1](u)
    assert adjoint.equals(A.T @ u)


def test_one_result_may_be_returned_several_times():
    """A compiled function returns its only result bare, also where the transform returns it twice or in a tuple."""
    x, twice = np.array([1.0, 2.0]), lambda x: (3 * x, 3 * x)
    gradient, one_of_one, both = mg.grad(np.sum), mg.grad(np.sum, (0,)), mg.value_and_grad(np.sum)
    for _ in range(3):  # the first calls trace
        value, _, aux = mg.vjp(twice, x, has_aux=True)
        np.testing.assert_array_equal([value, aux], [3 * x, 3 * x])
        np.testing.assert_array_equal(gradient(x), [1, 1])
        np.testing.assert_array_equal(one_of_one(x), [[1, 1]])
        assert isinstance(one_of_one(x), tuple)
        value, ones = both(x)
        assert (value, *ones) == (3, 1, 1)
