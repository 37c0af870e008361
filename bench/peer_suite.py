"""The tests of HIPS/autograd, run with NumPy itself and matgrad's transforms: python -m bench.peer_suite CHECKOUT."""

from __future__ import annotations

import argparse
import collections
import itertools
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matgrad as mg

FILES = ("numpy", "systematic", "linalg", "scalar_ops", "jacobian", "wrappers")

# What the measured files ask for that isn't NumPy's, by the names of the tests; a trailing * stands for any ending.
EXCLUDED = {
    "complex numbers": (
        "systematic::test_imag systematic::test_angle linalg::test_*_complex linalg::test_*_complex[* "
        "linalg::test_eig_real linalg::test_eig_batched"
    ),
    "float16, longdouble and complex arrays": "wrappers::test_dtypes",
    "functions of autograd.numpy that NumPy lacks": (
        "numpy::test_make_diagonal numpy::test_diagonal linalg::test_pinv wrappers::test_custom_where*"
    ),
    "functions that this NumPy has no longer": "systematic::test_row_stack_*",
    "autograd's own classes, names and deprecated wrappers": (
        "wrappers::test_deprecated_* wrappers::test_wrapped_name_and_docs"
    ),
}
"""
Complex arguments among the real ones of a test (`combo_check` of real and complex arrays) are passed over one by one.
"""


# --- autograd's transforms, by ours ---


def unary(operator: Callable[..., Any]) -> Callable[..., Any]:
    """Return an operator of functions of one argument as one of functions of several, by one of them or a tuple."""

    def of_function(fun: Callable[..., Any], argnum: Any = 0, *options: Any, **named: Any) -> Callable[..., Any]:
        def of_arguments(*args: Any, **kwargs: Any) -> Any:
            def along(x: Any) -> Any:
                new = list(args)
                for k, value in [(argnum, x)] if isinstance(argnum, int) else zip(argnum, x, strict=True):
                    new[k] = value
                return fun(*new, **kwargs)

            x = args[argnum] if isinstance(argnum, int) else tuple(args[k] for k in argnum)
            return operator(along, x, *options, **named)

        return of_arguments

    return of_function


def vjp(fun: Callable[[Any], Any], x: Any) -> tuple[Callable[[Any], Any], Any]:
    """Return the pullback and the value, in autograd's order."""
    value, pullback = mg.vjp(fun, x)
    return (lambda u: pullback(u)[0]), value


def jvp(fun: Callable[[Any], Any], x: Any) -> Callable[[Any], tuple[Any, Any]]:
    return lambda v: mg.jvp(fun, (x,), (v,))


def ones(tree: Any) -> Any:
    """Return a tree with ones for its numbers."""
    return mapped(lambda leaf: np.ones(np.shape(leaf)), tree)


def tensor_product(transform: Callable[..., Any], product: Callable[..., Any]) -> Callable[..., Any]:
    """Return the transform of a function's product with a tensor, its last argument."""
    return lambda fun, argnum=0: transform(lambda *args: product(fun, argnum, args[:-1], args[-1]), argnum)


hessian_tensor_product = tensor_product(
    mg.grad, lambda fun, argnum, args, v: np.tensordot(mg.grad(fun, argnum)(*args), v, np.ndim(v))
)
tensor_jacobian_product = tensor_product(
    mg.jacobian, lambda fun, argnum, args, v: np.tensordot(v, fun(*args), axes=np.ndim(v))
)


def make_ggnvp(fun: Callable[..., Any], g: Callable[..., Any] = lambda x: 0.5 * np.sum(x**2, axis=-1)) -> Any:
    """Return the function that multiplies by Jᵀ H J, where H is the Hessian of g at the value."""

    def at(x: Any) -> Callable[[Any], Any]:
        return lambda v: mg.vjp(fun, x)[1](mg.hvp(g, fun(x), mg.jvp(fun, (x,), (v,))[1]))[0]

    return at


# --- autograd's checks ---

STEP, TOLERANCE = 1e-6, 1e-6
RANDOM = np.random.default_rng(1)


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the arrays and numbers of a tree."""
    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        yield from leaves([*tree.values()])
    else:
        yield tree


def mapped(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Return a tree of what a function gives for the numbers of a tree, and those of others like it."""
    if isinstance(tree, dict):
        return {key: mapped(function, tree[key], *(other[key] for other in others)) for key in tree}
    if isinstance(tree, (tuple, list)):
        items = [mapped(function, *parts) for parts in zip(tree, *others, strict=True)]
        return tree._make(items) if hasattr(tree, "_make") else type(tree)(items)
    return function(tree, *others)


def random_like(tree: Any) -> Any:
    return mapped(lambda leaf: RANDOM.standard_normal(np.shape(leaf))[()], tree)


def inner(a: Any, b: Any) -> float:
    return float(sum(np.sum(np.multiply(x, y)) for x, y in zip(leaves(a), leaves(b), strict=True)))


def assert_close(computed: float, expected: float) -> None:
    """Assert as autograd does that two numbers are close."""
    difference = abs(computed - expected)
    assert difference < TOLERANCE or difference < TOLERANCE * abs(computed + expected), (computed, expected)


def check_equivalent(a: Any, b: Any) -> None:
    assert [np.shape(x) for x in leaves(a)] == [np.shape(x) for x in leaves(b)]
    v = random_like(a)
    assert_close(inner(a, v), inner(b, v))


def numerical_jvp(fun: Callable[[Any], Any], x: Any, v: Any) -> Any:
    """Return the derivative along a direction by central differences of the function as NumPy computes it."""
    ahead, behind = (fun(mapped(lambda a, d, h=h: np.add(a, h * d), x, v)) for h in (STEP / 2, -STEP / 2))
    return mapped(lambda a, b: (np.asarray(a) - np.asarray(b)) / STEP, ahead, behind)


