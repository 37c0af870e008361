"""Identities: a scalar by a matrix, and a matrix by a matrix."""

import numpy as np

import matgrad as mg
from identity import Identity, by_table

eye, outer, ones, kron = np.eye, np.outer, np.ones, np.kron
einsum, inv, det, norm, diag, trace = np.einsum, np.linalg.inv, np.linalg.det, np.linalg.norm, np.diag, np.trace


def commutation(m, n):
    """K, such that vec(Xᵀ) = K vec(X) for X of m rows and n columns."""
    K = np.zeros((m * n, m * n))
    for i, j in np.ndindex(m, n):
        K[j + n * i, i + m * j] = 1
    return K


def residual_mixed_derivative(X, U, V):
    """2U[i,b]V[a,j] − 2(X − UV)[i,j]δ[a,b] at [i,a,b,j]."""
    return 2 * einsum("ib,aj->iabj", U, V) - 2 * einsum("ij,ab->iabj", X - U @ V, eye(len(V)))


FACTORIZATION = {
    "V": lambda X, U, V: -2 * U.T @ (X - U @ V),
    "U": lambda X, U, V: -2 * (X - U @ V) @ V.T,
    "V V": lambda X, U, V: 2 * einsum("ik,jl->ijkl", U.T @ U, eye(V.shape[1])),
    "U U": lambda X, U, V: 2 * einsum("ik,jl->ijkl", eye(len(U)), V @ V.T),
    "U V": residual_mixed_derivative,
}

