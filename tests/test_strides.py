"""Arguments of any layout: read where they are, with the results of arrays in C order."""

import numpy as np
import pytest

import matgrad as mg
from resident import measured

rng = np.random.default_rng(11)
A, B, P = mg.matrices("A B P")
x = mg.vector("x")
T = mg.tensor("T", 3)
S = rng.standard_normal((9, 9))
VALUES = {
    "A": rng.standard_normal((7, 9)),
    "B": rng.standard_normal((9, 5)),
    "P": S @ S.T + 9 * np.eye(9),
    "x": rng.standard_normal(9),
    "T": rng.standard_normal((4, 7, 9)),
}


def spread(a, steps):
    """An array equal to `a` of which neighbours are `steps` elements apart."""
    wide = np.full([n * abs(s) for n, s in zip(a.shape, steps, strict=True)], np.nan, a.dtype)
    view = wide[tuple(slice(None, None, s) for s in steps)]
    view[...] = a
    return view


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "rows apart": lambda a: spread(a, [2] * (a.ndim - 1) + [1]),
    "all apart": lambda a: spread(a, [3] * a.ndim),
    "columns apart": lambda a: spread(a, [1] * (a.ndim - 1) + [2]),
    "backwards": lambda a: spread(a, [-1] * a.ndim),
    "rows backwards": lambda a: spread(a, [-1] + [1] * (a.ndim - 1)),
    "rotated axes": lambda a: np.ascontiguousarray(np.moveaxis(a, 0, -1)).transpose([-1 % a.ndim, *range(a.ndim - 1)]),
    "repeated rows": lambda a: np.broadcast_to(a[:1], a.shape),
    "repeated columns": lambda a: np.broadcast_to(a[..., :1], a.shape),
    "one element": lambda a: np.broadcast_to(a[(0,) * a.ndim], a.shape),
}
FUNCTIONS = {
    "itself": [A],
    "transpose": [A.T],
    "product": [A @ B],
    "product of transposes": [B.T @ A.T],
    "Gram matrices": [A @ A.T, A.T @ A],
    "matrix and vector": [A @ x],
    "vector and matrix": [np.sum(A @ B, axis=0) @ (x @ B)],
    "elementwise": [np.exp(A) + A * x, np.maximum(A, x)],
    "sums": [np.sum(A), np.sum(A, axis=0), np.sum(A, axis=1), np.sum(A * A)],
    "reductions": [np.max(A, axis=0), np.max(A, axis=1), mg.logsumexp(A)],
    "views": [A[1:, ::-2], A.reshape(-1)[3:50:4], A.T.reshape(-1), A[2]],
    "stack": [T @ B, np.sum(T, axis=1), T.reshape(28, 9) @ x],
    "gradients": [np.sum((T @ B) ** 2).diff(T), np.sum((A @ B) ** 2).diff(A, B)],
    "quadratic form": [x @ P @ x, (x @ P @ x).diff(x), (x @ P @ x).diff(x, x)],
    "linear algebra": [np.linalg.inv(P) @ x, mg.logdet(P), np.linalg.inv(P)],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_arrays_in_c_order(name, layout, dtype):
    function = mg.compile(FUNCTIONS[name])
    names = function._definition[2]
    plain = [np.array(LAYOUTS[layout](VALUES[s]), dtype) for s in names]
    if name == "linear algebra" and layout in ("repeated rows", "repeated columns", "one element"):
        plain[names.index("P")] = VALUES["P"].astype(dtype)  # the others' inverse doesn't exist
    arrays = [LAYOUTS[layout](a) if np.array_equal(LAYOUTS[layout](a), a) else a for a in plain]
    expected = mg.compile(FUNCTIONS[name])(*plain)
    for got, wanted in zip(function(*arrays), expected, strict=True):
        tolerance = 200 * np.finfo(dtype).eps
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1, np.max(np.abs(wanted), initial=0)))
        assert got.dtype == dtype


def test_layouts_alternate():
    """A plan is for strides, too."""
    function = (A @ B).compile()
    a, b = VALUES["A"], VALUES["B"]
    for _ in range(3):
        for left in (a, np.asfortranarray(a), spread(a, (2, 1)), spread(a, (1, 2)), a[::-1][::-1], spread(a, (2, 1))):
            np.testing.assert_allclose(function(left, b), a @ b, rtol=0, atol=1e-13)


def test_single_rows_and_columns_have_any_stride():
    function = (A @ B).compile()
    a, b = spread(VALUES["A"][:1], (5, 1)), spread(VALUES["B"][:, :1], (1, 7))
    np.testing.assert_allclose(function(a, b), a @ b, rtol=0, atol=1e-13)
    assert function(np.asfortranarray(np.ones((0, 3))), np.ones((3, 2))).shape == (0, 2)


def test_parts_of_records():
    """Neighbours may be any number of bytes apart: whole elements are read in place, others are copied."""
    record = np.zeros(9, [("a", "f8"), ("b", "f4"), ("c", "f4")])
    odd = np.zeros(9, [("a", "f8"), ("b", "f4")])
    for kind in (record, odd):
        kind["a"], kind["b"] = np.arange(9), 2
        assert (2 * x).compile()(kind["a"]).tolist() == (2.0 * np.arange(9)).tolist()
        assert (2 * x).compile()(kind["b"]).dtype == np.float32
        assert np.sum(x).compile()(kind["b"]) == 18


def test_out_may_overlap_arguments_of_any_layout():
    function = (2 * A.T).compile()
    a = rng.standard_normal((6, 6))
    expected = 2 * a.T
    for view in (a.copy(), a.copy().T, np.asfortranarray(a)):
        wanted = 2 * view.T.copy()
        assert function(view, out=view.T) is not None
        np.testing.assert_array_equal(view.T, wanted)
    np.testing.assert_array_equal(function(a), expected)


# Prints how much more memory is resident at most in a call with an argument that isn't in C order.
MEMORY = """
A, B, x = mg.matrix("A"), mg.matrix("B"), mg.vector("x")
n = 3000
function = {"vector": A @ x, "matrix": A @ B, "gradient": (x @ A @ x).diff(x)}[sys.argv[1]].compile()
names = function._definition[2]
function(*[np.ones((3,) * (2 if name in "AB" else 1)) for name in names])
wide = np.ones((n, n + 8))
left = {"Fortran": wide[:, :n].T, "rows apart": wide[:, :n]}[sys.argv[2]]
arrays = {"A": left, "B": np.ones((n, 2)), "x": np.ones(n)}
before = resident()
function(*[arrays[name] for name in names])
print(peak() - before)
"""


@pytest.mark.parametrize("layout", ["Fortran", "rows apart"])
@pytest.mark.parametrize("name", ["vector", "matrix", "gradient"])
def test_large_arguments_are_not_copied(name, layout):
    (used,) = measured(MEMORY, name, layout)
    assert used < 3000 * 3000 * 8 / 3
