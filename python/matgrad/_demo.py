"""The command `python -m matgrad demo`: fits a low-rank factorization X ≈ U V to real data and shows the result."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ._fit import Fit

DESCRIPTION = "Fit a low-rank factorization X = U V to real data by L-BFGS, and draw the result."
_EXTRA = "pip install 'matgrad[demo]'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the demo."""
    parser.add_argument(
        "--ratings",
        type=Path,
        metavar="FILE",
        help="text of lines 'user item rating [timestamp]', separated by tabs, spaces, commas or '::', such as "
        "MovieLens' u.data; each is an observed entry of X (default: the handwritten digits of scikit-learn)",
    )
    parser.add_argument("--rank", type=_positive, default=16, help="number of columns of U (default: 16)")
    parser.add_argument(
        "--l2", type=_not_negative, help="weight of |U|^2 + |V|^2 in the loss (default: 0.5; for ratings: 5)"
    )
    parser.add_argument("--iterations", type=_positive, default=200, help="at most so many (default: 200)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PNG",
        default=Path("matgrad_demo.png"),
        help="where to write the figure (default: matgrad_demo.png)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the demo; what prevents it is raised as `SystemExit` with a message."""
    if not arguments.output.absolute().parent.is_dir():
        raise SystemExit(f"--output: there is no folder {arguments.output.parent}")
    of_ratings = arguments.ratings is not None
    X: Any
    X, mean = _load_ratings(arguments.ratings) if of_ratings else (_load_digits(), 0.0)
    observed = np.asarray(X.data if of_ratings else X)
    l2 = arguments.l2 if arguments.l2 is not None else 5.0 if of_ratings else 0.5
    if arguments.rank > min(X.shape):
        raise SystemExit(
            f"--rank is {arguments.rank} but X has shape {X.shape}, so that it must be at most {min(X.shape)}"
        )
    try:
        from . import plot
    except ModuleNotFoundError as error:
        raise SystemExit(f"the figure needs {error.name}, which is not installed: {_EXTRA}") from error
    from . import _fit

    title = arguments.ratings.name if of_ratings else "digits"
    print(f"{title}: {X.shape[0]} × {X.shape[1]}, {observed.size} entries observed; rank {arguments.rank}, l2 {l2:g}")

    progress = _Progress(arguments.iterations)
    loss = _fit.matgrad_loss(X, l2)
    fit = _fit.minimize(loss, _fit.random_start(X.shape, arguments.rank), arguments.iterations, progress)
    progress.close()
    fitted = _fit.product_at(_fit.rows_of(X), X.indices, fit.U, fit.V) if of_ratings else fit.U @ fit.V
    _print_summary(fit, observed, fitted)
    ours, numpys = _fit.time_side_by_side([loss, _fit.numpy_loss(X, l2)], fit.U, fit.V)
    print(f"time per gradient   {1e3 * ours:.3g} ms; the same in NumPy {1e3 * numpys:.3g} ms")

    if of_ratings:
        figure = plot.predictions(observed + mean, fitted + mean, fit.losses)
    else:
        chosen = np.linspace(0, len(X) - 1, 12).astype(int)
        figure = plot.images(X[chosen].reshape(-1, 8, 8), fitted[chosen].reshape(-1, 8, 8), fit.losses)
    try:
        figure.savefig(arguments.output, dpi=150)
    except (OSError, ValueError) as error:
        raise SystemExit(f"cannot write the figure: {error}") from error
    print(f"figure              {arguments.output}")


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return number


def _not_negative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of at least 0")
    return number


def _load_digits() -> NDArray[np.float64]:
    """Return the handwritten digits of scikit-learn, 1797 × 64, intensities 0 to 1."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise SystemExit(f"the digits come with scikit-learn, which is not installed: {_EXTRA}") from error
    return np.asarray(load_digits().data, np.float64) / 16


def _load_ratings(path: Path) -> tuple[Any, float]:
    """Return ratings less their mean as a CSR matrix, users by items, and the mean."""
    from ._ratings import read_ratings

    try:
        X = read_ratings(path)
    except (OSError, ValueError) as error:
        raise SystemExit(f"cannot read the ratings: {error}") from error
    mean = float(X.data.mean())
    X.data -= mean
    return X, mean


def _print_summary(fit: Fit, observed: NDArray[np.float64], fitted: NDArray[np.float64]) -> None:
    """Print how well a factorization fits the observed entries."""
    squared = float(np.sum((observed - fitted) ** 2))
    spread = float(np.sum((observed - observed.mean()) ** 2))
    work = f"{len(fit.losses) - 1} iterations, {fit.gradients} gradients, {fit.seconds:.2f} s"
    print(f"loss                {fit.losses[-1]:.6g} after {work}")
    print(f"RMSE                {math.sqrt(squared / observed.size):.4g}")
    print(f"explained variance  {100 * (1 - squared / spread if spread else math.nan):.1f} %")


class _Progress:
    """A progress bar on stderr: one line rewritten on a terminal, else a line for every tenth of the work."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.on_terminal = sys.stderr.isatty()

    def __call__(self, done: int, loss: float) -> None:
        """Show that `done` iterations of the total are done."""
        filled = 30 * done // self.total
        line = f"fitting [{'#' * filled}{'.' * (30 - filled)}] {done}/{self.total}  loss {loss:.6g}"
        if self.on_terminal:
            print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
        elif 10 * done // self.total > 10 * (done - 1) // self.total:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line that was rewritten."""
        if self.on_terminal:
            print(file=sys.stderr)
