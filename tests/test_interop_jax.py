"""Functions of JAX arrays: values and derivatives of all orders against JAX's, under jit and vmap; XLA's interface."""

import gc
import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import matgrad as mg
from matgrad import closed_form as cf

jax = pytest.importorskip("jax")
jnp = jax.numpy

DTYPES = {"float64": 1e-12, "float32": 2e-5}


@pytest.fixture(params=DTYPES)
def dtype(request):
    """The precision, with JAX in the mode that has it."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def arrays(*shapes, dtype="float64"):
    rng = np.random.default_rng(7)
    return [jnp.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def assert_close(actual, expected, dtype="float64"):
    def check(a, b):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        scale = max(1, np.max(np.abs(b), initial=0))
        np.testing.assert_allclose(a, b, rtol=DTYPES[dtype], atol=10 * DTYPES[dtype] * scale)

    jax.tree.map(check, actual, expected)


def expression():
    A, x = mg.matrix("A"), mg.vector("x")
    return mg.interop.jax.function([x @ A @ x, np.tanh(A @ x)], A, x)


def logistic(np):
    return lambda w, X, y: np.sum(np.log(1 + np.exp(-y * (X @ w))))


# What matgrad computes, the same in JAX, and the shapes of the arguments.
FUNCTIONS = {
    "expression": (expression(), lambda A, x: (x @ A @ x, jnp.tanh(A @ x)), ((3, 3), (3,))),
    "closed form": (
        mg.interop.jax.function(cf.factorization_loss),
        lambda X, U, V: jnp.sum((X - U @ V) ** 2),
        ((5, 4), (5, 2), (2, 4)),
    ),
    "log-sum-exp": (mg.interop.jax.function(cf.logsumexp), jax.nn.logsumexp, ((7,),)),
    "logistic": (mg.interop.jax.function(logistic(np)), logistic(jnp), ((3,), (5, 3), (5,))),
    "broadcasting": (
        mg.interop.jax.function(lambda X, r, s: np.sin(X * r) + s),
        lambda X, r, s: jnp.sin(X * r) + s,
        ((3, 4), (3, 1), ()),
    ),
    "solve": (
        mg.interop.jax.function(lambda A, b: np.linalg.solve(A @ A.T + np.diag(b * b + 1), b)),
        lambda A, b: jnp.linalg.solve(A @ A.T + jnp.diag(b * b + 1), b),
        ((3, 3), (3,)),
    ),
    "empty": (mg.interop.jax.function(lambda A, x: A @ x), lambda A, x: A @ x, ((0, 3), (3,))),
}
ROWS = pytest.mark.parametrize(("ours", "theirs", "shapes"), FUNCTIONS.values(), ids=FUNCTIONS)


@ROWS
def test_values_and_derivatives_are_jaxs(ours, theirs, shapes, dtype):
    args = arrays(*shapes, dtype=dtype)
    numbers = tuple(range(len(args)))

    def all_of(f):
        return lambda *args: (f(*args), *(t(f, numbers)(*args) for t in (jax.jacrev, jax.jacfwd, jax.hessian)))

    assert_close(jax.jit(all_of(ours))(*args), jax.jit(all_of(theirs))(*args), dtype)
    assert_close(ours(*args), jax.jit(theirs)(*args), dtype)


@pytest.mark.usefixtures("x64")
def test_derivatives_need_no_jit():
    ours, theirs, shapes = FUNCTIONS["closed form"]
    args = arrays(*shapes)
    for transform in (jax.grad, jax.jacfwd, jax.hessian):
        assert_close(transform(ours, (1, 2))(*args), jax.jit(transform(theirs, (1, 2)))(*args))


@pytest.mark.usefixtures("x64")
def test_every_order_of_modes_gives_the_same_third_derivative():
    ours, theirs, shapes = FUNCTIONS["closed form"]
    args = arrays(*shapes)
    expected = jax.jit(jax.jacrev(jax.jacrev(jax.jacrev(theirs, 1), 2), 1))(*args)
    for first, second, third in itertools.product((jax.jacrev, jax.jacfwd), repeat=3):
        assert_close(jax.jit(third(second(first(ours, 1), 2), 1))(*args), expected)


@pytest.mark.parametrize("size", [5, 1, 0])
@pytest.mark.parametrize("in_axes", [(0, None, 1), (None, 0, None), (2, 1, 0)])
@pytest.mark.usefixtures("x64")
def test_stacks_of_problems_are_computed_together(in_axes, size):
    ours, theirs, shapes = FUNCTIONS["closed form"]
    stacked = [
        shape if axis is None else (*shape[:axis], size, *shape[axis:])
        for shape, axis in zip(shapes, in_axes, strict=True)
    ]
    args = arrays(*stacked)

    def all_of(f):
        def total(*args):
            return jnp.sum(jnp.sin(jax.vmap(f, in_axes)(*args)))

        return lambda *args: {
            "vmap of jit": jax.vmap(jax.jit(f), in_axes)(*args),
            "vmap of grad": jax.vmap(jax.grad(f, (0, 1, 2)), in_axes)(*args),
            "grad of vmap": jax.grad(total, (0, 1, 2))(*args),
            "hessian of vmap": jax.hessian(total, (1, 2))(*args),
        }

    assert_close(jax.jit(all_of(ours))(*args), jax.jit(all_of(theirs))(*args))
    assert str(jax.make_jaxpr(jax.vmap(ours, in_axes))(*args)).count("matgrad[") == 1


@pytest.mark.usefixtures("x64")
def test_stacks_of_stacks_broadcast_what_has_one_of_the_axes():
    ours, theirs, _ = FUNCTIONS["closed form"]
    args = arrays((6, 5, 4), (5, 2), (2, 7, 4))

    def both(f):
        return jax.vmap(lambda X, U, V: jax.vmap(lambda V: f(X, U, V), 1)(V), (0, None, None))

    def gradient(f):
        return jax.jit(jax.grad(lambda *args: jnp.sum(jnp.sin(both(f)(*args))), (0, 1, 2)))

    assert_close(both(ours)(*args), jax.jit(both(theirs))(*args))
    assert_close(gradient(ours)(*args), gradient(theirs)(*args))


@pytest.mark.usefixtures("x64")
def test_loops_conditions_checkpoints_and_linear_maps_of_jax_take_it():
    f = mg.interop.jax.function(lambda x, A: np.tanh(A @ x))
    A, x = arrays((3, 3), (3,))

    def loop(step):
        return lambda x: jnp.sum(jax.lax.scan(lambda x, _: (step(x, A), x[0]), x, length=4)[0] ** 2)

    theirs = loop(lambda x, A: jnp.tanh(A @ x))
    assert_close(jax.grad(loop(f))(x), jax.grad(theirs)(x))
    assert_close(jax.grad(loop(jax.checkpoint(f)))(x), jax.grad(theirs)(x))
    assert_close(jax.jit(lambda x: jax.lax.cond(x[0] > 5, jnp.cos, lambda x: f(x, A), x))(x), jnp.tanh(A @ x))
    linear = mg.interop.jax.function(lambda x: 3 * x[::2])
    (transposed,) = jax.linear_transpose(linear, x)(x[:2])
    assert_close(transposed, jnp.array([3 * x[0], 0, 3 * x[1]]))
    _, tangent = jax.linearize(f, x, A)
    assert_close(tangent(x, A), jax.jvp(lambda x, A: jnp.tanh(A @ x), (x, A), (x, A))[1])


def test_arguments_and_results_may_be_pytrees(dtype):
    def network(np):
        return lambda p, x: {"y": np.tanh(p["W"] @ x) + p["b"], "norm": (np.sum(p["W"] ** 2), np.max(x))}

    ours, theirs = mg.interop.jax.function(network(np)), network(jnp)
    W, b, x = arrays((2, 3), (2,), (3,), dtype=dtype)
    assert_close(jax.jit(ours)({"W": W, "b": b}, x), theirs({"W": W, "b": b}, x), dtype)
    assert_close(jax.jacrev(ours)({"W": W, "b": b}, x), jax.jacrev(theirs)({"W": W, "b": b}, x), dtype)


def test_integers_become_floating_and_pythons_integers_are_data(dtype):
    f = mg.interop.jax.function(lambda x, y, k: np.sum((y * x) ** k) if k > 1 else np.sum(x))
    (x,), y = arrays((4,), dtype=dtype), jnp.array([1, 2, -1, -3])
    assert_close(f(x, y, 3), jnp.sum((y * x) ** 3), dtype)
    assert_close(jax.jit(jax.grad(lambda x: f(x, y, 3)))(x), 3 * y * (y * x) ** 2, dtype)
    assert_close(jax.grad(f)(x, y, 1), jnp.ones_like(x), dtype)
    assert_close(f(np.asarray(x), 2.0, 2), jnp.sum((2 * x) ** 2), dtype)


@pytest.mark.usefixtures("x64")
def test_mixed_precisions_promote_and_gradients_keep_those_of_their_arguments():
    f = mg.interop.jax.function(lambda A, x: x @ A @ x)
    A, x = jnp.eye(2, dtype="float32"), jnp.ones(2, "float64")
    dA, dx = jax.grad(f, (0, 1))(A, x)
    assert (f(A, x).dtype, dA.dtype, dx.dtype) == (np.float64, np.float32, np.float64)


def test_arrays_in_functions_and_expressions_take_the_arguments_precision(dtype):
    Y = np.linspace(1, 2, 3)
    (x,) = arrays((3,), dtype=dtype)
    v = mg.vector("x")
    for f in (mg.interop.jax.function(lambda x: np.sum(Y * x**2)), mg.interop.jax.function(np.sum(Y * v**2), v)):
        assert_close(jax.jit(jax.grad(f))(x), jnp.asarray(2 * Y, dtype) * x, dtype)
        assert_close(jax.vmap(f)(jnp.stack([x, x])), jnp.full(2, jnp.sum(jnp.asarray(Y, dtype) * x**2)), dtype)


@pytest.mark.usefixtures("x64")
def test_arrays_that_a_function_refers_to_are_fixed_when_jax_traces_it():
    Y = np.ones(3)
    f = mg.interop.jax.function(lambda x: np.sum(Y * x))
    fixed, x = jax.jit(f), jnp.ones(3)
    assert fixed(x) == 3
    Y[:] = 5
    assert fixed(x) == 3
    assert jax.jit(lambda x: f(x))(x) == 15


@pytest.mark.usefixtures("x64")
def test_another_shape_is_another_plan():
    f = jax.jit(jax.grad(mg.interop.jax.function(lambda x: np.sum(x[1:] * x[:-1]) ** 2)))
    g = jax.grad(lambda x: jnp.sum(x[1:] * x[:-1]) ** 2)
    for n in (3, 5, 1, 3):
        assert_close(f(*arrays((n,))), g(*arrays((n,))))


@pytest.mark.usefixtures("x64")
def test_an_executable_keeps_its_function():
    x = jnp.ones(3)
    executable = jax.jit(mg.interop.jax.function(lambda x: np.sum(x**2))).lower(x).compile()
    jax.clear_caches()
    gc.collect()
    assert executable(x) == 3


@pytest.mark.usefixtures("x64")
def test_a_number_without_a_function_is_an_error_of_xla():
    call = jax.ffi.ffi_call("matgrad", jax.ShapeDtypeStruct((3,), np.float64))
    with pytest.raises(
        jax.errors.JaxRuntimeError, match="NOT_FOUND: matgrad: the function that is called doesn't exist"
    ):
        call(jnp.ones(3), function=np.int64(12345))
    with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT: matgrad: the attribute function"):
        call(jnp.ones(3), function=np.float64(1))


@pytest.mark.usefixtures("x64")
def test_arrays_that_a_compiled_function_does_not_take_are_errors_of_xla():
    x = mg.vector("x")
    compiled = mg._core.XlaFunction(99, [(x * 2)._node], [x._node], [], [False], 0)
    ok, number = jax.ShapeDtypeStruct((3,), np.float64), {"function": np.int64(compiled.number)}
    assert_close(jax.ffi.ffi_call("matgrad", ok)(jnp.ones(3), **number), 2 * jnp.ones(3))
    for result, args in {
        ok: (jnp.ones(3), jnp.ones(3)),
        jax.ShapeDtypeStruct((4,), np.float64): (jnp.ones(3),),
        jax.ShapeDtypeStruct((3,), np.float32): (jnp.ones(3),),
        jax.ShapeDtypeStruct((3,), np.int64): (jnp.ones(3, int),),
        jax.ShapeDtypeStruct((3, 1), np.float64): (jnp.ones((3, 1)),),
    }.items():
        with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT: "):
            jax.ffi.ffi_call("matgrad", result)(*args, **number)


def test_singular_matrices_are_errors_of_xla():
    f = jax.jit(mg.interop.jax.function(np.linalg.inv))
    with pytest.raises(jax.errors.JaxRuntimeError, match="matgrad: Singular matrix"):
        f(jnp.zeros((2, 2)))


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((np.ones(2, np.float16),), TypeError, "dtype float16 but must be float32 or float64"),
        ((np.ones(2, np.complex64),), TypeError, "dtype complex64"),
        ((np.ones(2), np.ones(2)), TypeError, "takes 1 arguments but got 2"),
        ((np.ones((2, 2)),), ValueError, "x"),
    ],
)
def test_errors_of_calls_say_what_must_be(args, error, message):
    x = mg.vector("x")
    with pytest.raises(error, match=message):
        mg.interop.jax.function(x @ x, x)(*args)


def test_shapes_that_do_not_fit_are_errors_when_jax_traces():
    f = jax.jit(mg.interop.jax.function(lambda A, x: A @ x))
    with pytest.raises(ValueError, match="A has length 3 along axis 1 but x has length 4"):
        f(jnp.ones((2, 3)), jnp.ones(4))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((3,), "fun is 3 but must be an expression, a list of them, or callable"),
        ((np.sum, mg.vector("x")), "symbols belong to expressions"),
    ],
)
def test_what_is_no_function_is_refused(args, message):
    with pytest.raises(TypeError, match=message):
        mg.interop.jax.function(*args)


def test_the_number_of_a_function_is_the_same_in_every_process():
    program = """
