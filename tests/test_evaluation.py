"""Values of expressions whose steps are shared, selected or solved agree with NumPy's."""

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(11)
VALUES = {
    "A": RNG.uniform(-1, 1, (4, 4)) + 3 * np.eye(4),
    "B": RNG.uniform(-1, 1, (4, 4)) + 3 * np.eye(4),
    "b": RNG.uniform(-1, 1, (4, 2)),
    "v": RNG.uniform(-1, 1, 4),
    "t": np.float64(0.7),
}
inv, solve = np.linalg.inv, np.linalg.solve
FUNCTIONS = {
    "every other entry of a solution": lambda A, v: solve(A, v)[::2],
    "a solution from behind": lambda A, v: solve(A, v)[::-1],
    "the end of a solution": lambda A, b: solve(A, b)[2:],
    "columns of an inverse": lambda A, v: inv(A)[:, :2] @ v[:2],
    "every other column of an inverse": lambda A, v: inv(A)[:, ::2] @ v[::2],
    "columns from behind": lambda A, v: inv(A)[:, ::-1] @ v,
    "rows and columns": lambda A, v: inv(A)[1:, 1:] @ v[1:],
    "diagonal of an inverse": lambda A, v: np.diag(inv(A)) * v,
    "transposed": lambda A, v: v @ inv(A)[:, 1:],
    "solved twice": lambda A, B, v: solve(A, solve(B, v)),
    "the square of what is solved twice": lambda A, v, t: solve(A, inv(A @ A) @ ((v >= 0) * v * t)) ** 2,
    "the square of a scalar": lambda A, B, v: (v @ A @ B @ v) ** 2,
    "the cube of what is contracted": lambda A, B, v: np.sum((A @ (B @ v)) ** 3),
    "the same product in two places": lambda A, B, v: (A @ B @ v) * np.exp(A @ B @ v) + B @ v,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_agree_with_numpy(name):
    function = FUNCTIONS[name]
    values = {symbol: VALUES[symbol] for symbol in function.__code__.co_varnames[: function.__code__.co_argcount]}
    expected = function(**values)
    others = []
    for k in range(20):  # other nodes between them, so that the order of addresses is another
        others.append([mg.vector(f"other{j}") for j in range(7 * k % 5)])
        symbols = {symbol: mg.tensor(symbol, value.ndim) for symbol, value in values.items()}
        got = function(**symbols).compile(*symbols.values())(*values.values())
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