@unary
def check_grads(fun: Callable[[Any], Any], x: Any, modes: Sequence[str] = ("fwd", "rev"), order: int = 2) -> None:
    """Compare `jvp` and `vjp`, and their own derivatives up to an order, with differences."""
    v = random_like(x)
    if "fwd" in modes:
        check_equivalent(mg.jvp(fun, (x,), (v,))[1], numerical_jvp(fun, x, v))
        if order > 1:
            check_grads(lambda x, v: mg.jvp(fun, (x,), (v,))[1], (0, 1), modes, order - 1)(x, v)
    if "rev" in modes:
        u = random_like(fun(x))
        adjoint = vjp(fun, x)[0](u)
        assert [np.shape(a) for a in leaves(adjoint)] == [np.shape(a) for a in leaves(x)]
        assert_close(inner(v, adjoint), inner(u, numerical_jvp(fun, x, v)))
        if order > 1:
            check_grads(lambda x, u: vjp(fun, x)[0](u), (0, 1), modes, order - 1)(x, u)


def combo_check(fun: Callable[..., Any], *options: Any, **named: Any) -> Callable[..., None]:
    """Return `check_grads` for all combinations of arguments and keywords, those with complex numbers left out."""

    def check(*args: Any, **kwargs: Any) -> None:
        for values in itertools.product(*args):
            for chosen in itertools.product(*kwargs.values()):
                if not any(np.iscomplexobj(leaf) for leaf in leaves(values)):
                    check_grads(fun, *options, **named)(*values, **dict(zip(kwargs, chosen, strict=True)))

    return check


# --- The run ---


def modules() -> dict[str, Any]:
    """Return what stands for autograd's modules."""
    found = {name: types.ModuleType(name) for name in ("autograd", "autograd.test_util", "autograd.tracer")}
    found["autograd.tracer"].isbox = lambda x: isinstance(x, mg.Expr)
    vars(found["autograd.test_util"]).update(
        check_equivalent=check_equivalent, check_grads=check_grads, combo_check=combo_check
    )
    vars(found["autograd"]).update(
        numpy=np,
        tuple=tuple,
        checkpoint=lambda fun: fun,
        grad=lambda fun, argnum=0: mg.grad(fun, tuple(argnum) if isinstance(argnum, list) else argnum),
        value_and_grad=lambda fun, argnum=0: mg.value_and_grad(
            fun, tuple(argnum) if isinstance(argnum, list) else argnum
        ),
        grad_and_aux=lambda fun, argnum=0: mg.grad(fun, argnum, has_aux=True),
        jacobian=mg.jacobian,
        hessian=mg.hessian,
        elementwise_grad=unary(lambda fun, x: (lambda pullback, y: pullback(ones(y)))(*vjp(fun, x))),
        hessian_tensor_product=hessian_tensor_product,
        tensor_jacobian_product=tensor_jacobian_product,
        make_ggnvp=make_ggnvp,
        make_hvp=unary(lambda fun, x: vjp(mg.grad(fun), x)),
        make_jvp=unary(jvp),
    )
    return {**found, "autograd.numpy": np, "autograd.numpy.random": np.random, "autograd.numpy.linalg": np.linalg}


class Count:
    """Takes the excluded tests out of a run of pytest, and counts the others."""

    def __init__(self) -> None:
        self.passed: collections.Counter[str] = collections.Counter()
        self.total: collections.Counter[str] = collections.Counter()
        self.excluded: collections.Counter[str] = collections.Counter()
        self.failed: list[tuple[str, str]] = []

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        kept = []
        for item in items:
            reason = excluded(f"{item.path.stem.removeprefix('test_')}::{item.name}")
            if reason is None:
                kept.append(item)
            else:
                self.excluded[reason] += 1
        items[:] = kept

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.passed:
            return
        file = Path(report.nodeid.split("::")[0]).stem.removeprefix("test_")
        self.total[file] += 1
        if report.passed:
            self.passed[file] += 1
        else:
            crash = getattr(report.longrepr, "reprcrash", None)
            message = str(report.longrepr) if crash is None else crash.message
            self.failed.append((f"{file}::{report.nodeid.split('::')[1]}", message.split("\n")[0]))


def excluded(test: str) -> str | None:
    """Return why a test is left out; None if it isn't."""
    for reason, patterns in EXCLUDED.items():
        for pattern in patterns.split():
            start, *rest = pattern.split("*")
            if test == pattern or (rest and test.startswith(start) and all(part in test for part in rest)):
                return reason
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="a directory with autograd's repository")
    parser.add_argument("-k", default="", help="run only tests whose names match, as pytest's")
    arguments = parser.parse_args()
    sys.modules.update(modules())
    count = Count()
    tests = [str(arguments.checkout / "tests" / f"test_{name}.py") for name in FILES]
    options = ["-q", "--no-header", "--tb=line", "--no-summary", "-p", "no:cacheprovider", "-c", "/dev/null"]
    pytest.main([*options, "-W", "ignore", "-k", arguments.k, *tests], plugins=[count])
    for test, message in count.failed:
        print(f"{test}: {message[:150]}")
    for name in FILES:
        print(f"{name:12} {count.passed[name]:4} of {count.total[name]}")
    passed, total = count.passed.total(), count.total.total()
    print(f"{'all':12} {passed:4} of {total} ({passed / max(total, 1):.1%})")
    for reason, number in count.excluded.items():
        print(f"{number:4} excluded: {reason}")


if __name__ == "__main__":
    main()