import jax, numpy as np, matgrad as mg
Y = np.arange(3.0)
f = jax.jit(jax.vmap(jax.grad(mg.interop.jax.function(lambda x: np.sum(Y * np.tanh(x) ** 2)))))
print(f.lower(np.ones((2, 3))).as_text())
"""
    texts = {subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(texts) == 1
    assert b"function = " in texts.pop()


# Ours, and what it is in XLA's header.
STRUCTURES = {
    "ExtensionBase": ("XLA_FFI_Extension_Base", "struct_size type next"),
    "ApiVersion": ("XLA_FFI_Api_Version", "struct_size extension_start major_version minor_version"),
    "ErrorCreateArgs": ("XLA_FFI_Error_Create_Args", "struct_size extension_start message code=errc"),
    "Buffer": ("XLA_FFI_Buffer", "struct_size extension_start dtype data rank dims"),
    "ByteSpan": ("XLA_FFI_ByteSpan", "data=ptr size=len"),
    "Scalar": ("XLA_FFI_Scalar", "dtype value"),
    "Buffers": ("XLA_FFI_Args", "struct_size extension_start size types buffers=args"),
    "Buffers ": ("XLA_FFI_Rets", "struct_size extension_start size types buffers=rets"),
    "Attributes": ("XLA_FFI_Attrs", "struct_size extension_start size types names values=attrs"),
    "MetadataExtension": ("XLA_FFI_Metadata_Extension", "base=extension_base metadata"),
}
# Those that may have more members after ours.
PREFIXES = {
    "Api": (
        "XLA_FFI_Api",
        "struct_size extension_start version=api_version internal_api create_error=XLA_FFI_Error_Create",
    ),
    "CallFrame": (
        "XLA_FFI_CallFrame",
        "struct_size extension_start api context=ctx stage arguments=args results=rets attributes=attrs",
    ),
    "Metadata": ("XLA_FFI_Metadata", "struct_size api_version traits"),
}
CONSTANTS = {
    "kMajorVersion": "XLA_FFI_API_MAJOR",
    "kBuffer": "XLA_FFI_ArgType_BUFFER",
    "kBuffer ": "XLA_FFI_RetType_BUFFER",
    "AttributeType::scalar": "XLA_FFI_AttrType_SCALAR",
    "DataType::s64": "XLA_FFI_DataType_S64",
    "DataType::f32": "XLA_FFI_DataType_F32",
    "DataType::f64": "XLA_FFI_DataType_F64",
    "ErrorCode::invalid_argument": "XLA_FFI_Error_Code_INVALID_ARGUMENT",
    "ErrorCode::not_found": "XLA_FFI_Error_Code_NOT_FOUND",
    "ErrorCode::resource_exhausted": "XLA_FFI_Error_Code_RESOURCE_EXHAUSTED",
    "ErrorCode::internal": "XLA_FFI_Error_Code_INTERNAL",
    "ExtensionType::metadata": "XLA_FFI_Extension_Metadata",
    "Stage::execute": "XLA_FFI_ExecutionStage_EXECUTE",
}


@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="there is no C++ compiler")
def test_the_interface_is_declared_as_in_xlas_own_header(tmp_path):
    lines = ["#include <xla/ffi/api/c_api.h>", '#include "bindings/xla_ffi.h"', "using namespace matgrad::xla;"]
    for name, (theirs, members) in {**STRUCTURES, **PREFIXES}.items():
        for member in members.split():
            ours, _, other = member.partition("=")
            there = f"{theirs}, {other or ours}"
            lines.append(f"static_assert(offsetof({name}, {ours}) == offsetof({there}));")
            lines.append(f"static_assert(sizeof({name}::{ours}) == sizeof({theirs}::{other or ours}));")
        if name in STRUCTURES:
            lines.append(f"static_assert(sizeof({name}) == sizeof({theirs}));")
    lines += (f"static_assert(int({ours}) == int({theirs}));" for ours, theirs in CONSTANTS.items())
    lines.append("static_assert(kMinorVersion >= 1);")
    source = tmp_path / "layouts.cpp"
    source.write_text("\n".join(lines))
    compiler = shutil.which("c++") or shutil.which("g++")
    folders = [jax.ffi.include_dir(), str(Path(__file__).parents[1] / "cpp")]
    command = [compiler, "-std=c++20", "-fsyntax-only", *(f"-I{folder}" for folder in folders), str(source)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
