"""Expressions over blocks of their arguments: what is summed, concatenated or computed once, against the whole."""

import numpy as np
import pytest

import matgrad as mg
from matgrad import _core
from matgrad._blocks import JOINS, in_blocks
from matgrad._expr import Expr

n, m, r = 23, 6, 3
LENGTHS = (5, 1, 0, 9, 8)


def logistic(X, w, y):
    return np.mean(np.log1p(np.exp(-y * (X @ w)))) + 0.1 * np.sum(w**2)


def factorization(X, U, V):
    return np.sum((X - U @ V) ** 2) + 0.1 * np.sum(V**2) + 0.2 * np.sum(U**2)


def mixture(X, M, w):
    distances = np.sum((X[:, None, :] - M[None, :, :]) ** 2, axis=2)
    return -np.sum(mg.logsumexp(w[:3] - distances / 2, axis=1))


# A function, the arguments that are cut and along which axis, and how many passes over the blocks there are.
CASES = {
    "factorization": (factorization, {"X": 0}, 1),
    "factorization, factor cut": (factorization, {"X": 0, "U": 0}, 1),
    "factorization, columns": (factorization, {"X": 1}, 1),
    "factorization, columns and factor": (factorization, {"X": 1, "V": 1}, 1),
    "logistic": (logistic, {"X": 0}, 1),
    "logistic, labels cut": (logistic, {"X": 0, "y": 0}, 1),
    "logistic, features cut": (logistic, {"X": 1}, 2),
    "mixture": (mixture, {"X": 0}, 1),
    "penalty alone": (lambda X, w: np.sum(w**2) + 0 * np.sum(X), {"X": 0}, 1),
    "sum": (lambda X: np.sum(X), {"X": 0}, 1),
    "not cut": (lambda w, V: np.sum(w @ V.T), {}, 0),
    "norm": (lambda X, w, y: np.linalg.norm(X @ w - y), {"X": 0}, 2),
    "log of a sum": (lambda X, w: np.log(np.sum(np.exp(X @ w))), {"X": 0}, 2),
    "product of sums": (lambda X, w, y: np.sum(X @ w) * np.sum(y**2), {"X": 0, "y": 0}, 2),
    "maximum": (lambda X, w: np.max(X @ w), {"X": 0}, 3),
    "minimum along rows": (lambda X, w: np.sum(np.min(X * w, axis=1)), {"X": 0}, 1),
    "minimum of columns": (lambda X, w: np.min(X, axis=0) @ w, {"X": 0}, 3),
    "log det": (lambda X: mg.logdet(X.T @ X / len(X)), {"X": 0}, 2),
    "solve": (lambda X, w: w @ np.linalg.solve(X.T @ X, w), {"X": 0}, 2),
    "precision": (lambda X, S: np.sum((X @ np.linalg.inv(S)) * X), {"X": 0}, 1),
    "variance": (lambda X, w: np.var(X @ w), {"X": 0}, 2),
    "centred": (lambda X: np.sum((X - np.mean(X, axis=0)) ** 4), {"X": 0}, 3),
    "standardized": (lambda X, w: np.sum(np.exp((X - np.mean(X, axis=0)) / np.std(X, axis=0) @ w)), {"X": 0}, 4),
    "pairs of rows by pairs of columns": (lambda X: np.sum((X @ X.T) ** 2), {"X": 0}, 2),
    "two indices": (lambda X, y, w: np.sum((X @ w) ** 2) + np.sum(y**3), {"X": 0, "y": 0}, 1),
    "cut here, whole there": (lambda X, w, S: np.sum(np.exp(X * w)) + w @ S @ w, {"X": 1}, 1),
    "chosen rows of a whole": (lambda U, V, k, j, y: np.sum((np.sum(U[k] * V.T[j], axis=1) - y) ** 2), {"y": 0}, 1),
    "chosen rows, all cut": (lambda U, k, y: np.sum(np.exp(U[k, 0]) * y), {"y": 0, "k": 0}, 1),
    "chosen columns": (lambda X, j: np.sum(X[:, j] ** 3), {"X": 0}, 1),
    "sorted rows": (lambda X, w: np.sum(np.sort(X, axis=1) @ w), {"X": 0}, 1),
    "largest of rows": (lambda X: np.sum(np.max(X, axis=1) * np.argmax(X, axis=1)), {"X": 0}, 1),
    "sums along rows": (lambda X, w: np.sum(np.cumsum(X, axis=1) ** 2 @ w), {"X": 0}, 1),
    "triangles": (lambda X, S: np.sum((X @ np.tril(S)) ** 2), {"X": 0}, 1),
    "eigenvalues": (lambda X: np.sum(np.linalg.eigvalsh(X.T @ X) ** 2), {"X": 0}, 2),
    "a stack of matrices": (lambda T: np.sum(mg.logdet(np.matmul(np.moveaxis(T, 1, 2), T))), {"T": 0}, 1),
}


