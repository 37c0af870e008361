"""Implementations of what a new Python process does first: import a library, and compute a gradient with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from bench.peers import OURS, Implementation, autograd, by_numpy, cannot, jax, tensorgrad, torch

#: Programs that print ∂‖X − UV‖²/∂V[0, 0] of the same small arrays.
_ARRAYS = "X, U, V = np.ones((100, 80)), np.full((100, 8), 0.5), np.full((8, 80), 0.5)"
FIRST_GRADIENTS = {
    OURS: f"""
import numpy as np, matgrad as mg
{_ARRAYS}
print(mg.grad(lambda X, U, V: np.sum((X - U @ V) ** 2), 2)(X, U, V)[0, 0])
""",
    "numpy": f"""
import numpy as np
{_ARRAYS}
print((2 * U.T @ (U @ V - X))[0, 0])
""",
    "jax": f"""
import numpy as np, jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
{_ARRAYS}
print(jax.grad(lambda X, U, V: jnp.sum((X - U @ V) ** 2), 2)(X, U, V)[0, 0])
""",
    "torch": f"""
import numpy as np, torch
{_ARRAYS}
X, U, V = (torch.from_numpy(array) for array in (X, U, V))
print(torch.func.grad(lambda X, U, V: ((X - U @ V) ** 2).sum(), 2)(X, U, V)[0, 0].item())
""",
    "autograd": f"""
import autograd, autograd.numpy as np
{_ARRAYS}
print(autograd.grad(lambda X, U, V: np.sum((X - np.dot(U, V)) ** 2), 2)(X, U, V)[0, 0])
""",
}
LIBRARIES = {"jax": jax, "torch": torch, "autograd": autograd}


def run_python(code: str) -> str:
    """Run a program in a new process and return what it prints."""
    # In another directory, so that only what is installed or on PYTHONPATH is found.
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, check=True, cwd=tempfile.gettempdir(), env=os.environ, capture_output=True, text=True
    ).stdout


def imports() -> Iterator[Implementation]:
    """Start Python and import a library."""

    def started(code: str) -> tuple[()]:
        run_python(code)
        return ()

    yield Implementation(OURS, "import numpy, matgrad", started, ("import numpy, matgrad",))
    yield by_numpy("import numpy", started, "import numpy", excuse="the start from which ours is counted")
    for name in ("jax", "torch"):
        if LIBRARIES[name]:
            yield Implementation(name, f"import {name}", started, (f"import {name}",))


def first_gradient() -> Iterator[Implementation]:
    """Start Python, import a library, derive a gradient and evaluate it."""

    def printed(code: str) -> float:
        return float(run_python(code))

    yield Implementation(OURS, "grad", printed, (FIRST_GRADIENTS[OURS],))
    by_hand = FIRST_GRADIENTS["numpy"]
    yield by_numpy("by hand", printed, by_hand, excuse="derives nothing: the start from which ours is counted")
    for name, library in LIBRARIES.items():
        if library:
            yield Implementation(name, "grad", printed, (FIRST_GRADIENTS[name],))
    if tensorgrad:
        yield cannot("tensorgrad", "imports PyTorch, and takes longer than that")
