"""Every NumPy function of expressions computes what NumPy computes of arrays."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.special

import matgrad as mg
from matgrad._numpy_protocol import FUNCTIONS, UFUNCS

RNG = np.random.default_rng(0)
ARRAYS = {
    "s": RNG.uniform(0.5, 2),
    "x": RNG.normal(size=4),
    "p": RNG.uniform(0.1, 0.9, 4),
    "q": RNG.uniform(1.1, 3, 4),
    "i": np.array([-1.5, 0.5, 0.0, 2.0]),
    "A": RNG.normal(size=(3, 4)),
    "B": RNG.normal(size=(4, 2)),
    "C": RNG.normal(size=(3, 4)),
    "S": RNG.normal(size=(4, 4)),
    "R": RNG.normal(size=(1, 4)),
    "T": RNG.normal(size=(2, 3, 4)),
    "G": RNG.normal(size=(2, 4, 4)),
}
CONSTANT = RNG.normal(size=4)

COMPOSED = """
    np.linspace(s, 3.0, 5); np.linspace(x, p, 3); np.linspace(x, s, 4, endpoint=False, axis=1); np.linspace(s, 2, 1);
    np.linspace(s, 2.0, 4, retstep=True)[1]; np.linspace(s, 2.0, 0); np.logspace(s, 3.0, 4); np.geomspace(s, 5.0, 4);
    np.geomspace(-s, -5.0, 4); np.vander(x); np.vander(x, 3, increasing=True); np.polyval(x, s);
    np.polyval([1, 2, 3.0], A); np.convolve(x, p); np.convolve(x, p[:3], 'same'); np.convolve(x[:2], p, 'valid');
    np.convolve(x[:3], p, 'same'); np.correlate(x, p[:2]); np.correlate(x[:2], p, 'full');
    np.correlate(x, p[:3], mode='same'); np.correlate(x[:3], p, mode='same'); np.interp(x, [-1.0, 0.0, 0.2, 3.0], p);
    np.interp(A, [-1.0, 0.1, 2], x[:3], -5, 7); np.meshgrid(x, p[:3])[0]; np.meshgrid(x, p[:3], indexing='ij')[1];
    np.meshgrid(x, p[:3], s, sparse=True)[0]; np.apply_along_axis(np.sum, 1, T);
    np.apply_along_axis(lambda v: v[:2] * v[0], 1, T); np.apply_along_axis(lambda v: np.outer(v, v), -1, T);
    np.count_nonzero(A, axis=0); x.astype(np.result_type(x, np.float32))
"""
UNARY = {
    "x": """absolute fabs negative positive conjugate square exp exp2 expm1 cbrt sin cos tan sinh cosh tanh arcsinh
        arctan sign floor ceil rint trunc logical_not deg2rad rad2deg degrees radians reciprocal sinc i0 fix signbit
        isnan isfinite isinf isposinf isneginf real_if_close imag angle nan_to_num""",
    "p": "log log2 log10 log1p sqrt arcsin arccos arctanh",
    "q": "arccosh",
}
BINARY = {
    "x p": """add subtract multiply divide maximum minimum arctan2 hypot logaddexp logaddexp2 greater greater_equal less
        less_equal equal not_equal logical_and logical_or logical_xor floor_divide remainder fmod copysign heaviside
        fmax fmin""",
    "p x": "power float_power",
}
CASES = [
    *map(str.strip, COMPOSED.split(";")),
    *(f"np.{name}({v})" for v, names in UNARY.items() for name in names.split()),
    *(f"np.{name}({vs.replace(' ', ', ')})" for vs, names in BINARY.items() for name in names.split()),
    *(f"np.{name}.outer(x, p)" for name in BINARY["x p"].split()),
    *(f"np.{name}.reduce(A)" for name in ["add", "multiply", "maximum", "minimum", "logaddexp"]),
    *(f"np.{name}.reduce(A > 0)" for name in ["logical_and", "logical_or"]),
    *(f"np.{name}.reduce(T, axis=(0, 2), keepdims=True)" for name in ["add", "multiply", "maximum", "minimum"]),
    *(
        f"np.{name}({a})"
        for name in ["sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std", "ptp"]
        for a in "sxAT"
    ),
    *(
        f"np.{name}(T, {how})"
        for name in ["sum", "mean", "prod", "max", "min", "var", "std", "ptp"]
        for how in ["0", "axis=1", "axis=-1, keepdims=True", "axis=(0, -1)", "axis=(2, 1), keepdims=True"]
    ),
    *(f"{name}(p > 0.5)" for name in ["np.all", "np.any"]),
    *(f"A.{name}(axis=1)" for name in ["sum", "mean", "prod", "max", "min", "var", "std"]),
]
CASES += (
    """