def arguments(fun, dtype=np.float64):
    """Values for the parameters of a function."""
    rng = np.random.default_rng(0)
    S = rng.standard_normal((m, m))
    values = {
        "X": rng.standard_normal((n, m)),
        "U": rng.standard_normal((n, r)),
        "V": rng.standard_normal((r, m)),
        "M": rng.standard_normal((r, m)),
        "w": rng.standard_normal(m),
        "y": rng.standard_normal(n),
        "S": S @ S.T + np.eye(m),
        "k": rng.integers(0, n, n),
        "j": rng.integers(0, m, n),
        "K": rng.standard_normal((n, n)),
        "T": rng.standard_normal((n, 4, 2)),
    }
    names = fun.__code__.co_varnames[: fun.__code__.co_argcount]
    return {name: values[name].astype(dtype if values[name].dtype.kind == "f" else np.int64) for name in names}


def symbols_of(values):
    found = {}
    for name, value in values.items():
        node = _core.symbol(name, value.shape, False)
        found[name] = Expr(node, {name: node})
    return found


def value_and_gradients(fun, symbols):
    value = fun(**symbols)
    return [value, *(value.diff(x) for name, x in symbols.items() if name not in {"k", "j"})]


def evaluate(program, arrays, lengths):
    """Run a program with NumPy's functions, one block after the other."""
    known = dict(arrays)
    for once, of_blocks in program.passes:
        if once:
            known |= zip(once.results, once.function(*(known[name] for name in once.arguments)), strict=True)
        if of_blocks:
            outputs = []
            for k in range(len(lengths)):
                start = sum(lengths[:k])
                part = {
                    name: np.take(known[whole], range(start, start + lengths[k]), axis)
                    for name, (whole, axis) in program.cuts.items()
                    if name in of_blocks.arguments
                }
                outputs.append(of_blocks.function(*((known | part)[name] for name in of_blocks.arguments)))
            for name, (join, axis), *parts in zip(of_blocks.results, of_blocks.joins, *outputs, strict=True):
                known[name] = np.concatenate(parts, axis) if join == "concatenate" else JOINS[join].reduce(parts)
    return [known[name] for name in program.results]


def program_of(fun, cut, dtype=np.float64):
    values = arguments(fun, dtype)
    symbols = symbols_of(values)
    expressions = value_and_gradients(fun, symbols)
    nodes = [x._node for x in symbols.values()]
    cuts = [(symbols[name]._node, axis) for name, axis in cut.items()]
    like = [None, *(x._node for name, x in symbols.items() if name not in {"k", "j"})]
    return in_blocks([e._node for e in expressions], like, nodes, cuts), expressions, values


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_blocks_give_what_the_whole_gives(name, dtype):
    fun, cut, passes = CASES[name]
    program, expressions, values = program_of(fun, cut, dtype)
    length = next((values[x].shape[axis] for x, axis in cut.items()), 0)
    lengths = [k for k in LENGTHS if k] if "m" in name and "mum" in name else LENGTHS  # of nothing there is no maximum
    lengths = lengths if length == n else (2, 0, length - 2)
    results = evaluate(program, values, lengths)
    assert sum(of_blocks is not None for _, of_blocks in program.passes) == passes
    for result, e in zip(results, expressions, strict=True):
        expected = e.compile(*symbols_of(values).values())(*values.values())
        assert result.shape == expected.shape
        scale = np.max(np.abs(expected), initial=1e-3)
        np.testing.assert_allclose(result, expected, rtol=0, atol=scale * (1e-11 if dtype == np.float64 else 2e-3))


