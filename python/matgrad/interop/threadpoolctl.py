"""The pool of threads as threadpoolctl sees it: `threadpool_info` lists it, `threadpool_limits` limits it."""

from __future__ import annotations

from functools import cache

import threadpoolctl

from .. import _core


class MatgradController(threadpoolctl.LibController):  # type: ignore[misc]
    """
    What threadpoolctl asks of the pool of threads; see `register`.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.interop.threadpoolctl.MatgradController.user_api
    'matgrad'
    """

    user_api = "matgrad"
    internal_api = "matgrad"
    filename_prefixes = ("_core",)  # of the extension module; other packages' have not the symbols
    check_symbols = ("matgrad_get_num_threads", "matgrad_set_num_threads")

    def get_num_threads(self) -> int:
        """Return the number of threads of a computation."""
        return int(self._get_symbol("matgrad_get_num_threads")())

    def set_num_threads(self, num_threads: int) -> None:
        """Set the number of threads of computations that begin afterwards, in all threads of the process."""
        self._get_symbol("matgrad_set_num_threads")(num_threads)

    def get_version(self) -> str:
        """Return the version of matgrad."""
        return _core.__version__


@cache
def register() -> None:
    """
    Let threadpoolctl know of the pool of threads.

    That is done already if threadpoolctl was imported before matgrad; calling it again does nothing.

    See Also
    --------
    matgrad.set_num_threads : Set the number of threads without threadpoolctl.

    Examples
    --------
    >>> import matgrad as mg
    >>> from threadpoolctl import threadpool_limits
    >>> mg.interop.threadpoolctl.register()
    >>> with threadpool_limits(limits=1):
    ...     mg.get_num_threads()
    1
    """
    threadpoolctl.register(MatgradController)
