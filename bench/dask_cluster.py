"""Gradients on a cluster of local processes against the same in memory: python -m bench.dask_cluster."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import matgrad as mg
from bench.timing import seconds_to_text

COLUMNS = 1024


def least_squares(X: Any, y: Any, w: Any) -> Any:
    return np.sum((X @ w - y) ** 2)


def logistic(X: Any, y: Any, w: Any) -> Any:
    return np.mean(np.log(1 + np.exp(-y * (X @ w)))) + np.sum(w**2)


def factorization(X: Any, U: Any, V: Any) -> Any:
    return np.sum((X - U @ V) ** 2)


def problems(rows: int, blocks: int) -> dict[str, tuple[Callable[..., Any], int | tuple[int, ...], list[Any]]]:
    """Return losses by name, by which arguments their gradients are, and arguments: Dask arrays are in the workers."""
    random = da.random.default_rng(0)
    length = -(-rows // blocks)
    X = random.random((rows, COLUMNS), chunks=(length, -1)).persist()
    y = random.standard_normal(rows, chunks=length).persist()
    U = random.standard_normal((rows, 32), chunks=(length, -1)).persist()
    here = np.random.default_rng(0)
    w, V = here.standard_normal(COLUMNS) / COLUMNS, here.standard_normal((32, COLUMNS))
    return {
        "least squares": (least_squares, 2, [X, y, w]),
        "logistic regression": (logistic, 2, [X, y, w]),
        "factorization, r = 32": (factorization, (1, 2), [X, U, V]),
    }


def seconds(call: Callable[..., Any], arguments: list[Any]) -> float:
    """Return how long a call takes; a gradient that stays in the workers is waited for."""
    start = time.perf_counter()
    _, gradient = call(*arguments)
    for part in gradient if isinstance(gradient, tuple) else (gradient,):
        if isinstance(part, da.Array):
            part.map_blocks(_nothing, dtype=part.dtype, chunks=(1, 1)).compute()
    return time.perf_counter() - start


def _nothing(block: np.ndarray) -> np.ndarray:
    return block[:1, :1]


def main() -> None:
    """Print a row for each loss: the least time of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2, help="size of the matrix X (default: 2)")
    parser.add_argument("--blocks", type=int, default=8, help="blocks that it is cut into (default: 8)")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each (default: 2)")
    parser.add_argument("--rounds", type=int, default=15, help="calls of both, in turn (default: 15)")
    options = parser.parse_args()
    mg.set_num_threads(options.workers)
    cluster = LocalCluster(n_workers=options.workers, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, Client(cluster):
        print("| loss | in memory | on Dask | ratio |")
        print("| --- | --- | --- | --- |")
        for name, (loss, argnums, arguments) in problems(
            int(options.gigabytes * 2**27 / COLUMNS), options.blocks
        ).items():
            arrays = [x.compute() if isinstance(x, da.Array) else x for x in arguments]
            here, there = mg.value_and_grad(loss, argnums), mg.interop.dask.value_and_grad(loss, argnums)
            times = [(seconds(here, arrays), seconds(there, arguments)) for _ in range(options.rounds)]
            memory, dask = (min(column) for column in zip(*times, strict=True))
            print(f"| {name} | {seconds_to_text(memory)} | {seconds_to_text(dask)} | {dask / memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
