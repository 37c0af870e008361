"""Identities: a vector or a scalar by a vector."""

import numpy as np

import matgrad as mg
from identity import Identity, by_table

eye, outer, exp, sin, cos, tanh, log = np.eye, np.outer, np.exp, np.sin, np.cos, np.tanh, np.log
norm = np.linalg.norm


def sigmoid(x):
    return 1 / (1 + exp(-x))


def softmax(x):
    return exp(x) / np.sum(exp(x))


def rows_times(u, A):
    """diag(u) A."""
    return u[:, None] * A


def distance_hessian(x, a):
    r = (x - a) / norm(x - a)
    return (eye(len(x)) - outer(r, r)) / norm(x - a)


def normalized_jacobian(x):
    return (eye(len(x)) - outer(x, x) / (x @ x)) / norm(x)


def product_of_affine_gradient(B, b, C, D, d, x):
    return B.T @ C @ (D @ x + d) + D.T @ C.T @ (B @ x + b)


def product_of_functions_gradient(A, B, C, x):
    u, v, by_u, by_v = sin(B @ x), exp(C @ x), rows_times(cos(B @ x), B), rows_times(exp(C @ x), C)
    return by_u.T @ A @ v + by_v.T @ A.T @ u


def logistic_loss(X, y, w):
    return np.sum(np.log(1 + np.exp(-y * (X @ w))))


def logistic_gradient(X, y, w):
    return -X.T @ (y * sigmoid(-y * (X @ w)))


def logistic_hessian(X, y, w):
    s = sigmoid(-y * (X @ w))
    return X.T @ np.diag(y**2 * s * (1 - s)) @ X


VECTOR_BY_VECTOR = by_table(
    Identity("a", "a:m x:n", lambda a, x: a, {"x": lambda a, x: np.zeros((len(a), len(x)))}),
    Identity("x", "x:n", lambda x: x, {"x": lambda x: eye(len(x))}),
    Identity("A x", "A:mn x:n", lambda A, x: A @ x, {"x": lambda A, x: A}),
    Identity("xᵀA", "A:nm x:n", lambda A, x: x @ A, {"x": lambda A, x: A.T}),
    Identity(
        "v(x) u(x)",
        "a:n B:mn x:n",
        lambda a, B, x: np.sin(a @ x) * np.exp(B @ x),
        {"x": lambda a, B, x: sin(a @ x) * rows_times(exp(B @ x), B) + outer(exp(B @ x), cos(a @ x) * a)},
    ),
    Identity(
        "A u(x)",
        "A:pm B:mn x:n",
        lambda A, B, x: A @ np.tanh(B @ x),
        {"x": lambda A, B, x: A @ rows_times(1 - tanh(B @ x) ** 2, B)},
    ),
    Identity(
        "g(u(x))",
        "C:pm B:mn x:n",
        lambda C, B, x: np.sin(C @ np.exp(B @ x)),
        {"x": lambda C, B, x: rows_times(cos(C @ exp(B @ x)), C) @ rows_times(exp(B @ x), B)},
    ),
    Identity(
        "f.(A x + b)",
        "A:mn b:m x:n",
        lambda A, b, x: np.tanh(A @ x + b),
        {"x": lambda A, b, x: np.diag(1 - tanh(A @ x + b) ** 2) @ A},
    ),
    Identity(
        "u(x) ⊙ v(x)",
        "A:mn B:mn x:n",
        lambda A, B, x: np.sin(A @ x) * np.exp(B @ x),
        {
            "x": lambda A, B, x: (
                np.diag(exp(B @ x)) @ np.diag(cos(A @ x)) @ A + np.diag(sin(A @ x)) @ np.diag(exp(B @ x)) @ B
            )
        },
    ),
    Identity(
        "softmax(x)",
        "x:n",
        lambda x: mg.softmax(x),
        {"x": lambda x: np.diag(softmax(x)) - outer(softmax(x), softmax(x))},
    ),
    Identity(
        "log softmax(x)",
        "x:n",
        lambda x: mg.log_softmax(x),
        {"x": lambda x: eye(len(x)) - outer(np.ones(len(x)), softmax(x))},
    ),
    Identity("x / ‖x‖", "x:n", lambda x: x / np.linalg.norm(x), {"x": normalized_jacobian}),
    Identity("x xᵀx", "x:n", lambda x: x * (x @ x), {"x": lambda x: (x @ x) * eye(len(x)) + 2 * outer(x, x)}),
)

