"""Configuration: instruction sets, threads, and how this installation was built."""

from __future__ import annotations

from operator import index
from pathlib import Path
from typing import Any, Literal, overload

from . import _core


def available_isas() -> list[str]:
    """
    Instruction sets that this machine can run, narrowest SIMD registers first.

    Returns
    -------
    list of str
        Of ``"baseline"``, ``"x86-64-v3"`` (AVX2 and FMA) and ``"x86-64-v4"`` (AVX-512), those that matgrad has kernels
        for and that both the processor and the operating system support. On arm64, the baseline has NEON.

    See Also
    --------
    active_isa : The one in use.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.available_isas()[0]
    'baseline'
    """
    return _core.available_isas()


def active_isa() -> str:
    """
    Name the instruction set whose kernels are in use.

    It is the last of `available_isas`, or the one that the environment variable ``MATGRAD_ISA`` names when matgrad is
    imported. If this machine can't run that one, or if it is unknown, the import raises `ImportError`.

    Returns
    -------
    str
        One of `available_isas`.

    Notes
    -----
    Results on different instruction sets may differ by rounding errors: sums are taken in a different order.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.active_isa() in mg.available_isas()
    True
    """
    return _core.active_isa()


def get_num_threads() -> int:
    """
    Return the number of threads that a computation uses, the calling one included.

    It is, at first, the value of the environment variable ``MATGRAD_NUM_THREADS`` when matgrad is imported; if that is
    unset, the number of CPUs that the process may run on (its affinity), or that the CPU quota of its cgroup pays for,
    rounded up, if that is less. In a forked child it is 1.

    Returns
    -------
    int
        At least 1.

    See Also
    --------
    set_num_threads : Change it.

    Examples
    --------
    >>> import matgrad as mg
    >>> mg.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(n: int) -> None:
    """
    Set the number of threads that a computation uses, the calling one included.

    It holds for computations that begin afterwards, in all threads of the process. Results don't depend on it, not even
    in their last bit.

    Parameters
    ----------
    n : int
        At least 1; may be more than there are CPUs.

    Raises
    ------
    ValueError
        If `n` is less than 1.
    TypeError
        If `n` is not an integer.

    Notes
    -----
    There is one pool of threads, taken by one computation at a time: one that begins meanwhile in another Python thread
    stays on that thread. Small computations always do.

    Examples
    --------
    >>> import matgrad as mg
    >>> before = mg.get_num_threads()
    >>> mg.set_num_threads(2)
    >>> mg.get_num_threads()
    2
    >>> mg.set_num_threads(before)
    """
    try:
        count = index(n)
    except TypeError:
        raise TypeError(f"set_num_threads: n is a {type(n).__name__} but must be an integer") from None
    if not 1 <= count < 2**31:
        raise ValueError(f"set_num_threads: n is {count} but must be at least 1" + " and below 2**31" * (count > 1))
    _core.set_num_threads(count)


def get_include() -> str:
    """
    Return the folder with the headers of the C++ API.

    Returns
    -------
    str

    See Also
    --------
    get_cmake_dir : The folder with the CMake package.

    Examples
    --------
    >>> import os
    >>> import matgrad as mg
    >>> os.listdir(mg.get_include())
    ['matgrad']
    """
    return str(_installed() / "include")


def get_cmake_dir() -> str:
    """
    Return the folder with the CMake package, for ``cmake -Dmatgrad_DIR=...``.

    Returns
    -------
    str

    See Also
    --------
    get_include : The folder with the headers.

    Examples
    --------
    >>> import os
    >>> import matgrad as mg
    >>> "matgradConfig.cmake" in os.listdir(mg.get_cmake_dir())
    True
    """
    return str(_installed() / "lib" / "cmake" / "matgrad")


def _installed() -> Path:
    """Return the folder with what was compiled; of an editable installation that is not where the sources are."""
    return Path(_core.__file__).parent


@overload
def show_config(mode: Literal["stdout"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, dict[str, Any]]: ...
def show_config(mode: str = "stdout") -> dict[str, dict[str, Any]] | None:
    """
    Show how this installation was built and what it uses on this machine.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as a dictionary.

    Returns
    -------
    dict or None
        With mode "dicts", a dictionary a section.

    Raises
    ------
    ValueError
        If `mode` is something else.

    See Also
    --------
    numpy.show_config : The same of NumPy.

    Examples
    --------
    >>> import matgrad as mg
    >>> config = mg.show_config("dicts")
    >>> sorted(config)
    ['build', 'instruction sets', 'python', 'threads']
    >>> config["instruction sets"]["active"] == mg.active_isa()
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: mode is {mode!r} but must be 'stdout' or 'dicts'")
    config = _config()
    if mode == "dicts":
        return config
    for section, entries in config.items():
        print(f"{section}:")
        for name, value in entries.items():
            print(f"  {name}: {', '.join(value) if isinstance(value, list) else value}")
    return None


def _config() -> dict[str, dict[str, Any]]:
    """Return the sections of `show_config`."""
    import platform
    from importlib.metadata import version

    return {
        "build": {"matgrad": _core.__version__, "compiler": _core.compiler()},
        "instruction sets": {
            "compiled": _core.compiled_isas(),
            "available": _core.available_isas(),
            "active": _core.active_isa(),
        },
        "threads": {"in use": _core.get_num_threads(), "available CPUs": _core.available_cpus()},
        "python": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "scipy": version("scipy"),
        },
    }
