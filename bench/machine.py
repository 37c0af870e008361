"""What the machine is, and what it can do at most: multiply-adds per second and bytes per second."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import matgrad
from bench.timing import wait_until_idle

_SECONDS = 0.5
_MEMORY = 1 << 28
_ALIGNMENT = 4096
_GEMM_SIZE = 2000
_PACKAGES = ("matgrad", "numpy", "scipy", "jax", "jaxlib", "torch", "autograd", "tensorgrad")
#: What a library installs besides NumPy and SciPy.
_INSTALLED = {
    "matgrad": ("matgrad",),
    "JAX": ("jax", "jaxlib", "ml_dtypes", "opt_einsum"),
    "PyTorch": ("torch", "sympy", "mpmath", "networkx"),
    "autograd": ("autograd",),
}


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def installed_megabytes() -> dict[str, float]:
    """Return the sizes of the libraries that are installed, of their dependencies all but NumPy and SciPy."""

    def size(package: str) -> int:
        files = importlib.metadata.files(package) or ()
        paths = {Path(str(file.locate())) for file in files}
        return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())

    sizes = {}
    for library, packages in _INSTALLED.items():
        try:
            sizes[library] = sum(map(size, packages)) / 1e6
        except importlib.metadata.PackageNotFoundError:
            continue
    return sizes


def blas() -> str:
    """Return the BLAS that NumPy was built with."""
    built_with = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built_with['name']} {built_with['version']}"


def _compiled_probe(directory: str) -> ctypes.CDLL | None:
    """Compile probe.c for the highest instruction set that our kernels can use; None without a compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    library = Path(directory, "probe.so")
    levels = sorted(isa for isa in matgrad.available_isas() if isa.startswith("x86-64-"))
    options = ["-O3", *(f"-march={level}" for level in levels[-1:]), "-ffp-contract=fast", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", str(library), str(Path(__file__).with_name("probe.c"))], check=True)
    probe = ctypes.CDLL(str(library))
    for name in ("fma_f64", "fma_f32"):
        getattr(probe, name).restype = ctypes.c_double
        getattr(probe, name).argtypes = ctypes.c_long, ctypes.c_void_p
    probe.read_memory.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
    probe.copy_memory.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    probe.fill_memory.argtypes = ctypes.c_void_p, ctypes.c_size_t
    return probe


def _rate(work: Callable[[int], float], threads: int) -> float:
    """Return the best of several measurements of work(0) + … + work(threads − 1) per second, all at the same time."""
    best, begin = 0.0, time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() - begin < _SECONDS:
            start = time.perf_counter()
            done = sum(pool.map(work, range(threads)))
            best = max(best, done / (time.perf_counter() - start))
    return best


def _limits(probe: ctypes.CDLL, threads: int) -> dict[str, float]:
    """Return the rates of that many threads in units of 1e9 per second."""
    # Ones, so that every page is mapped before it is timed.
    source, target = (np.ones(_MEMORY + _ALIGNMENT, np.uint8) for _ in range(2))
    sinks = np.zeros((threads, 64))
    part = _MEMORY // threads // _ALIGNMENT * _ALIGNMENT

    def address(array: np.ndarray, thread: int) -> int:
        base = int(array.ctypes.data)
        return base + -base % _ALIGNMENT + thread * part

    def sink(thread: int) -> int:
        return int(sinks[thread].ctypes.data)

    def read(thread: int) -> float:
        probe.read_memory(address(source, thread), part, sink(thread))
        return part

    def copy(thread: int) -> float:
        probe.copy_memory(address(target, thread), address(source, thread), part)
        return part

    def zero_fill(thread: int) -> float:
        probe.fill_memory(address(target, thread), part)
        return part

    rounds = 500_000
    rates = {
        "FMA float64 GF/s": _rate(lambda thread: float(probe.fma_f64(rounds, sink(thread))), threads),
        "FMA float32 GF/s": _rate(lambda thread: float(probe.fma_f32(rounds, sink(thread))), threads),
        "copy GB/s": _rate(copy, threads),
        "read GB/s": _rate(read, threads),
        "zero-fill GB/s": _rate(zero_fill, threads),
    }
    return {name: rate / 1e9 for name, rate in rates.items()}


def _best_of(call: Callable[[], Any]) -> float:
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < _SECONDS:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def achieved_gemm(n: int) -> dict[str, float]:
    """Return the rate in GF/s that NumPy's matrix product reaches on all cores."""
    rates = {}
    for dtype in ("float64", "float32"):
        A = np.ones((n, n), dtype)
        out = np.empty_like(A)
        wait_until_idle()
        rates[f"NumPy gemm {dtype} GF/s"] = 2e-9 * n**3 / _best_of(lambda A=A, out=out: np.matmul(A, A, out))
    wait_until_idle()
    return rates


def _numpy_limits() -> dict[str, float]:
    """Return the rates of all cores where there is no compiler: what NumPy reaches instead of what the machine can."""
    gemm = achieved_gemm(_GEMM_SIZE)
    source, target = np.ones((2, _MEMORY // 8))
    return {
        "FMA float64 GF/s": gemm["NumPy gemm float64 GF/s"],
        "FMA float32 GF/s": gemm["NumPy gemm float32 GF/s"],
        "copy GB/s": 1e-9 * _MEMORY / _best_of(lambda: np.copyto(target, source)),
        "read GB/s": 1e-9 * _MEMORY / _best_of(lambda: source.max()),
        "zero-fill GB/s": 1e-9 * _MEMORY / _best_of(lambda: target.fill(0)),
    }


def limits() -> dict[str, Any]:
    """Return the measured limits: of one core and of all cores, and how they were measured."""
    with tempfile.TemporaryDirectory() as directory:
        probe = _compiled_probe(directory)
        if probe is None:
            return {"measured by": "NumPy, no compiler found", "all cores": _numpy_limits()}
        wait_until_idle()
        return {
            "measured by": "probe.c",
            "one core": _limits(probe, 1),
            "all cores": _limits(probe, cores()) | achieved_gemm(_GEMM_SIZE),
        }


def description() -> dict[str, Any]:
    """Return processor, cores, versions and the threads each side uses."""
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": cores(),
        "versions": versions(),
        "BLAS": blas(),
        "installed MB": installed_megabytes(),
        "matgrad ISA": matgrad.active_isa(),
        "matgrad threads": matgrad.get_num_threads(),
        "compiler of Python": platform.python_compiler(),
        "free-threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
    }