SCALAR_BY_VECTOR = by_table(
    Identity("aᵀx", "a:n x:n", lambda a, x: a @ x, {"x": lambda a, x: a}),
    Identity("xᵀx", "x:n", lambda x: x @ x, {"x": lambda x: 2 * x, "x x": lambda x: 2 * eye(len(x))}),
    Identity(
        "xᵀA x",
        "A:nn x:n",
        lambda A, x: x @ A @ x,
        {"x": lambda A, x: (A + A.T) @ x, "x x": lambda A, x: A + A.T},
    ),
    Identity(
        "xᵀS x, S symmetric",
        "S:nn:symmetric x:n",
        lambda S, x: x @ S @ x,
        {"x": lambda S, x: 2 * S @ x, "x x": lambda S, x: 2 * S},
    ),
    Identity("bᵀA x", "b:m A:mn x:n", lambda b, A, x: b @ A @ x, {"x": lambda b, A, x: A.T @ b}),
    Identity(
        "aᵀx xᵀb",
        "a:n b:n x:n",
        lambda a, b, x: (a @ x) * (x @ b),
        {
            "x": lambda a, b, x: (outer(a, b) + outer(b, a)) @ x,
            "x x": lambda a, b, x: outer(a, b) + outer(b, a),
        },
    ),
    Identity(
        "(B x + b)ᵀC(D x + d)",
        "B:mn b:m C:mp D:pn d:p x:n",
        lambda B, b, C, D, d, x: (B @ x + b) @ C @ (D @ x + d),
        {"x": product_of_affine_gradient},
    ),
    Identity(
        "u(x)ᵀA v(x)",
        "A:mp B:mn C:pn x:n",
        lambda A, B, C, x: np.sin(B @ x) @ A @ np.exp(C @ x),
        {"x": product_of_functions_gradient},
    ),
    Identity(
        "‖A x − b‖²",
        "A:mn b:m x:n",
        lambda A, b, x: np.linalg.norm(A @ x - b) ** 2,
        {"x": lambda A, b, x: 2 * A.T @ (A @ x - b), "x x": lambda A, b, x: 2 * A.T @ A},
    ),
    Identity(
        "‖x − a‖",
        "x:n a:n",
        lambda x, a: np.linalg.norm(x - a),
        {
            "x": lambda x, a: (x - a) / norm(x - a),
            "a": lambda x, a: (a - x) / norm(x - a),
            "x x": distance_hessian,
            "x a": lambda x, a: -distance_hessian(x, a),
        },
    ),
    Identity("‖x‖₁", "x:n", lambda x: np.linalg.norm(x, 1), {"x": lambda x: np.sign(x)}),
    Identity(
        "‖x‖ₚ",
        "x:n",
        lambda x: np.linalg.norm(x, 2.5),
        {"x": lambda x: np.sign(x) * abs(x) ** 1.5 / norm(x, 2.5) ** 1.5},
    ),
    Identity("Σ f(x)", "x:n", lambda x: np.sum(np.sin(x)), {"x": lambda x: cos(x), "x x": lambda x: np.diag(-sin(x))}),
    Identity(
        "log Σ exp x",
        "x:n",
        lambda x: mg.logsumexp(x),
        {"x": softmax, "x x": lambda x: np.diag(softmax(x)) - outer(softmax(x), softmax(x))},
    ),
    Identity(
        "Σ log(1 + exp(−y ⊙ X w))",
        "X:mn y:m:signs w:n",
        logistic_loss,
        {"w": logistic_gradient, "w w": logistic_hessian},
    ),
    Identity(
        "−yᵀ log softmax(x)",
        "y:n:positive x:n",
        lambda y, x: -y @ mg.log_softmax(x),
        {"x": lambda y, x: np.sum(y) * softmax(x) - y},
    ),
    Identity(
        "xᵀA x / xᵀx",
        "A:nn x:n",
        lambda A, x: (x @ A @ x) / (x @ x),
        {"x": lambda A, x: (A + A.T) @ x / (x @ x) - 2 * (x @ A @ x) / (x @ x) ** 2 * x},
    ),
    Identity(
        "Σ x log x",
        "x:n:positive",
        lambda x: np.sum(x * np.log(x)),
        {"x": lambda x: log(x) + 1, "x x": lambda x: np.diag(1 / x)},
    ),
)
