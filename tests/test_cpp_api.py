"""The C++ API: a project outside of the tree finds the installed package, builds, and computes what Python does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy

import matgrad as mg

ROOT = Path(__file__).parents[1]
CONSUMER = ROOT / "tests" / "consumer"
LAPACK = next(Path(scipy.__file__).parents[1].glob("scipy.libs/libscipy_openblas*.so*"), None)
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # CMake and ninja may be from PyPI
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
CMAKE = shutil.which("cmake", path=PATH)
pytestmark = pytest.mark.skipif(CMAKE is None or COMPILER is None, reason="needs CMake and a C++ compiler")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder with the consumer's programs."""
    folder = tmp_path_factory.mktemp("consumer")
    generator = ["-GNinja"] if shutil.which("ninja", path=PATH) else []
    configure = [CMAKE, "-S", CONSUMER, "-B", folder, f"-Dmatgrad_DIR={mg.get_cmake_dir()}", *generator]
    for command in (configure, [CMAKE, "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": PATH})
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def output(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


# --- The two examples ---

X, U, V = mg.matrices("X U V")
X_, U_, V_ = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([[1.0], [0], [1]]), np.array([[2.0, 1]])


def test_an_expression_is_differentiated_printed_and_evaluated(programs):
    loss = np.sum((X - U @ V) ** 2)
    formula, latex, values, hessian = output(programs / "factorization").splitlines()
    assert (formula, latex) == (str(loss.diff(V)), loss.diff(V).to_latex())
    wanted = np.concatenate([np.ravel(e(X=X_, U=U_, V=V_)) for e in (loss, loss.diff(U), loss.diff(V))])
    np.testing.assert_array_equal([float(word) for word in re.split(r"[; ]+", values)], wanted)
    H = loss.diff(V, V)(X=X_, U=U_, V=V_)
    np.testing.assert_array_equal([float(word) for word in hessian.split()], [H[0, 0, 0, 0], H[0, 0, 0, 1]])


def test_a_closed_form_is_called(programs):
    A, x = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, -1], [1, 0]])
    values = [float(word) for word in re.split(r"[; ]+", output(programs / "closed_form").strip())]
    np.testing.assert_array_equal(values, mg.closed_form.quadratic_form_gradient(A, x).ravel())


@pytest.mark.skipif(sys.platform != "linux", reason="ldd and nm -D are Linux's")
def test_the_programs_need_no_python(programs):
    for name in ("factorization", "closed_form"):
        assert "python" not in subprocess.run(["ldd", programs / name], capture_output=True, text=True).stdout.lower()
        assert not re.search(
            r"\b_?Py[A-Z_]", subprocess.run(["nm", programs / name], capture_output=True, text=True).stdout
        )


def test_the_readme_shows_the_examples():
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("\n### C++\n")[2].partition("\n### ")[0]
    shown = dict(re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL))
    assert shown["cmake"] in (CONSUMER / "CMakeLists.txt").read_text()
    assert (CONSUMER / "factorization.cpp").read_text().endswith(shown["cpp"])


# --- Everything else ---


@pytest.fixture(scope="module")
def printed(programs):
    """What checks.cpp prints: lists by name."""
    lines = [line.partition(": ") for line in output(programs / "checks", LAPACK or "none").splitlines()]
    return {name: [text for other, _, text in lines if other == name] for name, _, _ in lines}


def numbers(printed, name):
    return np.array([float(word) for word in printed[name][0].split()])


A, B, S = mg.matrix("A"), mg.matrix("B"), mg.matrix("S", symmetric=True)
x, y, t = mg.vector("x"), mg.vector("y"), mg.scalar("t")
VALUES = {
    "A": np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 10]]),
    "B": np.array([[2.0, 0, 1], [1, 3, 0], [0, 1, 4]]),
    "x": np.array([0.5, -1, 2]),
    "y": np.array([1, 0.25, -3]),
    "t": 1.5,
}
EXPRESSIONS = [
    A @ B,
    np.outer(x, y),
    np.kron(A, B),
    np.mean(A, 0),
    np.max(A, -1, keepdims=True),
    np.min(A) + np.prod(x),
    mg.logsumexp(A, (0, 1)),
    mg.softmax(x),
    mg.log_softmax(A, 1),
    np.trace(A @ B),
    np.diag(x) + np.diag(np.diag(A)),
    np.linalg.norm(A, axis=1),
    np.where(x > y, np.exp(x), mg.sigmoid(y)),
    np.maximum(x, 0) - np.minimum(x, y) / 2,
    A.reshape(-1),
    mg.vec(A),
    np.broadcast_to(x, (3, 3)),
    2 * A.T,
    A[0] * A[0:3:2, -1][0],
    np.eye(3) * A - 1,
    VALUES["B"] + VALUES["y"],
    np.abs(x) ** t + np.abs(y) * np.tanh(x),
]


@pytest.mark.parametrize("number", range(len(EXPRESSIONS)))
def test_functions_compute_what_pythons_do(printed, number):
    e = EXPRESSIONS[number]
    wanted = e(**{s.name: VALUES[s.name] for s in e.symbols}) if isinstance(e, mg.Expr) else e
    np.testing.assert_allclose(numbers(printed, f"value {number}"), np.ravel(wanted), rtol=1e-14)


def test_all_values_are_looked_at(printed):
    assert len([name for name in printed if name.startswith("value ")]) == len(EXPRESSIONS)


