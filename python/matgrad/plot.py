"""Figures of a fitted factorization; needs matplotlib, which the extras `plot` and `demo` bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["images", "predictions"]


def images(originals: NDArray[Any], reconstructions: NDArray[Any], losses: Sequence[float]) -> Figure:
    """
    Draw originals above their reconstructions, and the loss curve.

    Parameters
    ----------
    originals, reconstructions : ndarray, shape (k, height, width)
        As many images as fit beside each other, about ten.
    losses : sequence of float
        The loss before the first and after every iteration.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    grid = figure.add_gridspec(3, len(originals), height_ratios=[1, 1, 2.5])
    darkest = float(np.max(originals))
    for row, (title, pictures) in enumerate([("original", originals), ("reconstruction", reconstructions)]):
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(picture, cmap="gray_r", vmin=0, vmax=darkest)
            axes.set_axis_off()
            if column == 0:
                axes.set_title(title, loc="left", fontsize=9)
    _loss_curve(figure.add_subplot(grid[2, :]), losses)
    return figure


def predictions(actual: NDArray[Any], predicted: NDArray[Any], losses: Sequence[float]) -> Figure:
    """
    Draw the loss curve, and a histogram of predicted against actual values.

    Parameters
    ----------
    actual, predicted : ndarray, shape (k,)
        Observed entries and what the factorization says of them.
    losses : sequence of float
        The loss before the first and after every iteration.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _loss_curve(left, losses)
    low, high = float(np.min(actual)), float(np.max(actual))
    margin = 0.1 * (high - low) or 1.0
    bounds = (low - margin, high + margin)
    *_, image = right.hist2d(actual, np.clip(predicted, *bounds), bins=30, range=(bounds, bounds), cmap="Blues")
    right.plot([low, high], [low, high], color="black", linewidth=0.8)
    right.set(xlabel="actual", ylabel="predicted")
    figure.colorbar(image, ax=right, label="observations")
    return figure


def _loss_curve(axes: Axes, losses: Sequence[float]) -> None:
    axes.semilogy(losses)
    axes.set(xlabel="iteration", ylabel="loss")
    axes.grid(alpha=0.3, which="both")
