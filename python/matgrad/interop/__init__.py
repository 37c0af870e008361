"""Adapters to the libraries that matgrad is used with; each is imported when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import dask, jax, scipy, sklearn, threadpoolctl, torch

__all__ = ["dask", "jax", "scipy", "sklearn", "threadpoolctl", "torch"]


def __getattr__(name: str) -> Any:
    """Import an adapter, and with it its library."""
    if name in __all__:
        try:
            return importlib.import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            advice = f"pip install 'matgrad[{name}]'"
            raise ModuleNotFoundError(
                f"mg.interop.{name} needs {error.name}, which is not installed: {advice}", name=error.name
            ) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
