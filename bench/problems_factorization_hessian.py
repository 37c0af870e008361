"""Implementations of second derivatives of factorization losses: dense, as a product, in a Newton step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import cho_factor, cho_solve, get_blas_funcs, get_lapack_funcs

import matgrad as mg
from bench.peers import (
    Implementation,
    anp,
    autograd,
    by_autograd,
    by_jax,
    by_numpy,
    by_tensorgrad,
    by_torch,
    cannot,
    compiled,
    jax,
    jnp,
    ours_as,
    tensorgrad,
    torch,
    transformed,
)
from bench.problems_factorization import factors, in_tensorgrad, loss
from bench.problems_quadratic import unwritten
from matgrad.closed_form import factorization_gradient, factorization_hessian


def jax_loss(V, U, X):
    return ((X - U @ V) ** 2).sum()


def product(n: int, m: int, k: int, dtype: str = "float64") -> Iterator[Implementation]:
    """(2UᵀU ⊗ I) v, from U on: the Hessian by V is created and multiplied by one vector."""
    U, V = factors(n, m, k, dtype)
    v = np.random.default_rng(m).standard_normal(k * m).astype(dtype)
    X = np.random.default_rng(n).standard_normal((n, m)).astype(dtype)
    syrk, symm = get_blas_funcs(("syrk", "symm"), dtype=dtype)

    def by_dot(U, v):
        G = U.T.dot(U)
        G *= 2
        return G.dot(v.reshape(k, m)).reshape(-1)

    def scaled_last(U, v):
        H = U.T.dot(U).dot(v.reshape(k, m))
        H *= 2
        return H.reshape(-1)

    def two_thin_products(U, v):
        H = U.T.dot(U.dot(v.reshape(k, m)))
        H *= 2
        return H.reshape(-1)

    def syrk_symm(U, v):
        G = syrk(2.0, U.T)
        return symm(1.0, G, v.reshape(k, m).T, side=1).T.reshape(-1)

    symbols = mg.matrices("X U V")
    direction = mg.matrix("W")
    gradient = loss(*symbols).diff(symbols[2])
    derived = gradient.diff(symbols[2])
    product_of = mg.compile(np.sum(gradient * direction).diff(symbols[2]), [symbols[1], direction])
    hessian = mg.hessian(loss, 2, structured=True)
    yield ours_as("closed_form.factorization_hessian @ v", lambda U, v: factorization_hessian(U, m) @ v, U, v)
    yield transformed("compile ∂(g · v)/∂V", lambda U, v: product_of(U, v.reshape(k, m)).reshape(-1), U, v)
    yield transformed("diff, structured @ v", lambda U, V, v: derived.structured(U=U, V=V) @ v, U, V, v)
    yield transformed("hessian structured @ v", lambda X, U, V, v: hessian(X, U, V) @ v, X, U, V, v)
    yield by_numpy("Gram matrix, product", by_dot, U, v)
    yield by_numpy("Gram matrix, product, scaled last", scaled_last, U, v)
    yield by_numpy("two thin products", two_thin_products, U, v)
    yield by_numpy("syrk, symm", syrk_symm, U, v)
    if jax:

        def forward_over_reverse(V, U, X, v):
            return jax.jvp(lambda V: jax.grad(jax_loss)(V, U, X), (V,), (v.reshape(k, m),))[1].reshape(-1)

        def dense(V, U, X, v):
            return jax.hessian(jax_loss)(V, U, X).reshape(k * m, k * m) @ v

        yield by_jax("product by jvp of grad", forward_over_reverse, V, U, X, v)
        if m <= 200:
            yield by_jax("dense hessian", dense, V, U, X, v)
        yield by_jax("by hand", lambda U, v: (2 * (U.T @ U) @ v.reshape(k, m)).reshape(-1), U, v)
    if torch:

        def forward_over_torch(V, U, X, v):
            gradient = torch.func.grad(jax_loss)
            return torch.func.jvp(lambda V: gradient(V, U, X), (V,), (v.view(k, m),))[1].reshape(-1)

        yield by_torch("func.jvp of grad", forward_over_torch, V, U, X, v)
        yield by_torch("by hand", lambda U, v: (U.T @ U).mul_(2).mm(v.view(k, m)).view(-1), U, v)
    if autograd:
        along = autograd.hessian_vector_product(lambda V, U, X: anp.sum((X - anp.dot(U, V)) ** 2))
        by_product = lambda V, U, X, v: along(V, U, X, v.reshape(k, m)).reshape(-1)  # noqa: E731
        yield by_autograd("hessian_vector_product", by_product, V, U, X, v)
    if tensorgrad:
        _, V_, value = in_tensorgrad()
        direction = tensorgrad.Variable("v", **{"r2": V_.shape["r"], "m2": V_.shape["m"]})
        second = value.grad(V_, {"r": "r1", "m": "m1"}).grad(V_, {"r": "r2", "m": "m2"})
        program = by_tensorgrad([second @ direction], {"n": n, "m": m, "r": k}, U=U, v=v.reshape(k, m))
        flat = lambda *tensors: program.call(*tensors).reshape(-1)  # noqa: E731
        yield Implementation("tensorgrad", program.label, flat, program.arguments)


def dense(n: int, k: int, dtype: str = "float64") -> Iterator[Implementation]:
    """
    The Hessian of ‖T − UVᵀ‖²_Ω by U, 2 Σ_m Ω[i,m] V[m,j] V[m,l] δ[i,k], into the same array each time.

    The matrix factorization of Laue, Mitterreiter, Giesen, *Computing Higher Order Derivatives of Matrix and Tensor
    Expressions*, NeurIPS 2018, section 4: square matrices, k = 5, Ω the weights of entries, here those observed.
    """
    generator = np.random.default_rng(n)
    T, U, V = (generator.standard_normal(shape).astype(dtype) for shape in ((n, n), (n, k), (n, k)))
    W = (generator.random((n, n)) < 0.5).astype(dtype)

    def new() -> np.ndarray:
        return unwritten(n, k, n, k, dtype=dtype)

    def outer_products(W, V, out):
        out.fill(0)
        blocks = W.dot((V[:, :, None] * V[:, None, :]).reshape(n, k * k))
        blocks *= 2
        np.einsum("iaib->iab", out)[...] = blocks.reshape(n, k, k)
        return out

    def weighted_products(W, V, out):
        out.fill(0)
        np.einsum("iaib->iab", out)[...] = 2 * np.matmul(V.T * W[:, None], V)
        return out

    def textbook(W, V, out):
        return np.einsum("im,ma,mb,ij->iajb", 2 * W, V, V, np.eye(n, dtype=dtype), out=out, optimize=True)

    def by_jax_loss(U, T, V, W):
        return (W * (T - U @ V.T) ** 2).sum()

    symbols = list(mg.matrices("W T U V"))
    f = np.sum(symbols[0] * (symbols[1] - symbols[2] @ symbols[3].T) ** 2)
    second = f.diff(symbols[2], symbols[2])
    yield compiled(second, symbols, W, T, U, V, out=new())
    yield by_numpy("products of columns, strided diagonal", outer_products, W, V, new())
    yield by_numpy("batched products, strided diagonal", weighted_products, W, V, new())
    yield by_numpy("einsum", textbook, W, V, new())
    if jax:

        def by_hand(W, V):
            blocks = 2 * (W @ (V[:, :, None] * V[:, None, :]).reshape(n, k * k)).reshape(n, k, k)
            return jnp.zeros((n, k, n, k), V.dtype).at[jnp.arange(n), :, jnp.arange(n)].set(blocks)

        yield by_jax("hessian", jax.hessian(by_jax_loss), U, T, V, W)
        yield by_jax("by hand", by_hand, W, V)
    if torch:

        def by_torch_hand(W, V, out):
            blocks = (W @ (V[:, :, None] * V[:, None, :]).view(n, k * k)).mul_(2).view(n, k, k)
            out.zero_().diagonal(0, 0, 2).copy_(blocks.permute(1, 2, 0))
            return out

        if n <= 100:
            yield by_torch("func.hessian", torch.func.hessian(by_jax_loss), U, T, V, W)
        yield by_torch("by hand out=", by_torch_hand, W, V, new())
    if autograd and n <= 20:
        by_autograd_loss = lambda U, T, V, W: anp.sum(W * (T - anp.dot(U, V.T)) ** 2)  # noqa: E731
        yield by_autograd("hessian", autograd.hessian(by_autograd_loss), U, T, V, W)
    if tensorgrad and n > 100:
        yield cannot("tensorgrad", "its version 0.3 compiles this size to zeros")
    elif tensorgrad:
        import tensorgrad.functions as F
        from sympy import Symbol

        i, m, r = Symbol("i"), Symbol("m"), Symbol("r")
        U_, V_ = tensorgrad.Variable("U", i, r), tensorgrad.Variable("V", m, r)
        weights, target = (tensorgrad.Variable(name, i, m) for name in "WT")
        value = F.sum(weights * (target - U_ @ V_) * (target - U_ @ V_))
        second_ = value.grad(U_, {"i": "i1", "r": "r1"}).grad(U_, {"i": "i2", "r": "r2"})
        yield by_tensorgrad([second_], {"i": n, "m": n, "r": k}, W=W, T=T, U=U, V=V)


def newton_step(n: int, m: int, k: int, dtype: str = "float64") -> Iterator[Implementation]:
    """V − H⁻¹g with g = −2Uᵀ(X − UV) and H = 2UᵀU ⊗ I, which is the best V for this U."""
    U, V = factors(n, m, k, dtype)
    X = np.random.default_rng(n).standard_normal((n, m)).astype(dtype)
    posv = get_lapack_funcs("posv", dtype=dtype)
    gemm, syrk = get_blas_funcs(("gemm", "syrk"), dtype=dtype)

    def normal_equations(X, U, V):
        return np.linalg.solve(U.T @ U, U.T @ X)

    def residual(X, U, V):
        return V - np.linalg.solve(U.T @ U, U.T @ (U @ V - X))

    def cholesky(X, U, V):
        return cho_solve(cho_factor(U.T @ U, check_finite=False), U.T @ X, check_finite=False)

    def by_posv(X, U, V):
        return posv(U.T.dot(U), U.T.dot(X))[1]

    def by_blas(X, U, V):
        return posv(syrk(1.0, U.T), gemm(1.0, X.T, U.T, trans_b=1).T, overwrite_a=1)[1]

    def by_closed_form(X, U, V):
        return V - factorization_hessian(U, m).solve(factorization_gradient(X, U, V)[1])

    symbols = mg.matrices("X U V")
    f = loss(*symbols)
    gradient, second = f.diff(symbols[2]).compile(*symbols), f.diff(symbols[2], symbols[2])
    hessian, first = mg.hessian(loss, 2, structured=True), mg.grad(loss, 2)
    X_, U_, _ = symbols
    best = np.linalg.solve(U_.T @ U_, U_.T @ X_).compile(*symbols[:2])

    def derived(X, U, V):
        return V - second.structured(U=U, V=V).solve(gradient(X, U, V))

    def traced(X, U, V):
        return V - hessian(X, U, V).solve(first(X, U, V))

    yield ours_as("closed_form.factorization_hessian, solve", by_closed_form, X, U, V)
    yield ours_as("compile, normal equations", best, X, U)
    yield transformed("diff, structured, solve", derived, X, U, V)
    yield transformed("hessian structured, solve", traced, X, U, V)
    yield by_numpy("normal equations", normal_equations, X, U, V)
    yield by_numpy("textbook", residual, X, U, V)
    yield by_numpy("cho_solve", cholesky, X, U, V)
    yield by_numpy("posv", by_posv, X, U, V)
    yield by_numpy("syrk, gemm, posv", by_blas, X, U, V)
    if jax:

        def dense(V, U, X):
            H, g = jax.hessian(jax_loss)(V, U, X), jax.grad(jax_loss)(V, U, X)
            return V - jnp.linalg.solve(H.reshape(k * m, k * m), g.reshape(-1)).reshape(k, m)

        def by_hand(X, U):
            return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(U.T @ U), True), U.T @ X)

        if m <= 200:
            yield by_jax("hessian, solve", dense, V, U, X)
        yield by_jax("by hand", by_hand, X, U)
    if torch:

        def by_torch_hand(X, U):
            return torch.cholesky_solve(U.T @ X, torch.linalg.cholesky(U.T @ U))

        def dense_torch(V, U, X):
            H, g = torch.func.hessian(jax_loss)(V, U, X), torch.func.grad(jax_loss)(V, U, X)
            return V - torch.linalg.solve(H.view(k * m, k * m), g.reshape(-1)).view(k, m)

        if m <= 20:
            yield by_torch("func.hessian, solve", dense_torch, V, U, X)
        yield by_torch("by hand", by_torch_hand, X, U)
    if autograd and m <= 20:
        by_autograd_loss = lambda V, U, X: anp.sum((X - anp.dot(U, V)) ** 2)  # noqa: E731
        gradient_of, hessian_of = autograd.grad(by_autograd_loss), autograd.hessian(by_autograd_loss)

        def step(V, U, X):
            H = hessian_of(V, U, X).reshape(k * m, k * m)
            return V - np.linalg.solve(H, gradient_of(V, U, X).reshape(-1)).reshape(k, m)

        yield by_autograd("hessian, solve", step, V, U, X)
    if tensorgrad and m <= 200:
        _, V_, value = in_tensorgrad()
        once = value.grad(V_, {"r": "r1", "m": "m1"})
        program = by_tensorgrad([once, once.grad(V_, {"r": "r2", "m": "m2"})], {"n": n, "m": m, "r": k}, X=X, U=U, V=V)

        def solved(*tensors):
            g, H = program.call(*tensors)
            return torch.from_numpy(V) - torch.linalg.solve(H.reshape(k * m, k * m), g.reshape(-1)).view(k, m)

        yield Implementation("tensorgrad", "compile_to_callable, torch.linalg.solve", solved, program.arguments)