SCALAR_BY_MATRIX = by_table(
    Identity("aᵀX b", "a:m X:mn b:n", lambda a, X, b: a @ X @ b, {"X": lambda a, X, b: outer(a, b)}),
    Identity("aᵀXᵀb", "a:n X:mn b:m", lambda a, X, b: a @ X.T @ b, {"X": lambda a, X, b: outer(b, a)}),
    Identity("aᵀX a", "a:n X:nn", lambda a, X: a @ X @ a, {"X": lambda a, X: outer(a, a)}),
    Identity("tr X", "X:nn", lambda X: np.trace(X), {"X": lambda X: eye(len(X))}),
    Identity("tr(X A)", "X:mn A:nm", lambda X, A: np.trace(X @ A), {"X": lambda X, A: A.T}),
    Identity("tr(A X B)", "A:pm X:mn B:np", lambda A, X, B: np.trace(A @ X @ B), {"X": lambda A, X, B: A.T @ B.T}),
    Identity("tr(A XᵀB)", "A:pn X:mn B:mp", lambda A, X, B: np.trace(A @ X.T @ B), {"X": lambda A, X, B: B @ A}),
    Identity("Σ X", "X:mn", lambda X: np.sum(X), {"X": lambda X: np.ones_like(X)}),
    Identity("Σ f(X)", "X:mn", lambda X: np.sum(np.sin(X)), {"X": lambda X: np.cos(X)}),
    Identity("‖X‖²", "X:mn", lambda X: np.linalg.norm(X) ** 2, {"X": lambda X: 2 * X}),
    Identity("‖X‖", "X:mn", lambda X: np.linalg.norm(X), {"X": lambda X: X / norm(X)}),
    Identity(
        "bᵀXᵀX c",
        "b:n X:mn c:n",
        lambda b, X, c: b @ X.T @ X @ c,
        {"X": lambda b, X, c: X @ (outer(b, c) + outer(c, b))},
    ),
    Identity(
        "(X b + c)ᵀD(X b + c)",
        "X:mn b:n c:m D:mm",
        lambda X, b, c, D: (X @ b + c) @ D @ (X @ b + c),
        {"X": lambda X, b, c, D: outer((D + D.T) @ (X @ b + c), b)},
    ),
    Identity("tr X²", "X:nn", lambda X: np.trace(X @ X), {"X": lambda X: 2 * X.T}),
    Identity("tr XᵀB X", "B:mm X:mn", lambda B, X: np.trace(X.T @ B @ X), {"X": lambda B, X: (B + B.T) @ X}),
    Identity("tr X B Xᵀ", "B:nn X:mn", lambda B, X: np.trace(X @ B @ X.T), {"X": lambda B, X: X @ (B + B.T)}),
    Identity(
        "tr A X B XᵀC",
        "A:pm X:mn B:nn C:mp",
        lambda A, X, B, C: np.trace(A @ X @ B @ X.T @ C),
        {"X": lambda A, X, B, C: A.T @ C.T @ X @ B.T + C @ A @ X @ B},
    ),
    Identity(
        "‖A X B + C‖²",
        "A:pm X:mn B:nq C:pq",
        lambda A, X, B, C: np.linalg.norm(A @ X @ B + C) ** 2,
        {"X": lambda A, X, B, C: 2 * A.T @ (A @ X @ B + C) @ B.T},
    ),
    Identity(
        "tr Xⁿ",
        "X:nn",
        lambda X: np.trace(np.linalg.matrix_power(X, 4)),
        {"X": lambda X: 4 * np.linalg.matrix_power(X, 3).T},
    ),
    Identity(
        "aᵀX⁻¹b",
        "a:n X:nn b:n",
        lambda a, X, b: a @ np.linalg.inv(X) @ b,
        {"X": lambda a, X, b: -inv(X).T @ outer(a, b) @ inv(X).T},
    ),
    Identity(
        "tr(A X⁻¹B)",
        "A:pn X:nn B:np",
        lambda A, X, B: np.trace(A @ np.linalg.inv(X) @ B),
        {"X": lambda A, X, B: -(inv(X) @ B @ A @ inv(X)).T},
    ),
    Identity("det X", "X:nn", lambda X: np.linalg.det(X), {"X": lambda X: det(X) * inv(X).T}),
    Identity("log det X", "X:nn", lambda X: mg.logdet(X), {"X": lambda X: inv(X).T}),
    Identity("log det(XᵀX)", "X:qp", lambda X: mg.logdet(X.T @ X), {"X": lambda X: 2 * X @ inv(X.T @ X)}),
    Identity(
        "log det(A X B + C)",
        "A:nm X:mp B:pn C:nn",
        lambda A, X, B, C: mg.logdet(A @ X @ B + C),
        {"X": lambda A, X, B, C: A.T @ inv(A @ X @ B + C).T @ B.T},
    ),
    Identity(
        "Gaussian negative log-likelihood",
        "S:nn r:n",
        lambda S, r: mg.logdet(S) / 2 + r @ np.linalg.inv(S) @ r / 2,
        {"S": lambda S, r: inv(S).T / 2 - inv(S).T @ outer(r, r) @ inv(S).T / 2},
    ),
    Identity(
        "Gaussian negative log-likelihood, Σ symmetric",
        "S:nn:symmetric r:n",
        lambda S, r: mg.logdet(S) / 2 + r @ np.linalg.solve(S, r) / 2,
        {"S": lambda S, r: inv(S) / 2 - inv(S) @ outer(r, r) @ inv(S) / 2},
    ),
    Identity("‖X − U V‖²", "X:mn U:mp V:pn", lambda X, U, V: np.linalg.norm(X - U @ V) ** 2, FACTORIZATION),
    Identity("Σ (X − U V)²", "X:mn U:mp V:pn", lambda X, U, V: np.sum((X - U @ V) ** 2), FACTORIZATION),
    Identity(
        "‖W ⊙ (X − U V)‖²",
        "W:mn X:mn U:mp V:pn",
        lambda W, X, U, V: np.linalg.norm(W * (X - U @ V)) ** 2,
        {"V": lambda W, X, U, V: -2 * U.T @ (W * W * (X - U @ V))},
    ),
    Identity(
        "‖A ⊙ X − B‖²",
        "A:mn X:mn B:mn",
        lambda A, X, B: np.linalg.norm(A * X - B) ** 2,
        {"X": lambda A, X, B: 2 * A * (A * X - B)},
    ),
    Identity(
        "aᵀf(A X B)b",
        "a:p A:pm X:mn B:nq b:q",
        lambda a, A, X, B, b: a @ np.sin(A @ X @ B) @ b,
        {"X": lambda a, A, X, B, b: A.T @ (outer(a, b) * np.cos(A @ X @ B)) @ B.T},
    ),
    Identity("aᵀdiag(X)", "a:n X:nn", lambda a, X: a @ np.diag(X), {"X": lambda a, X: diag(a)}),
    Identity(
        "tr(A ⊗ X)",
        "A:mm X:nn",
        lambda A, X: np.trace(np.kron(A, X)),
        {"X": lambda A, X: trace(A) * eye(len(X))},
    ),
)