np.var(A, axis=0, ddof=1); np.std(A, ddof=1); np.average(A); np.average(A, axis=1); np.average(A, 1, weights=p)
np.average(A, weights=C); np.average(A, axis=0, weights=C)
A + x; A * R; A - R; s * A; A / s; x ** 2; x ** 3; p ** 0.5; p ** -1.5; 2 ** x; p ** x; -A; +A; abs(A)
A @ B; A @ x; x @ B; x @ x; T @ B; T @ x; x @ G; G @ G; G[0] @ G; C @ G; np.matmul(T, S); CONSTANT @ B
A @ CONSTANT; CONSTANT * x; CONSTANT + A; A - CONSTANT; CONSTANT / q; CONSTANT > x
CONSTANT.reshape(2, 2) @ B.T[:, :2].T
np.float_power.outer(p, x); np.divmod(x, p)[0]; np.divmod(x, p)[1]; divmod(x, p)[1]; divmod(2.5, p)[0]
x // p; x % p; 7.5 % p; 2 // q
np.divmod.outer(x, p)[0]; np.ldexp(x, np.array([1, -2, 0, 60])); np.ldexp.outer(x, np.array([3, -1]))
np.bitwise_and.outer(x > 0, p < 0.5); np.bitwise_or.outer(x > 0, p < 0.5); np.bitwise_xor.outer(x > 0, p < 0.5)
np.logaddexp.reduce(T, axis=(0, 2), keepdims=True); np.angle(x, deg=True); np.nan_to_num(x, nan=1.0)
x.real; x.imag; x.conj(); np.conj(x); x.conjugate()
np.bitwise_and(x > 0, p < 0.5); np.bitwise_or(x > 0, p < 0.5); np.bitwise_xor(x > 0, p < 0.5); np.invert(x > 0)
np.power.outer(p, x); (x > 0) & (p < 0.5); (x > 0) | (p < 0.5) ^ (x < 0)
~(x > 0); (x > 0) * A; (x != 0)
x == i
np.dot(A, B); np.dot(x, x); np.dot(A, x); np.dot(T, B); np.dot(T, x); np.dot(G, G); np.dot(s, A); A.dot(B)
np.dot(A, CONSTANT)
np.vdot(x, p); np.vdot(A, C); np.vecdot(A, C); np.vecdot(A, x); np.matvec(A, x); np.vecmat(x, B); np.matvec(G, x)
np.inner(x, p); np.inner(A, C); np.inner(A, x); np.inner(s, A); np.inner(T, A); np.outer(x, p); np.outer(A, x)
np.tensordot(A, B, 1); np.tensordot(T, A, 2); np.tensordot(T, A, ([1, 2], [0, 1])); np.tensordot(T, A, (2, 1))
np.tensordot(x, p, 0)
np.kron(A, B); np.kron(x, p); np.kron(A, x); np.kron(x, A); np.kron(R, A); np.kron(A, R); np.kron(s, A); np.kron(T, A)
np.einsum("ij,jk->ik", A, B); np.einsum("ij,jk", A, B); np.einsum("ii", S); np.einsum("ii->i", S)
np.einsum("ij->ji", A)
np.einsum("ba", A); np.einsum("i,i->i", x, p); np.einsum("i,j", x, p); np.einsum("...i,i", T, x)
np.einsum("...ij,jk->...ik", T, B)
np.einsum("i...->...", T); np.einsum("ij,ij,j->", A, C, x); np.einsum("...ii->...i", G); np.einsum("ij,kj->ik", R, A)
np.einsum("ij,ij->i", R, A)
np.einsum("a...,b...->ab...", A, C); np.einsum("ij, jk -> ik", A, B, optimize=True); np.einsum("ij->", A)
np.einsum(A, [0, 1], B, [1, 2], [2, 0]); np.einsum(A, [0, 1], x, [1]); np.einsum(T, [..., 3], x, [3], [...])
np.trace(S); np.trace(S, offset=1); np.trace(T, 0, 1, 2); A.trace(); np.diag(x); np.diag(S); np.diag(A)
np.diag(x, 1); np.diag(x, -2)
np.diag(A, 1); np.diag(A, -1); np.diagonal(T, axis1=1, axis2=2); np.diagonal(G, 1, 1, 2); S.diagonal(); np.diagflat(A)
np.tril(A); np.triu(A, 1)
np.tril(S, -1); np.tril(G)
np.transpose(A); np.transpose(T, (2, 0, 1)); np.transpose(T, [-1, 0, 1]); T.T; x.T; T.mT; A.transpose()
T.transpose(1, 0, 2); T.transpose((1, 0, 2))
np.matrix_transpose(T); np.linalg.matrix_transpose(T); np.swapaxes(T, 0, 2); T.swapaxes(-1, 0); np.moveaxis(T, 0, -1)
np.moveaxis(T, (0, 1), (-1, 0))
np.broadcast_to(x, (3, 4)); np.broadcast_to(R, (3, 4)); np.broadcast_to(s, (2, 2)); np.expand_dims(x, 0)
np.expand_dims(x, (0, -1)); np.expand_dims(A, 1)
np.squeeze(R); np.squeeze(R, 0); R.squeeze(axis=0); np.squeeze(T); np.atleast_1d(s); np.atleast_2d(x)
np.atleast_2d(A)
np.reshape(A, (4, 3)); np.reshape(A, -1); np.reshape(A, (2, 6), order="F"); A.reshape(2, -1); A.reshape((6, 2))
T.reshape(6, 4); T.reshape(2, 12)
T.reshape(4, 3, 2); T.reshape(2, 1, 12); R.reshape(4); R.reshape(2, 2); x.reshape(2, 1, 2); np.ravel(A)
np.ravel(A, order="F"); A.ravel(); A.flatten(); A.flatten("F")
A.copy(); A.astype(float); T.reshape(-1, 4).reshape(2, 3, 4); T.reshape(3, 8, order="F")
A[0]; A[-1]; A[:, 1]; A[1:, ::2]; A[::-1]; A[..., 0]; A[None, :, 1:3]; T[0, 1, 2]; T[:, -1]; T[1, ..., ::-2]; x[2]
x[-3:-1]; x[:, None] * p; x[5:]; T[:, 0:1]
np.stack([x, p]); np.stack([x, p, i], axis=1); np.stack([A, C], -1); np.concatenate([x, p]); np.concatenate([A, C, R])
np.concatenate([A, C], axis=1)
np.concatenate([A, B], axis=None); np.vstack([x, A]); np.hstack([x, p]); np.hstack([A, C]); np.column_stack([x, p])
np.column_stack([A, C]); np.stack([s, s * s])
np.concatenate([x, CONSTANT]); np.flip(A); np.flip(A, 0); np.flip(T, (0, 2))
np.where(x > 0, x, p); np.where(x > 0, 1.0, A); np.where(CONSTANT > 0, x, 0); np.where(s > 0, A, C)
np.where(q, x, p); np.where(x * p, p, x ** 2); np.where(CONSTANT, x, p); np.where(np.array([0, 2, -3, 0]), x, p)
np.clip(x, -0.5, 0.5); np.clip(x, None, p); np.clip(x, -0.5, None)
x.clip(-0.3, 0.3); np.clip(x, min=-0.2, max=0.1); np.round(x); np.round(x, 2); x.round(1); np.around(x, 1)
np.zeros_like(A); np.ones_like(A); np.full_like(x, 3.0); np.ones_like(s); np.real(A); np.copy(A)
np.full_like(A, CONSTANT)
np.zeros_like(x, dtype=float); np.sum(s, axis=0); np.add.reduce(s); np.transpose(x, 0)
np.size(T, axis=(0, 2)) * s; np.any(A[3:] > 0); np.all(A[3:] > 0, axis=0); (x > 0).all(); (A > 0).any(axis=0)
np.iscomplexobj(x) * x; np.isrealobj(x) * x
np.linalg.inv(S); np.linalg.inv(G); np.linalg.det(S); np.linalg.det(G); np.linalg.slogdet(S)[0]
np.linalg.slogdet(S).logabsdet; np.linalg.slogdet(G).sign
np.linalg.solve(S, x); np.linalg.solve(S, B); np.linalg.solve(G, B); np.linalg.solve(S, CONSTANT)
np.linalg.solve(G, x)
np.linalg.matrix_power(S, 0); np.linalg.matrix_power(S, 1); np.linalg.matrix_power(S, 3)
np.linalg.matrix_power(S, -2); np.linalg.matrix_power(G, 0)
np.linalg.matrix_power(G, -1); np.linalg.multi_dot([A, S, B]); np.linalg.multi_dot([x, S, x])
np.linalg.outer(x, p); np.linalg.trace(G); np.linalg.diagonal(G); np.linalg.vecdot(A, C); np.linalg.matmul(A, B)
np.linalg.tensordot(A, B, axes=1)
np.linalg.norm(x); np.linalg.norm(A); np.linalg.norm(T); np.linalg.norm(A, "fro"); np.linalg.norm(A, 1)
np.linalg.norm(A, -1); np.linalg.norm(A, np.inf); np.linalg.norm(A, -np.inf)
np.linalg.norm(x, 1); np.linalg.norm(x, 2); np.linalg.norm(x, 3); np.linalg.norm(x, 0.5); np.linalg.norm(x, np.inf)
np.linalg.norm(x, -np.inf); np.linalg.norm(x, 0); np.linalg.norm(x, -1)
np.linalg.norm(A, axis=0); np.linalg.norm(A, axis=1, keepdims=True); np.linalg.norm(A, 1, axis=1)
np.linalg.norm(T, axis=(0, 2)); np.linalg.norm(T, 1, (2, 0)); np.linalg.norm(A, keepdims=True)
np.linalg.norm(T, "fro", (1, 2), keepdims=True); np.linalg.norm(T, np.inf, (1, 2), keepdims=True)
np.linalg.vector_norm(A); np.linalg.vector_norm(A, axis=0, ord=3); np.linalg.matrix_norm(T)
np.linalg.matrix_norm(T, ord=1); scipy.special.expit(x); np.ndim(A) + 0 * s; np.size(A) * s; np.size(A, 1) * s
np.shape(A)[0] * s; len(A) * s; A.size * s
""".strip()
    .replace("\n", "; ")
    .split("; ")
)


def symbol(name, shape):
    make = [mg.scalar, mg.vector, mg.matrix, mg.tensor][min(len(shape), 3)]
    return make(name, *shape)


def evaluated(case, names):
    return eval(case, {"np": np, "scipy": scipy, "CONSTANT": CONSTANT, **names})


@pytest.mark.parametrize("case", CASES)
def test_a_function_of_expressions_computes_what_numpy_computes(case):
    symbols = {name: symbol(name, np.shape(array)) for name, array in ARRAYS.items()}
    expected = np.asarray(evaluated(case, ARRAYS), dtype=float)
    expression = evaluated(case, symbols)
    assert expression.shape == expected.shape
    value = expression(**{symbol.name: ARRAYS[symbol.name] for symbol in expression.symbols})
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)


NEEDS_LENGTHS = re.compile(
    r"np\.(tril|triu|concatenate|vstack|hstack|column_stack)|len\(|offset=1|diag\(\w, -?\d|diagonal\(G, 1"
    r"|linspace|logspace|geomspace|vander\(x\)|polyval\(x|convolve|correlate|meshgrid|apply_along|trace\([AT]|\.trace|diag\(A|diagonal\(T"
)


@pytest.mark.parametrize("case", [case for case in CASES if not NEEDS_LENGTHS.search(case)])
def test_it_does_so_without_knowing_lengths(case):
    symbols = {name: symbol(name, [n if n == 1 else None for n in np.shape(array)]) for name, array in ARRAYS.items()}
    expression = evaluated(case, symbols)
    value = expression(**{symbol.name: ARRAYS[symbol.name] for symbol in expression.symbols})
    np.testing.assert_allclose(value, np.asarray(evaluated(case, ARRAYS), dtype=float), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_derivatives_agree_with_finite_differences(case):
    symbols = {name: symbol(name, np.shape(array)) for name, array in ARRAYS.items()}
    expression = evaluated(case, symbols)
    rng = np.random.default_rng(1)
    loss = np.sum(expression * rng.normal(size=expression.shape))
    values = {symbol.name: np.asarray(ARRAYS[symbol.name]) for symbol in expression.symbols}
    for x in expression.symbols:
        step = 1e-6 * rng.normal(size=x.shape)
        ahead, behind = (loss(**{**values, x.name: values[x.name] + sign * step}) for sign in (1, -1))
        for mode in ("forward", "reverse"):
            slope = np.sum(loss.diff(x, mode=mode)(**values) * step)
            np.testing.assert_allclose(slope, (ahead - behind) / 2, rtol=1e-4, atol=1e-11)


@pytest.mark.parametrize(
    "call",
    [
        "np.dot(T, R)",
        "np.tensordot(C, R, ([1], [0]))",
        "np.inner(T, x[:1])",
        "np.vecdot(A, x[:1])",
        "np.matvec(x, x)",
        "R.T @ A",
    ],
)
def test_axes_that_are_summed_are_not_broadcast(call):
    symbols = {name: symbol(name, np.shape(array)) for name, array in ARRAYS.items()}
    with pytest.raises(ValueError, match=r"mismatch|aligned|dimension"):
        evaluated(call, ARRAYS)
    with pytest.raises(ValueError, match=r"shapes \(.*don\'t fit|axes"):
        evaluated(call, symbols)


def test_what_is_masked_may_be_infinite():
    X, array = mg.matrix("X", 2, 2), np.array([[1.0, np.inf], [np.nan, 2.0]])
    np.testing.assert_equal(np.tril(X)(X=np.array([[1.0, np.inf], [3.0, 2.0]])), [[1.0, 0.0], [3.0, 2.0]])
    np.testing.assert_equal(np.triu(np.diag(np.diag(X)))(X=array), [[1.0, 0.0], [0.0, 2.0]])
    np.testing.assert_equal(np.where(np.eye(2), X, 0)(X=array), [[1.0, 0.0], [0.0, 2.0]])


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -7.5, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "name",
    [
        *["isnan", "isfinite", "isinf", "isposinf", "isneginf", "signbit", "nan_to_num", "angle", "sinc"],
        *["heaviside", "fmax", "fmin", "floor_divide", "remainder", "fmod", "copysign"],
    ],
)
def test_zeros_infinities_and_nan_are_numpys(name, dtype):
    function = getattr(np, name)
    arity = 1 if not isinstance(function, np.ufunc) else function.nin
    arrays = [np.array(a, dtype) for a in zip(*itertools.product(SPECIAL, repeat=arity), strict=True)]
    x, y = mg.vectors("x y")
    with np.errstate(all="ignore"):
        expected = function(*arrays)
    arguments = [x, y][:arity]
    limits = np.finfo(dtype)
    more = {"posinf": limits.max, "neginf": limits.min} if name == "nan_to_num" else {}
    value = function(*arguments, **more).compile(*arguments)(*arrays)
    np.testing.assert_allclose(value, expected.astype(dtype), rtol=4 * limits.eps, atol=limits.eps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("np.frexp(x)", r"numpy\.frexp of"),
        ("np.nextafter(x, p)", r"numpy\.nextafter of"),
        ("np.spacing(x)", r"numpy\.spacing of"),
        ("np.subtract.reduce(A)", r"numpy\.subtract\.reduce of"),
        ("np.maximum.accumulate(A)", r"numpy\.maximum\.accumulate of"),
        ("np.add.reduce(A, where=A > 0)", r"numpy\.add\.reduce of an expression: the argument where is"),
        ("np.add.reduce(A, initial=1.0)", r"numpy\.add\.reduce of an expression: the argument initial is"),
        ("np.exp(x, where=CONSTANT > 0)", r"numpy\.exp of an expression: the argument where is"),
    ],
)
def test_what_is_not_supported_is_named(call, message):
    symbols = {name: symbol(name, np.shape(array)) for name, array in ARRAYS.items()}
    with pytest.raises(NotImplementedError, match=message):
        evaluated(call, symbols)


def test_every_function_of_the_tables_is_tested():
    folder = Path(__file__).parent
    others = [folder / "test_inplace.py", folder / "test_decompositions.py", *folder.glob("test_numpy_*.py")]
    text = "; ".join(CASES) + "".join(path.read_text(encoding="utf-8") for path in others)
    called = set(re.findall(r"(?:np|special)\.(?:\w+\.)?\w+", text))
    missing = [name for name in [*UFUNCS, *FUNCTIONS] if not {f"np.{name}", f"special.{name}"} & called]
    assert sorted(missing) == []
