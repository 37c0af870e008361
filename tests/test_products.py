"""Products of matrices: every size, layout and instruction set, with a diagonal, a matrix added, and symmetric ones."""

import numpy as np
import pytest

import matgrad as mg
from isas import assert_passes_on

RNG = np.random.default_rng(5)
A, B, D = mg.matrices("A B D")
d = mg.vector("d")
S, T = mg.tensor("S", 3), mg.tensor("T", 3)

# rows, columns, terms: less than a register, odd, more than a block, none; and where k is cut.
SIZES = [
    *((1, 1, 1), (2, 3, 5), (7, 5, 3), (6, 32, 9), (13, 33, 257), (97, 300, 260), (300, 70, 513), (190, 200, 300)),
    *((12, 9, 3001), (100, 90, 2100), (1, 700, 300), (700, 1, 300), (4, 4, 0), (0, 3, 4), (3, 0, 4)),
]
LAYOUTS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "rows backwards": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
    "all apart": lambda a: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
    "repeated rows": lambda a: np.broadcast_to(a[:1], a.shape),
    "repeated columns": lambda a: np.broadcast_to(a[:, :1], a.shape),
}
FORMS = {
    "product": (A @ B, lambda A, B, D, d: A @ B),
    "scaled": (-2.5 * (A @ B), lambda A, B, D, d: -2.5 * (A @ B)),
    "with a diagonal": ((A * d) @ B, lambda A, B, D, d: (A * d) @ B),
    "with a matrix added": (D - 3 * (A @ B), lambda A, B, D, d: D - 3 * (A @ B)),
    "with both": (0.5 * D + (A * d) @ B, lambda A, B, D, d: 0.5 * D + (A * d) @ B),
}


def operands(rows, columns, terms, dtype=np.float64):
    shapes = {"A": (rows, terms), "B": (terms, columns), "D": (rows, columns), "d": (terms,)}
    return {name: RNG.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def check(form, values):
    """Compare a form of product with NumPy's in double precision, to the bound for sums in blocks of 256 terms."""
    expression, reference = FORMS[form]
    used = {name: array for name, array in values.items() if name in {s.name for s in expression.symbols}}
    made = expression(**used)
    terms = values["d"].size
    exact = {name: array.astype(np.float64) for name, array in values.items()}
    magnitude = FORMS[form][1](**{name: np.abs(array) for name, array in exact.items()})
    if form == "with a matrix added":
        magnitude = np.abs(exact["D"]) + 3 * (np.abs(exact["A"]) @ np.abs(exact["B"]))
    assert made.dtype == values["A"].dtype
    bound = (min(terms, 256) + terms / 256 + 4) * np.finfo(made.dtype).eps * np.abs(magnitude)
    assert (np.abs(made - reference(**exact)) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_product_has_numpys_values(sizes, dtype):
    for form in FORMS:
        check(form, operands(*sizes, dtype))


@pytest.mark.parametrize("of_B", LAYOUTS)
@pytest.mark.parametrize("of_A", LAYOUTS)
def test_product_reads_factors_of_any_layout(of_A, of_B):
    for sizes in [(7, 5, 3), (97, 130, 260), (20, 20, 20)]:
        for dtype in (np.float64, np.float32):
            values = operands(*sizes, dtype)
            values |= {"A": LAYOUTS[of_A](values["A"]), "B": LAYOUTS[of_B](values["B"])}
            for form in ("product", "with both"):
                check(form, values)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(3, 2), (70, 64), (300, 65), (65, 300), (40, 299), (4000, 70), (0, 70)], ids=str)
def test_product_of_a_matrix_and_its_transpose_is_symmetric_to_the_bit(shape, dtype):
    X, weights = RNG.standard_normal(shape).astype(dtype), RNG.standard_normal(shape[0]).astype(dtype)
    gram, weighted = (A.T @ A)(A=X), ((A.T * d) @ A)(A=X, d=weights)
    exact, exact_weights = X.astype(np.float64), weights.astype(np.float64)
    eps = np.finfo(dtype).eps
    bound = (300 + shape[0] / 256) * eps * (np.abs(exact.T) @ np.abs(exact)) * (1 + np.abs(weights).max(initial=0))
    for made, reference in [(gram, exact.T @ exact), (weighted, (exact.T * exact_weights) @ exact)]:
        np.testing.assert_array_equal(made, made.T)
        assert (np.abs(made - reference) <= bound).all()
    outer = (A @ A.T)(A=np.ascontiguousarray(X.T))
    np.testing.assert_array_equal(outer, outer.T)
    assert (np.abs(outer - exact.T @ exact) <= bound).all()


def test_symmetric_product_is_computed_by_half_without_a_scaled_copy():
    plan = ((A.T * d) @ A).compile(A, d).plan(A=(600, 300), d=600)
    assert [row.kernel for row in plan.rows] == ["syrk", "mirror"]
    assert plan.memory == 0
    plan = ((A * d) @ B).compile(A, B, d).plan(A=(600, 300), B=(300, 500), d=300)
    assert [row.kernel for row in plan.rows] == ["gemm"]
    assert plan.rows[0].operands == "A, B, d → result"


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4, 4, 4), (3, 5, 7), (8, 8, 8), (20, 20, 20), (70, 70, 30)], ids=str)
def test_stacks_of_products(sizes):
    rows, columns, terms = sizes
    for count in (0, 1, 5, 1000 if rows < 20 else 30):
        left, right = RNG.standard_normal((count, rows, terms)), RNG.standard_normal((count, terms, columns))
        np.testing.assert_allclose((S @ T)(S=left, T=right), left @ right, rtol=1e-12, atol=1e-12)
        gram = (S @ mg.tensor("S", 3).transpose(0, 2, 1))(S=left)
        np.testing.assert_allclose(gram, left @ left.transpose(0, 2, 1), rtol=1e-12, atol=1e-12)
        summed = np.einsum("bik,bkj->ij", S, T)(S=left, T=right)
        np.testing.assert_allclose(summed, np.einsum("bik,bkj->ij", left, right), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("sizes", [(300, 300, 300), (90, 100, 5000), (700, 20, 400)], ids=str)
def test_products_have_the_same_bits_on_any_number_of_threads(sizes):
    values = operands(*sizes)
    X = values["A"]
    threads = mg.get_num_threads()
    made = []
    try:
        for count in (1, 2, 3):
            mg.set_num_threads(count)
            made.append([FORMS["with both"][0](**values), (A.T @ A)(A=X), ((A.T * d) @ A)(A=X, d=X[:, 0])])
    finally:
        mg.set_num_threads(threads)
    for other in made[1:]:
        for one, same in zip(made[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("isa", [isa for isa in mg.available_isas() if isa != mg.active_isa()])
def test_products_on_every_other_instruction_set(isa):
    assert_passes_on(isa, __file__, "values or layout or symmetric")
