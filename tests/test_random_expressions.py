"""Derivatives of random expressions agree with JAX, where it is installed, and with finite differences."""

import importlib.util
import os
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings

import matgrad as mg
from identity import run_source
from random_expressions import MATGRAD_IN_NUMPY, Case, cases

# By default always the same cases; MATGRAD_RANDOM_EXPRESSIONS=10000 draws so many new ones.
COUNT = os.environ.get("MATGRAD_RANDOM_EXPRESSIONS")
random_cases = settings(
    max_examples=int(COUNT or 150),
    derandomize=COUNT is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
AXES = {2: "m", 3: "n"}  # names of lengths


def symbols_of(case: Case):
    """Return symbols whose axes are free, or have names, or are numbers; those of length 1 always are numbers."""
    symbols = {}
    for name, value in case.symbols.items():
        shape = np.shape(value)
        if case.sizes == "free" and 1 not in shape:
            symbols[name] = mg.tensor(name, len(shape))
            continue
        lengths = [length if case.sizes == "fixed" or length == 1 else AXES[length] for length in shape]
        symbols[name] = mg.vector(name, *lengths) if len(lengths) == 1 else mg.tensor(name, *lengths)
    return symbols


def weights(shape):
    """Generic factors, so that derivatives of their sum of products with f show every entry of f's."""
    return np.random.default_rng(1).uniform(0.5, 1.5, shape)


class Derivatives:
    """What the engine makes of a case: f, the Jacobian of f, gradient and Hessian of Σ w f."""

    def __init__(self, case: Case, mode: str = "auto"):
        symbols = symbols_of(case)
        self.arguments = list(case.symbols.values())
        f = case.evaluate(np, mg, symbols)
        by, also_by = (symbols[name] for name in case.variables)
        loss = np.sum(weights(np.shape(case.value)) * f)
        self.expressions = {
            "value": f,
            "jacobian": f.diff(by, mode=mode),
            "gradient": loss.diff(by, mode=mode),
            "hessian": loss.diff(by, also_by, mode=mode),
        }
        self.functions = {name: expression.compile(*symbols.values()) for name, expression in self.expressions.items()}

    def __getitem__(self, name):
        return self.functions[name](*self.arguments)


def assert_close(got, expected, what, relative=1e-9, absolute=1e-11):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, what
    assert np.all(np.isfinite(expected)), f"{what}: the reference isn't finite"
    largest = float(np.max(np.abs(expected), initial=0.0))
    error = float(np.max(np.abs(got - expected), initial=0.0))
    assert error <= relative * largest + absolute, f"{what}: differs by {error} of {largest}\n{got}\n{expected}"
    assert largest <= absolute or np.any(got), f"{what} is zero"


# --- Against JAX ---


class JaxNumpy:
    """NumPy of JAX, except for hypot, whose second derivative is wrong in JAX where both operands are equally large."""

    def __init__(self, jax):
        self._numpy = jax.numpy

    def __getattr__(self, name):
        return getattr(self._numpy, name)

    def hypot(self, x, y):
        return self._numpy.sqrt(x * x + y * y)


def functions_of_jax(jax):
    return SimpleNamespace(
        logsumexp=jax.nn.logsumexp,
        softmax=lambda x, axis=None: jax.nn.softmax(x, axis),
        log_softmax=lambda x, axis=None: jax.nn.log_softmax(x, axis),
        sigmoid=jax.nn.sigmoid,
        softplus=jax.nn.softplus,
        relu=jax.nn.relu,
        logdet=lambda X: jax.numpy.linalg.slogdet(X)[1],
        vec=lambda X: X.T.ravel(),
        expm=jax.scipy.linalg.expm,
    )


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@random_cases
@given(cases)
def test_derivatives_agree_with_jax(case):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    symbols = case.symbols
    names = list(symbols)
    first, second = (names.index(name) for name in case.variables)

    def f(*arguments):
        return case.evaluate(JaxNumpy(jax), functions_of_jax(jax), dict(zip(names, arguments, strict=True)))

    def loss(*arguments):
        return jax.numpy.sum(weights(np.shape(case.value)) * f(*arguments))

    def reference(*arguments):
        return {
            "value": f(*arguments),
            "jacobian": jax.jacrev(f, first)(*arguments),
            "gradient": jax.grad(loss, first)(*arguments),
            "hessian": jax.jacfwd(jax.grad(loss, first), second)(*arguments),
        }

    expected = jax.jit(reference)(*symbols.values())
    if not all(np.all(np.isfinite(array)) for array in expected.values()):
        # compiled, a maximum may be computed twice and differ in the last bit from itself; step by step it doesn't
        expected = reference(*map(jax.numpy.asarray, symbols.values()))
    derivatives = Derivatives(case)
    for name, array in expected.items():
        assert_close(derivatives[name], array, name)


# --- Against finite differences ---


def slope(function, arguments, position, direction):
    """The derivative of a function in a direction by extrapolated central differences, and a bound of their error."""

    def central(step):
        ahead, behind = list(arguments), list(arguments)
        ahead[position] = arguments[position] + step * direction
        behind[position] = arguments[position] - step * direction
        return (np.asarray(function(*ahead)) - np.asarray(function(*behind))) / (2 * step)

    coarse, middle, fine = (central(step) for step in (4e-5, 2e-5, 1e-5))
    best = middle + (middle - coarse) / 3
    return best, 3 * np.max(np.abs(best - fine), initial=0.0)


def assert_slope(function, derivative, arguments, position, what):
    direction = np.random.default_rng(2).uniform(-1, 1, np.shape(arguments[position]))
    expected, doubt = slope(function, arguments, position, direction)
    if doubt > 1e-4 * max(1.0, float(np.max(np.abs(expected), initial=0.0))):
        event(f"{what}: finite differences are no reference")
        return
    got = np.tensordot(derivative, direction, np.ndim(direction))
    assert_close(got, expected, what, 1e-6, 1e-8 + 2 * doubt)


@random_cases
@given(cases)
def test_derivatives_agree_with_finite_differences(case):
    names = list(case.symbols)

    def f(*arguments):
        return case.evaluate(np, MATGRAD_IN_NUMPY, dict(zip(names, arguments, strict=True)))

    first, second = (names.index(name) for name in case.variables)
    derivatives = Derivatives(case)
    arguments = derivatives.arguments
    assert_close(derivatives["value"], case.value, "value")
    assert_slope(f, derivatives["jacobian"], arguments, first, "Jacobian")
    assert_slope(derivatives.functions["gradient"], derivatives["hessian"], arguments, second, "Hessian")
    assert_close(
        derivatives["gradient"],
        np.tensordot(weights(np.shape(case.value)), derivatives["jacobian"], np.ndim(case.value)),
        "gradient",
    )


# --- Other ways to the same values ---


@random_cases
@given(cases)
def test_all_modes_agree(case):
    derivatives = Derivatives(case)
    for mode in ("forward", "reverse", "cross_country"):
        others = Derivatives(case, mode)
        for name in ("jacobian", "gradient", "hessian"):
            assert_close(others[name], derivatives[name], f"{name}, {mode}")


@random_cases
@given(cases)
def test_numpy_source_runs_and_agrees(case):
    derivatives = Derivatives(case)
    for name, expression in derivatives.expressions.items():
        source = expression.to_numpy()
        with np.errstate(all="ignore"):  # what isn't chosen or is guarded may be infinite
            got = run_source(source, case.symbols)
        assert_close(got, derivatives[name], f"{name}: {source}")
        assert all((str(expression), expression.to_latex(), expression.to_index()))
