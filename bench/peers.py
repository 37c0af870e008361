"""Which libraries take part, and how a function and its arguments become an implementation that can be timed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import matgrad as mg
from matgrad import closed_form

#: Libraries other than matgrad, in the order of the report's columns. NumPy stands for NumPy and SciPy.
PEERS = ("numpy", "jax", "torch", "autograd", "tensorgrad")
OURS = "matgrad"


@dataclass(frozen=True)
class Implementation:
    """One way to compute a problem: `call(*arguments)`."""

    peer: str
    label: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    excuse: str = ""  # why it is timed but doesn't count as the best peer
    missing: str = ""  # why the library can't compute the problem: there is nothing to call
    tuned: bool = False  # one of our closed forms, which the derived expressions are compared with

    def __str__(self) -> str:
        return f"{self.peer}: {self.label}"


@dataclass(frozen=True)
class Work:
    """What a problem asks for at least: floating-point operations, numbers read from and written to memory."""

    flops: float = 0
    read: float = 0
    write: float = 0


def _load(name: str) -> Any:
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


jax = _load("jax")
torch = _load("torch")
autograd = _load("autograd")
tensorgrad = _load("tensorgrad") if torch else None
jnp = _load("jax.numpy") if jax else None
anp = _load("autograd.numpy") if autograd else None
if jax:
    jax.config.update("jax_enable_x64", True)


def absent() -> list[str]:
    """Return the names of the peers that aren't installed."""
    return [name for name in PEERS if not importlib.util.find_spec(name)]


def ours(name: str, *arguments: Any, **keywords: Any) -> Implementation:
    """Return our closed form of that name."""
    function = getattr(closed_form, name)
    label = f"closed_form.{name}" + (" out=" if "out" in keywords else "")
    call = (lambda *operands: function(*operands, **keywords)) if keywords else function
    return Implementation(OURS, label, call, arguments, tuned=True)


def ours_as(label: str, function: Callable[..., Any], *arguments: Any) -> Implementation:
    """Return a function of our closed forms."""
    return Implementation(OURS, label, function, arguments, tuned=True)


def compiled(results: Any, symbols: Sequence[mg.Expr], *arguments: Any, out: Any = None) -> Implementation:
    """Return expressions, or one, compiled as a function of the symbols."""
    function = mg.compile(results, symbols)
    if out is None:
        return Implementation(OURS, "compile", function, arguments)
    return Implementation(OURS, "compile out=", lambda *operands: function(*operands, out=out), arguments)


def mapped(results: Any, symbols: Sequence[mg.Expr], *arguments: Any) -> Implementation:
    """Return expressions, or one, compiled as a function of the symbols and called for a stack of arguments."""
    return Implementation(OURS, "compile, map", mg.compile(results, symbols).map, arguments)


def transformed(label: str, function: Callable[..., Any], *arguments: Any) -> Implementation:
    """Return what one of our transforms made of a NumPy function."""
    return Implementation(OURS, label, function, arguments)


def cannot(peer: str, reason: str) -> Implementation:
    """Return the remark that a library can't compute the problem."""
    return Implementation(peer, "", lambda: None, missing=reason)


def by_numpy(label: str, function: Callable[..., Any], *arguments: Any, excuse: str = "") -> Implementation:
    """Return an implementation on NumPy arrays."""
    return Implementation("numpy", label, function, arguments, excuse)


def by_jax(label: str, function: Callable[..., Any], *arguments: Any) -> Implementation:
    """Return the function compiled by `jax.jit`, its array arguments on the device, waiting for its result."""
    compiled, ready = jax.jit(function), jax.block_until_ready
    on_device = tuple(jnp.asarray(argument) for argument in arguments)
    return Implementation("jax", f"jit, {label}", lambda *operands: ready(compiled(*operands)), on_device)


def by_torch(label: str, function: Callable[..., Any], *arguments: Any) -> Implementation:
    """Return the function on tensors that share the arrays' memory."""
    tensors = tuple(
        torch.from_numpy(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments
    )
    return Implementation("torch", label, function, tensors)


def by_autograd(label: str, function: Callable[..., Any], *arguments: Any) -> Implementation:
    """Return the function, written with `autograd.numpy`, on NumPy arrays."""
    return Implementation("autograd", label, function, arguments)


def by_tensorgrad(results: Sequence[Any], sizes: Mapping[str, int], **arrays: np.ndarray) -> Implementation:
    """
    Return the PyTorch program that tensorgrad makes of expressions; `arrays` are the values of its variables by name.

    It is called with plain tensors: tensorgrad's own wrapper binds them by the names of their axes, which PyTorch
    no longer has, and would take more time.
    """
    from sympy import Symbol
    from tensorgrad.compiler import compile_to_callable

    program = compile_to_callable(*results)
    tensors = tuple(torch.from_numpy(arrays[variable.name]) for variable in program.vars)
    generated = program.codegen.specialize({Symbol(k): n for k, n in sizes.items()}, dtype=tensors[0].dtype)
    plans = zip(results, program.outputs, strict=True)
    orders = [[axes.index(edge) for edge in result.edges] for result, (_, axes) in plans]

    def call(*tensors: Any) -> Any:
        with torch.no_grad():
            values = tuple(value.permute(order) for value, order in zip(generated(*tensors), orders, strict=True))
        return values if len(values) > 1 else values[0]

    return Implementation("tensorgrad", "compile_to_callable", call, tensors)