def test_derivatives_are_those_of_python(printed):
    f = x @ A @ x
    wanted = {
        "gradient": str(f.diff(x)),
        "numerator": str(f.diff(x, layout="numerator")),
        "hessian": str(f.diff(x, x, layout="denominator")),
        "forward": str(f.diff(x, mode="forward")),
        "symmetric": "2 S x",
        "substituted": str(f(x=B @ y)),
        "numpy": f.diff(x).to_numpy(),
        "index": f.diff(x).to_index(),
        "equal": "1 0",
    }
    assert {name: printed[name] for name in wanted} == {name: [text] for name, text in wanted.items()}
    values = {name: VALUES[name] for name in "AB"}
    J = (A @ B).diff(A, layout="numerator")(**values)
    np.testing.assert_array_equal(numbers(printed, "matrix by matrix"), J.ravel())
    J = (A @ x).diff(A, layout="denominator")(A=VALUES["A"], x=VALUES["x"])
    np.testing.assert_array_equal(numbers(printed, "vector by matrix"), J.ravel())


def test_calls_take_strides_float_out_and_what_overlaps(printed):
    a, u = VALUES["A"], VALUES["x"]
    assert printed["strided"][0] == printed["strided"][1]
    np.testing.assert_allclose(numbers(printed, "strided"), a.T @ u[::-1], rtol=1e-15)
    np.testing.assert_allclose(numbers(printed, "float"), a @ u, rtol=1e-6)
    for name in ("spaced", "overlapping"):
        np.testing.assert_allclose(numbers(printed, name), a @ u, rtol=1e-15)
    np.testing.assert_array_equal(numbers(printed, "empty"), [0, 0])
    np.testing.assert_array_equal(numbers(printed, "several"), [1.5, 4])


def python_error(call):
    with pytest.raises((ValueError, TypeError, IndexError, MemoryError, np.linalg.LinAlgError)) as caught:
        call()
    return str(caught.value)


def test_errors_say_what_pythons_do(printed):
    fn, a, u = (A @ x).compile(A, x), VALUES["A"], VALUES["x"]
    both = mg.compile([x, 2 * x], [x])
    two = np.ones(2)
    wanted = {
        "shapes": python_error(lambda: fn(a, two)),
        "axes": python_error(lambda: fn(u, u)),
        "count": "Function: takes 2 arrays but got 1",
        "out": python_error(lambda: fn(a, u, out=np.empty(4))),
        "outs": python_error(lambda: both(two, out=(two, two))),
        "several": "Function: there are 2 values; take them by values(…), or write them by evaluate(…)",
        "known": python_error(lambda: mg.matrix("P", 4, 4) + mg.vector("c", 3)),
        "missing": "compile: the expression has no symbol x",
        "needed": "compile: the expression needs a value for its symbol x",
        "names": python_error(lambda: mg.vector("x", 3) + x),
        "name": "vector: name is '2x' but must be an identifier",
        "symbol": "diff: 2 A is not a symbol, and a derivative is by symbols only",
        "index": python_error(lambda: mg.matrix("P", 4, 4)[4]),
        "axis": "sum: axis 2 is out of bounds for array of dimension 2",
        "precision": "Function: the arguments are float but a constant array in the expression is double",
        "lapack": "compile: the expression needs LAPACK; link the CMake target matgrad::lapack, "
        "or call matgrad::set_lapack",
        "lookup": "set_lapack: there is no function sgetrf",
    }
    assert {name: printed[f"error {name}"] for name in wanted} == {name: [text] for name, text in wanted.items()}
    assert "at least 1" in printed["error threads"][0]
    assert "1048576" in printed["error memory"][0]
    assert "needs 8192.0 GiB, more than the available memory" in printed["error memory"][0]


def test_configuration_is_pythons(printed):
    best = mg.available_isas()[-1]
    isa = os.environ.get("MATGRAD_ISA") or best
    assert printed["config"] == [f"{mg.__version__} {isa} 2 {int(isa == best)}"]


@pytest.mark.skipif(LAPACK is None, reason="SciPy was not installed with a LAPACK of its own")
def test_lapack_is_taken_from_where_the_user_says(printed):
    a, u = VALUES["A"], VALUES["x"]
    inverse = np.linalg.inv(a)
    np.testing.assert_allclose(numbers(printed, "inverse"), inverse.ravel(), rtol=1e-12)
    np.testing.assert_allclose(numbers(printed, "logdet"), 2 * inverse.T.ravel(), rtol=1e-11)
    np.testing.assert_allclose(numbers(printed, "solve"), inverse @ u * np.linalg.det(a), rtol=1e-11)
    assert printed["error singular"] == ["Singular matrix"]


def test_the_package_links_every_function_of_lapack_that_the_core_takes():
    header, source = (
        (ROOT / "cpp" / "plan" / "lapack.h").read_text(),
        (ROOT / "cpp" / "api" / "cmake" / "lapack.cpp").read_text(),
    )
    names = re.findall(r'visit\("(\w+)"', header)
    assert sorted(names) == sorted(re.findall(r"\(\*(\w+)\)\(", header))
    for name in [precision + name for precision in "sd" for name in names]:
        assert f"void {name}_();" in source
        assert f'{{"{name}", {name}_}}' in source


def test_python_knows_where_the_package_is():
    assert (Path(mg.get_include()) / "matgrad" / "expr.h").is_file()
    assert {"matgradConfig.cmake", "matgradTargets.cmake"} <= {*os.listdir(mg.get_cmake_dir())}