def deltas(X):
    """δ[i,k] δ[j,l]."""
    return einsum("ik,jl->ijkl", eye(X.shape[0]), eye(X.shape[1]))


MATRIX_BY_MATRIX = by_table(
    Identity("X", "X:mn", lambda X: X, {"X": deltas}, lambda X: eye(X.size)),
    Identity(
        "Xᵀ",
        "X:mn",
        lambda X: X.T,
        {"X": lambda X: einsum("il,jk->ijkl", eye(X.shape[1]), eye(X.shape[0]))},
        lambda X: commutation(*X.shape),
    ),
    Identity(
        "A X B",
        "A:pm X:mn B:nq",
        lambda A, X, B: A @ X @ B,
        {"X": lambda A, X, B: einsum("ik,lj->ijkl", A, B)},
        lambda A, X, B: kron(B.T, A),
    ),
    Identity(
        "X²",
        "X:nn",
        lambda X: X @ X,
        {"X": lambda X: einsum("ik,lj->ijkl", eye(len(X)), X) + einsum("ik,jl->ijkl", X, eye(len(X)))},
        lambda X: kron(X.T, eye(len(X))) + kron(eye(len(X)), X),
    ),
    Identity(
        "XᵀX",
        "X:mn",
        lambda X: X.T @ X,
        {"X": lambda X: einsum("li,kj->ijkl", eye(X.shape[1]), X) + einsum("lj,ki->ijkl", eye(X.shape[1]), X)},
        lambda X: (eye(X.shape[1] ** 2) + commutation(X.shape[1], X.shape[1])) @ kron(eye(X.shape[1]), X.T),
    ),
    Identity(
        "X Xᵀ",
        "X:mn",
        lambda X: X @ X.T,
        {"X": lambda X: einsum("ik,jl->ijkl", eye(len(X)), X) + einsum("jk,il->ijkl", eye(len(X)), X)},
        lambda X: (eye(len(X) ** 2) + commutation(len(X), len(X))) @ kron(X, eye(len(X))),
    ),
    Identity(
        "X⁻¹",
        "X:nn",
        lambda X: np.linalg.inv(X),
        {"X": lambda X: -einsum("ik,lj->ijkl", inv(X), inv(X))},
        lambda X: -kron(inv(X).T, inv(X)),
    ),
    Identity(
        "f.(X)",
        "X:mn",
        lambda X: np.sin(X),
        {"X": lambda X: einsum("ij,ik,jl->ijkl", np.cos(X), eye(X.shape[0]), eye(X.shape[1]))},
        lambda X: diag(np.cos(X).ravel("F")),
    ),
    Identity(
        "tr(X) X",
        "X:nn",
        lambda X: np.trace(X) * X,
        {"X": lambda X: trace(X) * deltas(X) + einsum("ij,kl->ijkl", X, eye(len(X)))},
        lambda X: trace(X) * eye(X.size) + outer(X.ravel("F"), eye(len(X)).ravel("F")),
    ),
    Identity(
        "X a",
        "X:mn a:n",
        lambda X, a: X @ a,
        {"X": lambda X, a: einsum("ik,l->ikl", eye(len(X)), a)},
        lambda X, a: kron(a, eye(len(X))),
    ),
)
