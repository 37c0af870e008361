"""Matrix calculus in closed form: write a matrix function in NumPy, get its derivatives, evaluated by SIMD kernels."""

from . import closed_form
from ._config import active_isa, available_isas, get_num_threads, set_num_threads, show_config
from ._core import __version__

__all__ = [
    "__version__",
    "active_isa",
    "available_isas",
    "closed_form",
    "get_num_threads",
    "set_num_threads",
    "show_config",
]