NEED_OTHER_BLOCKS = {
    "pairs of rows": (lambda X: np.sum(np.exp(X @ X.T)), {"X": 0}, "joins every block with every other"),
    "weighted pairs": (lambda X, K: np.sum(X @ X.T * K), {"X": 0}, "joins every block with every other"),
    "some rows": (lambda X: np.sum(X @ X[:m].T), {"X": 0}, "certain places"),
    "neighbours": (lambda y: np.sum((y[1:] - y[:-1]) ** 2), {"y": 0}, "certain places"),
    "an element": (lambda X, w: X[0] @ w + np.sum(X), {"X": 0}, "certain places"),
    "a determinant": (lambda X, S: mg.logdet(S + X[:m]), {"S": 0}, "needs all blocks at once"),
    "products of all others": (lambda y: np.prod(y), {"y": 0}, "certain places"),
    "sums up to each": (lambda y: np.sum(np.cumsum(y) ** 2), {"y": 0}, "certain places"),
    "ranks": (lambda y: np.sum(np.sort(y)[::2]), {"y": 0}, "needs all blocks at once"),
    "the place of the largest": (lambda y: np.argmax(y) * np.sum(y), {"y": 0}, "needs all blocks at once"),
    "chosen rows of blocks": (lambda U, k: np.sum(U[k] ** 2), {"U": 0}, "certain places"),
    "outer products": (lambda y: np.sum(np.exp(np.outer(y, y))), {"y": 0}, "joins every block with every other"),
}


@pytest.mark.parametrize("name", NEED_OTHER_BLOCKS)
def test_what_needs_several_blocks_is_named(name):
    fun, cut, message = NEED_OTHER_BLOCKS[name]
    with pytest.raises(NotImplementedError, match=message):
        program_of(fun, cut)


def test_an_unknown_length_is_named():
    X = mg.matrix("X")
    mean = np.mean(X)
    with pytest.raises(NotImplementedError, match=r"X.shape\[0\] must be a number"):
        in_blocks([mean._node], [None], [X._node], [(X._node, 0)])


def test_a_penalty_is_computed_once_and_not_for_every_block():
    program, _, values = program_of(factorization, {"X": 0})
    (_, of_blocks), (once, _) = program.passes
    assert of_blocks.joins == [("sum", -1), ("concatenate", 0), ("concatenate", 0), ("sum", -1)]
    assert "V" in once.arguments
    assert set(of_blocks.arguments) == {"V", *program.cuts}
    assert set(program.cuts.values()) == {("X", 0), ("U", 0)}
    assert values["X"].shape == (n, m)


def test_a_sum_does_not_wait_for_what_it_is_multiplied_with():
    """The gradient of a norm is a sum over blocks, divided by another."""
    program, _, _ = program_of(lambda X, w: np.linalg.norm(X @ w), {"X": 0})
    first = program.passes[0].of_blocks
    assert [join for join, _ in first.joins] == ["sum", "sum"]


def test_a_norm_of_zero_has_derivative_zero():
    X, w = np.random.default_rng(0).standard_normal((n, m)), np.ones(m)
    symbols = symbols_of({"X": X, "w": w, "y": X @ w})
    e = np.linalg.norm(symbols["X"] @ symbols["w"] - symbols["y"])
    nodes = [x._node for x in symbols.values()]
    expressions = [e, e.diff(symbols["w"])]
    program = in_blocks([e._node for e in expressions], [None, nodes[1]], nodes, [(nodes[0], 0)])
    y = np.concatenate([X[start : start + k] @ w for start, k in zip([0, 5, 6, 6, 15], LENGTHS, strict=True)])
    value, gradient = evaluate(program, {"X": X, "w": w, "y": y}, LENGTHS)
    assert value < 1e-14
    assert np.all(np.isfinite(gradient))
    value, gradient = evaluate(program, {"X": 0 * X, "w": w, "y": 0 * y}, LENGTHS)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0 * w)


def test_serially_calls_on_this_thread():
    assert _core.serially(lambda a, b: a - b, 5, 3) == 2
    x = np.arange(200_000.0)
    total = np.sum(mg.vector("x") ** 2).compile()
    assert _core.serially(total, x) == total(x)
