"""The text parser and the command ``derive``."""

import os
import subprocess
import sys

import numpy as np
import pytest

import matgrad as mg
from matgrad.__main__ import main
from matgrad._parse import ParseError, parse

A, B, X, U, V = mg.matrices("A B X U V")
a, b, x, y = mg.vectors("a b x y")
s, t = mg.scalars("s t")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum((X - U @ V)**2)", np.sum((X - U @ V) ** 2)),
        ("np.linalg.norm(X - U @ V)**2", np.sum((X - U @ V) ** 2)),
        ("norm(x - a)", np.linalg.norm(x - a)),
        ("x.T @ A @ x", x @ A @ x),
        ("tr(A @ X)", np.trace(A @ X)),
        ("trace(inv(X))", np.trace(np.linalg.inv(X))),
        ("log(det(X))", np.log(np.linalg.det(X))),
        ("logdet(X)", mg.logdet(X)),
        ("mg.logsumexp(x)", mg.logsumexp(x)),
        ("sum(X, axis=0, keepdims=True)", np.sum(X, 0, keepdims=True)),
        ("np.sum(X, axis=(0, 1))", np.sum(X)),
        ("X.sum(axis=-1)", np.sum(X, -1)),
        ("norm(X, 1)", np.linalg.norm(X, 1)),
        ("norm(X, 'fro')", np.linalg.norm(X)),
        ("norm(x, np.inf)", np.linalg.norm(x, np.inf)),
        ("einsum('ij,jk->ik', A, B)", A @ B),
        ("where(x > 0, x, 0.5 * x)", np.where(x > 0, x, 0.5 * x)),
        ("abs(x) + exp(-t) * x", np.abs(x) + np.exp(-t) * x),
        ("X[0, 1:] * 2", 2 * X[0, 1:]),
        ("x[..., None]", x[..., None]),
        ("pi * s", np.pi * s),
        ("-x / +2 ** 3", -x / 8),
        ("  (a @ x) * (x @ b)  ", (a @ x) * (x @ b)),
        ("vec(X)", mg.vec(X)),
        ("multi_dot([A, B, X])", A @ B @ X),
        ("slogdet(X)[1]", np.linalg.slogdet(X)[1]),
        ("np.linalg.eigh(X).eigenvectors", np.linalg.eigh(X)[1]),
        ("svd(X, full_matrices=False)[0] @ mg.expm(A)", np.linalg.svd(X, full_matrices=False)[0] @ mg.expm(A)),
    ],
)
def test_text_is_read_as_python_reads_it(text, expected):
    assert parse(text).equals(expected)


@pytest.mark.parametrize(
    ("names", "ndim"),
    [("X Sigma Σ", 2), ("x weights x_1", 1), ("t s r alpha β sigma_1", 0)],
    ids=["matrix", "vector", "scalar"],
)
def test_a_name_says_how_many_axes_a_symbol_has(names, ndim):
    assert {parse(name).ndim for name in names.split()} == {ndim}


def test_options_say_otherwise():
    assert parse("beta @ x", vectors=["beta"]).ndim == 0
    assert parse("c * X", scalars=["c"]).ndim == 2
    assert parse("k @ x", matrices=["k"]).ndim == 1
    assert parse("S.T", symmetric=["S"]).equals(mg.matrix("S", symmetric=True))
    assert parse("sum * x", scalars=["sum"]).ndim == 1


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "syntax", 1),
        ("2\nx", "syntax", 3),
        ("x +", "syntax", 4),
        ("sum(X", "never closed", 4),
        ("x ^ 2", "BitXor.*a power is written", 1),
        ("x @ foo(y)", "no function is called foo", 5),
        ("smu(x)", "is it sum", 1),
        ("np.linalg.nrom(x)", r"is it np\.linalg\.norm", 1),
        ("β + foo(x)", "foo", 5),
        ("x.__class__", "__class__", 1),
        ("x.sum.__globals__", "__globals__", 1),
        ("().__class__.__bases__", "__bases__", 1),
        ("__import__('os').system('ls')", "no function is called __import__", 1),
        ("open('x')", "no function is called open", 1),
        ("lambda: 1", "Lambda", 1),
        ("[y for y in x]", "ListComp", 1),
        ("x if t else y", "IfExp", 1),
        ("(z := x)", "NamedExpr", 2),
        ("f'{x}'", "JoinedStr", 1),
        ("0 < x < 1", "chain of comparisons", 1),
        ("x and y", "BoolOp", 1),
        ("sum(*x)", "Starred", 5),
        ("sum(**x)", "among the arguments", 1),
        ("sum", "its name being taken", 1),
        ("x + sum", "its name being taken", 5),
        ("sum(x, axis=3)", "axis 3", 1),
        ("a + norm(X, 7)", "ord is 7", 5),
        ("t @ x", "scalar", 1),
        ("eigvals(X)", "no function", 1),
        ("sum(x, where=x)", "where", 1),
        ("x + b'y'", "not understood", 5),
        ("x + 1j", "not understood", 5),
    ],
)
def test_an_error_shows_where_it_is(text, message, column):
    with pytest.raises(ParseError, match=f"(?is){message}.*at column {column}\n"):
        parse(text)


def test_text_without_symbols_has_nothing_to_derive():
    for text in ["2", "9**9**9", "np.pi", "'x'"]:
        with pytest.raises(ParseError):
            parse(text)


def test_deep_nesting_is_an_error_and_no_crash():
    with pytest.raises((ParseError, RecursionError)):
        parse("(" * 10_000 + "x" + ")" * 10_000)


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (["--wrt", "V"], "2 Uᵀ(U V − X)"),
        (["--wrt", "V", "--latex"], r"2 U^\top (U V - X)"),
        (["--wrt", "V", "--numpy"], "2 * U.T @ (U @ V - X)"),
        (["--wrt", "V", "--index"], "2 U[k,i] (U[k,l] V[l,j] − X[k,j])"),
        (["--wrt", "U", "--layout", "numerator"], "2 V(U V − X)ᵀ"),
        (["--wrt", "V", "V"], "2 (UᵀU)[i,k] δ[j,l]"),
        (["--wrt", "V", "--wrt", "V"], "2 (UᵀU)[i,k] δ[j,l]"),
    ],
)
def test_derive_prints_the_derivative(options, output, capsys):
    main(["derive", "sum((X - U @ V)**2)", *options])
    assert capsys.readouterr().out == output + "\n"


def test_derive_takes_kinds_of_names(capsys):
    main(["derive", "beta @ x", "--wrt", "x", "--vectors", "beta"])
    assert capsys.readouterr().out == "beta\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x +", "--wrt", "x"], "invalid syntax, at column"),
        (["x @ x", "--wrt", "y"], "no symbol y; it has x"),
        (["x @ x", "--wrt", "x", "x", "x", "--layout", "numerator"], "layout"),
        (["x.tofile('f')", "--wrt", "x"], "no function"),
    ],
)
def test_derive_explains_what_is_wrong(arguments, message):
    with pytest.raises(SystemExit, match=message):
        main(["derive", *arguments])


def test_derive_is_a_command_of_the_module():
    command = [sys.executable, "-m", "matgrad", "derive", "x @ A @ x", "--wrt", "x"]
    done = subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1"}
    )
    assert done.stdout == "(A + Aᵀ)x\n"
