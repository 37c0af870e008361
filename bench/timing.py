"""How implementations are checked against each other and timed: in interleaved rounds, each from an idle process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np

from bench.peers import OURS, Implementation

#: A sample repeats its call until it takes so long; a call that takes longer is a sample of its own.
SAMPLE_SECONDS = 2e-3
#: Samples that an implementation takes each time it has its turn.
SAMPLES_PER_TURN = 3
#: An implementation slower than the fastest by this factor only takes part in the first round.
HOPELESS = 20
#: Largest disagreement accepted, relative to the largest element of our result.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}


def seconds_to_text(seconds: float) -> str:
    """Return a duration in the unit that suits it, with three digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


@dataclass
class Timing:
    """What became of an implementation: its samples in seconds per call, or why it has none."""

    implementation: Implementation
    problem: str = ""  # empty if it was timed
    inner: int = 1
    samples: list[float] = field(default_factory=list)

    @property
    def minimum(self) -> float:
        return min(self.samples)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


def as_arrays(result: Any) -> list[np.ndarray]:
    """Return the arrays and numbers of a nested tuple, in order, as NumPy arrays."""
    if isinstance(result, tuple | list):
        return [array for part in result for array in as_arrays(part)]
    return [np.asarray(result)]


def disagreement(result: list[np.ndarray], reference: list[np.ndarray], dtype: str) -> str:
    """Say how a result differs from the reference by more than the tolerance; nothing if it doesn't."""
    if [array.shape for array in result] != [array.shape for array in reference]:
        return f"shapes {[array.shape for array in result]} but ours are {[array.shape for array in reference]}"
    for array, expected in zip(result, reference, strict=True):
        scale = np.max(np.abs(expected), initial=0.0)
        error = np.max(np.abs(array - expected), initial=0.0)
        if not error <= TOLERANCE[dtype] * scale:
            return f"differs from ours by {error:.1e}, where the largest element is {scale:.1e}"
    return ""


def check(implementations: list[Implementation], dtype: str) -> list[Timing]:
    """Run each implementation once and compare its result with ours."""
    reference: list[np.ndarray] | None = None
    timings = []
    for implementation in sorted(implementations, key=lambda one: one.peer != OURS):
        timing = Timing(implementation)
        timings.append(timing)
        if implementation.missing:
            continue
        try:
            result = as_arrays(implementation.call(*implementation.arguments))
        except Exception as error:  # a peer's failure, whatever it raises, is reported and doesn't end the run
            timing.problem = f"failed with {type(error).__name__}: {error}".splitlines()[0]
            continue
        if reference is None:
            reference = [array.copy() for array in result]
        timing.problem = disagreement(result, reference, dtype)
    return timings


def wait_until_idle(longest: float = 0.5) -> None:
    """
    Sleep until no thread of this process works any more.

    OpenBLAS's threads spin for about 0.1 s after their work, OpenMP's for some ms; they would take a core from
    whoever comes next. The kernel may count processor time in ticks of 4 ms, so a window is longer than two.
    """
    deadline = time.perf_counter() + longest
    while time.perf_counter() < deadline:
        used = time.process_time()
        time.sleep(0.01)
        if time.process_time() - used < 1e-3:
            return


def measure(call: Callable[..., Any], arguments: tuple[Any, ...], inner: int) -> float:
    """Return the seconds a call takes, as the mean of `inner` calls."""
    start = time.perf_counter()
    for _ in repeat(None, inner):
        call(*arguments)
    return (time.perf_counter() - start) / inner


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Collect garbage, then not again before the end of the block."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def take_turn(timing: Timing) -> None:
    """Take samples of one implementation, after calls that warm caches and wake threads."""
    call, arguments = timing.implementation.call, timing.implementation.arguments
    wait_until_idle()
    measure(call, arguments, timing.inner)
    timing.samples += [measure(call, arguments, timing.inner) for _ in range(SAMPLES_PER_TURN)]


def time_side_by_side(timings: list[Timing], rounds: int) -> None:
    """Give each implementation without a problem its turn in each round; rounds alternate in direction."""
    running = [timing for timing in timings if not timing.problem and not timing.implementation.missing]
    if not running:
        return
    with without_garbage_collection():
        for timing in running:
            once = measure(timing.implementation.call, timing.implementation.arguments, 1)
            several = max(1, min(100, round(SAMPLE_SECONDS / once)))
            once = measure(timing.implementation.call, timing.implementation.arguments, several)
            timing.inner = max(1, round(SAMPLE_SECONDS / once))
        for done in range(1, rounds + 1):
            for timing in running:
                take_turn(timing)
            if done == 1:
                fastest = min(timing.minimum for timing in running)
                running = [timing for timing in running if timing.minimum < HOPELESS * fastest]
            running.reverse()
