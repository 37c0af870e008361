"""Identities: a vector, a matrix or a scalar by a scalar, on functions U(t) whose derivative is U′(t)."""

import numpy as np

import matgrad as mg
from identity import Identity, by_table

inv, trace, det = np.linalg.inv, np.trace, np.linalg.det


def U(t, C):
    return np.sin(t * C)


def dU(t, C):
    return C * np.cos(t * C)


def V(t, D):
    return np.exp(t * D)


def dV(t, D):
    return D * np.exp(t * D)


def W(t, C, S):
    """Of full rank if S is."""
    return np.sin(t * C) + S


def ddW(t, C):
    return -(C**2) * np.sin(t * C)


def second_of_log_det(t, C, S):
    inverse, first = inv(W(t, C, S)), dU(t, C)
    return trace(inverse @ ddW(t, C)) - trace(inverse @ first @ inverse @ first)


BY_SCALAR = by_table(
    Identity(
        "A U(t) B",
        "A:pm C:mn B:nq t:",
        lambda A, C, B, t: A @ U(t, C) @ B,
        {"t": lambda A, C, B, t: A @ dU(t, C) @ B},
    ),
    Identity(
        "U(t) V(t)",
        "C:mn D:np t:",
        lambda C, D, t: U(t, C) @ V(t, D),
        {"t": lambda C, D, t: dU(t, C) @ V(t, D) + U(t, C) @ dV(t, D)},
    ),
    Identity(
        "U(t) ⊙ V(t)",
        "C:mn D:mn t:",
        lambda C, D, t: U(t, C) * V(t, D),
        {"t": lambda C, D, t: dU(t, C) * V(t, D) + U(t, C) * dV(t, D)},
    ),
    Identity(
        "U(t) ⊗ V(t)",
        "C:mn D:pq t:",
        lambda C, D, t: np.kron(U(t, C), V(t, D)),
        {"t": lambda C, D, t: np.kron(dU(t, C), V(t, D)) + np.kron(U(t, C), dV(t, D))},
    ),
    Identity("U(t)ᵀ", "C:mn t:", lambda C, t: U(t, C).T, {"t": lambda C, t: dU(t, C).T}),
    Identity(
        "U(t)⁻¹",
        "C:nn S:nn t:",
        lambda C, S, t: np.linalg.inv(W(t, C, S)),
        {"t": lambda C, S, t: -inv(W(t, C, S)) @ dU(t, C) @ inv(W(t, C, S))},
    ),
    Identity(
        "g(u(t))",
        "a:n B:mn t:",
        lambda a, B, t: np.tanh(B @ np.exp(t * a)),
        {"t": lambda a, B, t: (1 - np.tanh(B @ np.exp(t * a)) ** 2) * (B @ (a * np.exp(t * a)))},
    ),
    Identity(
        "f(x(t))",
        "A:nn a:n t:",
        lambda A, a, t: np.sin(t * a) @ A @ np.sin(t * a),
        {"t": lambda A, a, t: (A + A.T) @ np.sin(t * a) @ (a * np.cos(t * a))},
    ),
)

SCALAR_BY_SCALAR = by_table(
    Identity("tr U(t)", "C:nn t:", lambda C, t: np.trace(U(t, C)), {"t": lambda C, t: trace(dU(t, C))}),
    Identity(
        "det U(t)",
        "C:nn S:nn t:",
        lambda C, S, t: np.linalg.det(W(t, C, S)),
        {"t": lambda C, S, t: det(W(t, C, S)) * trace(inv(W(t, C, S)) @ dU(t, C))},
    ),
    Identity(
        "log det U(t)",
        "C:nn S:nn t:",
        lambda C, S, t: mg.logdet(W(t, C, S)),
        {
            "t": lambda C, S, t: trace(inv(W(t, C, S)) @ dU(t, C)),
            "t t": lambda C, S, t: second_of_log_det(t, C, S),
        },
    ),
)
