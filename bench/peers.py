"""Which libraries take part, and how a function and its arguments become an implementation that can be timed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from matgrad import closed_form

#: Libraries other than matgrad, in the order of the report's columns. NumPy stands for NumPy and SciPy.
PEERS = ("numpy", "jax", "torch", "autograd")
OURS = "matgrad"


@dataclass(frozen=True)
class Implementation:
    """One way to compute a problem: `call(*arguments)`."""

    peer: str
    label: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    excuse: str = ""  # why it is timed but doesn't count as the best peer

    def __str__(self) -> str:
        return f"{self.peer}: {self.label}"


@dataclass(frozen=True)
class Work:
    """What a problem asks for at least: floating-point operations, bytes read from and written to memory."""

    flops: float = 0
    read: float = 0
    write: float = 0


def _load(name: str) -> Any:
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


jax = _load("jax")
torch = _load("torch")
autograd = _load("autograd")
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
    if not keywords:
        return Implementation(OURS, label, function, arguments)
    return Implementation(OURS, label, lambda *operands: function(*operands, **keywords), arguments)


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
