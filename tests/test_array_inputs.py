"""Arrays of other libraries are accepted wherever NumPy's are, and arrays that aren't plain numbers are refused."""

import importlib

import numpy as np
import pytest
import scipy.sparse

import matgrad as mg
from matgrad import closed_form as cf

A = np.random.default_rng(0).standard_normal((3, 3))
x = np.array([0.5, -1.0, 2.0])
M, v = mg.matrix("A"), mg.vector("x")
product = (M @ v).compile(M, v)


class OnlyDLPack:
    """An array that offers nothing but DLPack, as the array API standard asks."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnlyInterface:
    """An array that offers nothing but NumPy's interface."""

    def __init__(self, array):
        self.array = array

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


KINDS = {
    "DLPack": lambda: OnlyDLPack,
    "__array_interface__": lambda: OnlyInterface,
    "memoryview": lambda: memoryview,
    "list": lambda: lambda a: a.tolist(),
    "array_api_strict": lambda: library("array_api_strict").asarray,
    "torch": lambda: library("torch").from_numpy,
    "torch, transposed": lambda: lambda a: library("torch").from_numpy(np.asfortranarray(a)),
    "jax": lambda: with_float64(library("jax")).numpy.asarray,
}


def library(name):
    pytest.importorskip(name)
    return importlib.import_module(name)


def with_float64(jax):
    jax.config.update("jax_enable_x64", True)
    return jax


# Functions of a 3×3 matrix and a vector of length 3.
USES = {
    "closed form": lambda A, x: cf.quadratic_form_gradient(A, x),
    "closed form of several": lambda A, x: cf.factorization_gradient(A, A, A)[0],
    "compiled": lambda A, x: product(A, x),
    "mapped": lambda A, x: product.map(A, x),
    "called": lambda A, x: (M @ v)(A=A, x=x),
    "grad": lambda A, x: mg.grad(lambda A, x: np.sum((A @ x) ** 2), 1)(A, x),
    "another argument": lambda A, x: mg.grad(lambda t, A: np.sum(t * A**2))(2.0, A),
    "keyword": lambda A, x: mg.grad(lambda t, A: np.sum(t * A**2))(2.0, A=A),
    "tree": lambda A, x: mg.grad(lambda p: np.sum((p["A"] @ p["x"]) ** 2))({"A": A, "x": x})["A"],
    "hessian": lambda A, x: mg.hessian(lambda x: np.sum(np.sin(x)))(x),
    "jvp": lambda A, x: mg.jvp(np.sin, (A,), (A,))[1],
    "vjp": lambda A, x: mg.vjp(np.sin, A)[1](A)[0],
    "hvp": lambda A, x: mg.hvp(lambda A: np.sum(A**3), A, A),
    "logsumexp": lambda A, x: mg.logsumexp(x, keepdims=True),
    "structured": lambda A, x: (v @ M @ v).diff(v, v).structured(A=A, x=x).to_dense(),
    "layout": lambda A, x: mg.to_layout(A, 1, "denominator"),
}
OPERANDS = {
    "operator": lambda A, x: mg.jacobian(lambda y: y * x + y @ A)(np.ones(3)),
    "reflected operator": lambda A, x: mg.jacobian(lambda y: x * y + A @ y)(np.ones(3)),
    "function": lambda A, x: mg.jacobian(lambda y: np.multiply(y, x) + np.dot(A, y))(np.ones(3)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_results_are_the_same_numpy_arrays(kind, use):
    made = kind()
    result = use(made(A.copy()), made(x.copy()))
    assert type(result) in (np.ndarray, np.float64)
    np.testing.assert_allclose(result, use(A, x), rtol=1e-14)


@pytest.mark.parametrize("use", OPERANDS.values(), ids=OPERANDS)
@pytest.mark.parametrize("kind", [name for name in KINDS if name != "array_api_strict"])
def test_traced_functions_close_over_them(kind, use):
    made = KINDS[kind]()
    np.testing.assert_array_equal(use(made(A.copy()), made(x.copy())), use(A, x))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_, np.uint8])
def test_their_dtypes_are_those_of_numpy(dtype):
    y = np.array([1, 0, 3], dtype)
    result = mg.grad(lambda x: np.sum(x**2))(OnlyInterface(y))
    np.testing.assert_array_equal(result, 2.0 * y)
    assert result.dtype == mg.grad(lambda x: np.sum(x**2))(y).dtype


def test_torch_tensors_share_memory_with_a_traced_function():
    torch = pytest.importorskip("torch")
    weights = torch.ones(3, dtype=torch.float64)
    gradient = mg.grad(lambda x: np.sum(weights * x**2))
    np.testing.assert_array_equal(gradient(x), 2 * x)
    weights[:] = 3.0
    np.testing.assert_array_equal(gradient(x), 6 * x)


def test_memory_maps_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=3)
    mapped[:] = x
    for use in USES.values():
        np.testing.assert_array_equal(use(A, mapped), use(A, x))


class Subclass(np.ndarray):
    """An array whose operations could do anything."""


REFUSED = {
    "masked": (lambda: np.ma.masked_array(x, [True, False, False]), r"x is a numpy\.ma.*MaskedArray.*filled"),
    "matrix": (lambda: x[None].view(np.matrix), r"x is a numpy\.matrix.*numpy\.asarray"),
    "subclass": (lambda: x.view(Subclass), r"Subclass, whose operations may differ"),
    "record": (lambda: np.zeros(3, [("a", float)]), "x has dtype .*must be float32"),
    "complex": (lambda: OnlyInterface(x * 1j), "complex128 but must be float32"),
    "strings": (lambda: OnlyInterface(np.array(["a", "b"])), "must be float32"),
    "sparse": (lambda: scipy.sparse.eye_array(3), "must be float32"),
    "tensor that requires a gradient": (
        lambda: torch_tensor(requires_grad=True),
        "x is a torch.Tensor that is no array",
    ),
    "bfloat16": (lambda: torch_tensor().bfloat16(), "x is a torch.Tensor that is no array"),
}


def torch_tensor(**kwargs):
    torch = pytest.importorskip("torch")
    return torch.ones(3, dtype=torch.float64, **kwargs)


@pytest.mark.parametrize("use", ["closed form", "compiled", "called", "grad", "hessian", "logsumexp"])
@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_array_is_refused_with_the_reason(make, message, use):
    value = make()
    with pytest.raises(TypeError, match=message):
        USES[use](A, value)


@pytest.mark.parametrize("name", ["masked", "matrix", "subclass"])
def test_subclasses_are_no_operands(name):
    make, _ = REFUSED[name]
    for use in (lambda y: y * make(), lambda y: make() * y, lambda y: np.add(y, make()), lambda y: np.add(make(), y)):
        with pytest.raises(TypeError, match=r"whose operations may differ|can't become an array"):
            mg.jacobian(use)(x)
