"""Arrays in files: read in place, and their pages given back, so that they may be larger than memory."""

import sys

import numpy as np
import pytest

import matgrad as mg
from resident import measured

X, U, V = mg.matrices("X U V")
LOSS = np.sum((X - U @ V) ** 2)
FUNCTION = mg.compile([LOSS, LOSS.diff(U), LOSS.diff(V)], [X, U, V])
m, n, r = 1200, 500, 4


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("memmap") / "X.npy"
    np.save(path, np.random.default_rng(0).standard_normal((m, n)))
    return path


def views(mapped):
    """A mapped array and plain views of it, with what they are views of."""
    return {
        "itself": mapped,
        "as a plain array": np.asarray(mapped),
        "its first rows": mapped[:300],
        "a view of rows": np.asarray(mapped)[100:900],
        "every second row": mapped[::2],
        "its columns": mapped[:, 3:400],
        "transposed": mapped.T,
        "backwards": np.asarray(mapped)[::-1],
    }


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_mapped_files_and_their_views_give_what_arrays_give(file, mode):
    rng = np.random.default_rng(1)
    for name, view in views(np.load(file, mmap_mode=mode)).items():
        U_, V_ = rng.standard_normal((view.shape[0], r)), rng.standard_normal((r, view.shape[1]))
        expected = FUNCTION(np.array(view), U_, V_)
        for a, b in zip(FUNCTION(view, U_, V_), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, err_msg=name)


def test_what_was_written_to_a_private_mapping_stays(file):
    """Its pages may not be given back: they are nowhere else."""
    mapped = np.load(file, mmap_mode="c")
    mapped[:] = 1
    assert np.sum(X).compile()(mapped) == np.sum(X).compile()(np.asarray(mapped)) == m * n
    assert np.all(mapped == 1)


def test_what_was_written_to_a_shared_mapping_stays(file, tmp_path):
    mapped = np.lib.format.open_memmap(tmp_path / "new.npy", "w+", shape=(m, n))
    mapped[:] = 2
    assert np.sum(X).compile()(mapped) == 2 * m * n
    assert np.all(mapped == 2)
    mapped.flush()
    assert np.all(np.load(tmp_path / "new.npy") == 2)


def test_transforms_take_mapped_files(file):
    mapped = np.load(file, mmap_mode="r")
    gradient = mg.grad(lambda X: np.sum(X**2))(mapped)
    assert type(gradient) is np.ndarray
    np.testing.assert_array_equal(gradient, 2 * mapped)


# Prints the result of a call, and how much more memory is resident after it.
PROGRAM = """
X = mg.matrix("X")
function = np.sum(X).compile()
function(np.ones((3, 3)))
mapped = np.load(sys.argv[1], mmap_mode="r")
before = resident()
print(function(np.asarray(mapped)[1:]), resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what is resident at the moment isn't known")
def test_pages_are_given_back(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, np.ones((4000, 1000)))
    total, grown = measured(PROGRAM, path)
    assert total == 3999 * 1000
    assert grown < 1e6


# Factorizes a mapped file; prints how much more memory is resident at most, and how far a gradient is off.
FACTORIZATION = """
m, n, r = map(int, sys.argv[3:])
generator = np.random.default_rng(1)
U, V = generator.standard_normal((m, r)), generator.standard_normal((r, n))
X = np.load(sys.argv[1], mmap_mode="r")
Xs, Us, Vs = mg.matrices("X U V")
loss = np.sum((Xs - Us @ Vs) ** 2)
compute = {
    "compile": lambda: mg.compile([loss, loss.diff(Us), loss.diff(Vs)], [Xs, Us, Vs])(X, U, V)[1],
    "captured": lambda: mg.value_and_grad(lambda U, V: np.sum((X - U @ V) ** 2), (0, 1))(U, V)[1][0],
    "Fortran order": lambda: mg.compile([loss, loss.diff(Us), loss.diff(Vs)], [Xs, Us, Vs])(X.T, V.T, U.T)[2].T,
    "closed form": lambda: mg.closed_form.factorization_value_and_gradient(X, U, V)[1][0],
    "argument": lambda: mg.value_and_grad(lambda U, V, X: np.sum((X - U @ V) ** 2), (0, 1))(U, V, X)[1][0],
}[sys.argv[2]]
mg.grad(lambda U, V: np.sum((U @ V) ** 2))(np.ones((3, 2)), np.ones((2, 3)))
before = resident()
gradient = compute()
some = slice(100, 110)
used = peak() - before
expected = -2 * (X[some] - U[some] @ V) @ V.T
print(used, np.max(np.abs(gradient[some] - expected)) / np.max(np.abs(expected)))
"""


@pytest.fixture(scope="module", params=[(40_000, 900), (4_000, 9_000), (9_000, 4_001)], ids=str)
def large_file(request, tmp_path_factory):
    """A matrix of 288 MB, most of it zero, which takes no room on the disk."""
    path = tmp_path_factory.mktemp("large") / "X.npy"
    mapped = np.lib.format.open_memmap(path, "w+", shape=request.param)
    mapped[100:105] = np.random.default_rng(0).standard_normal((5, request.param[1]))
    mapped.flush()
    return path, *request.param


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what is resident at the moment isn't known")
@pytest.mark.parametrize("how", ["compile", "captured", "argument", "Fortran order", "closed form"])
def test_a_file_is_factorized_in_little_memory(large_file, how):
    path, m, n = large_file
    used, error = measured(FACTORIZATION, path, how, m, n, 4)
    assert error < 1e-11
    assert used < 1.2e8


# Evaluates views of the end of a mapped file while the memory behind it is in use; prints how much of that is lost,
# and how often there was room for it.
NEIGHBOUR = """
import ctypes
library = ctypes.CDLL(None)
library.mmap.restype = ctypes.c_void_p
library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
page = 4096
private_anonymous_and_nothing_replaced, read_and_write = 0x100022, 3
X = mg.matrix("X")
lost = placed = 0
for function in (np.sum(X).compile(), np.sum(np.exp(X) * X).compile(), None):
    mapped = np.load(sys.argv[1], mmap_mode="r")
    end = (mapped.ctypes.data + mapped.nbytes + page - 1) // page * page
    behind = library.mmap(end, 8 * page, read_and_write, private_anonymous_and_nothing_replaced, -1, 0)
    if behind != end:
        continue
    placed += 1
    ctypes.memset(behind, 7, 8 * page)
    for view in (mapped[:, 3000:], np.asarray(mapped)[:, 3999:], mapped[::-1, 3000:], mapped[:, 3000:].T):
        if function is None:
            U, V = np.ones((view.shape[0], 1)), np.ones((1, view.shape[1]))
            mg.closed_form.factorization_value_and_gradient(view, U, V)
        else:
            function(view)
    lost += 8 * page - ctypes.string_at(behind, 8 * page).count(7)
print(lost, placed)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="places memory behind a mapping as Linux does")
def test_memory_behind_a_file_is_left_alone(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((1400, 4000)))
    lost, placed = measured(NEIGHBOUR, tmp_path / "X.npy")
    assert lost == 0
    assert placed > 0
