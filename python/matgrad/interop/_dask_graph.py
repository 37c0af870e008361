"""Graphs of Dask for programs over blocks: tasks that compute blocks, and the tree that joins their values."""

from __future__ import annotations

import functools
import hashlib
import operator
import pickle
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
from dask._task_spec import Alias, DataNode, Task, TaskRef
from numpy.typing import NDArray

from .. import _core
from .._blocks import JOINS, Program, Step

_AT_ONCE = 4  # values that one task joins


class File(NamedTuple):
    """Where an array is that is mapped."""

    name: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    order: Any

    @classmethod
    def of(cls, x: Any) -> File | None:
        """Return the file that holds the whole of a mapped array, or None, as where changes are the map's alone."""
        if not isinstance(x, np.memmap) or x.filename is None or x.mode == "c" or isinstance(x.base, np.ndarray):
            return None
        order = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C"
        return cls(str(x.filename), x.dtype, x.offset, x.shape, order)

    def chunked(self, chunks: Any) -> da.Array:
        """Return a Dask array of the file, whose blocks are mapped where they are computed."""
        chunks = da.core.normalize_chunks(chunks, self.shape, dtype=self.dtype)
        meta = np.empty((0,) * len(self.shape), self.dtype)
        return da.map_blocks(_mapped, dtype=self.dtype, chunks=chunks, meta=meta, file=self)


class Graph:
    """
    A program's values as tasks.

    `arrays` are its inputs by their names, NumPy's or Dask's. Blocks have those lengths.
    """

    def __init__(self, program: Program, arrays: Mapping[str, Any], lengths: Sequence[int]) -> None:
        self._cuts = program.cuts
        self._lengths = tuple(length for length in lengths if length) or (0,)
        self._arrays = arrays
        self._name = uuid.uuid4().hex
        self._tasks: dict[Any, Any] = {}
        self._values: dict[str, TaskRef] = {}  # the tasks of what isn't cut, and of inputs that are needed whole
        self._outputs: dict[str, tuple[list[TaskRef], int, int]] = {}  # of blocks: which item, the axis
        self._blocks: dict[str, list[TaskRef]] = {}
        for once, of_blocks in program.passes:
            if once:
                output = self._task(_call, self._sent(once), *map(self._whole, once.arguments))
                self._values.update((name, self._item(output, k)) for k, name in enumerate(once.results))
            if of_blocks:
                self._add_blocks(of_blocks)

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> da.Array:
        """Return a value as a Dask array."""
        chunks: list[tuple[int, ...]] = [(length,) for length in shape]
        if name in self._outputs:
            outputs, k, axis = self._outputs[name]
            chunks[axis] = self._lengths
            blocks = [self._task(_item, output, k, dtype) for output in outputs]
        else:
            axis, blocks = 0, [self._task(_copy, self._whole(name), dtype)]
        key = f"matgrad-{name}-{self._name}"
        places = [tuple(k if other == axis else 0 for other in range(len(shape))) for k in range(len(blocks))]
        for place, block in zip(places, blocks, strict=True):
            self._tasks[key, *place] = Alias((key, *place), block.key)
        return da.Array(self._tasks, key, chunks, dtype or np.float64)

    def _task(self, function: Any, *arguments: Any) -> TaskRef:
        key = f"{function.__name__.strip('_')}-{self._name}-{len(self._tasks)}"
        self._tasks[key] = Task(key, function, *arguments)
        return TaskRef(key)

    def _data(self, kind: str, name: str, value: Any) -> TaskRef:
        """Return a value as a task of its own, which is sent where it is needed once."""
        key = f"{kind}-{name}"
        self._tasks[key] = DataNode(key, value)
        return TaskRef(key)

    def _item(self, output: TaskRef, k: int) -> TaskRef:
        return self._task(operator.getitem, output, k)

    def _sent(self, step: Step) -> TaskRef:
        """Return a function as a task of its own, by a name that is the same in every call."""
        recipe = pickle.dumps(step.function)
        return self._data("function", hashlib.sha256(recipe).hexdigest(), recipe)

    def _array(self, array: NDArray[Any]) -> TaskRef:
        return self._data("array", f"{self._name}-{len(self._tasks)}", array)

    def _keys(self, x: da.Array) -> list[TaskRef]:
        """Return the blocks of an array."""
        (x,) = dask.optimize(x)
        self._tasks |= dict(x.__dask_graph__())
        return list(map(TaskRef, dask.core.flatten(x.__dask_keys__())))

    def _add_blocks(self, step: Step) -> None:
        function, count = self._sent(step), len(self._lengths)
        columns = [self._blocks_of(a) if a in self._cuts else [self._whole(a)] * count for a in step.arguments]
        outputs = [self._task(_call, function, *arguments) for arguments in zip(*columns, strict=True)]
        joined = [k for k, (join, _) in enumerate(step.joins) if join in JOINS]
        for k, (name, (join, axis)) in enumerate(zip(step.results, step.joins, strict=True)):
            if join not in JOINS:
                self._outputs[name] = (outputs, k, axis)
        if joined:
            joins = [step.joins[k][0] for k in joined]
            parts = outputs if len(joined) == len(step.joins) else [self._task(_items, o, joined) for o in outputs]
            while len(parts) > 1:
                parts = [self._task(_joined, joins, *parts[k : k + _AT_ONCE]) for k in range(0, len(parts), _AT_ONCE)]
            self._values.update((step.results[k], self._item(parts[0], place)) for place, k in enumerate(joined))

    def _whole(self, name: str) -> TaskRef:
        """Return the task of the whole of a value."""
        if name not in self._values:
            array = self._arrays[name]
            if file := File.of(array):
                array = file.chunked(-1)
            is_dask = isinstance(array, da.Array)
            self._values[name] = self._keys(array.rechunk(-1))[0] if is_dask else self._array(array)
        return self._values[name]

    def _blocks_of(self, name: str) -> list[TaskRef]:
        """Return the tasks of the blocks of a value."""
        if name not in self._blocks:
            self._blocks[name] = self._cut(name)
        return self._blocks[name]

    def _cut(self, name: str) -> list[TaskRef]:
        whole, axis = self._cuts[name]
        ends = np.cumsum(self._lengths).tolist()
        array = self._arrays.get(whole)
        if array is not None and array.shape[axis] != ends[-1]:
            raise ValueError(
                f"value_and_grad: {whole} has length {array.shape[axis]} along axis {axis} but what is cut into blocks "
                f"has length {ends[-1]}"
            )
        if whole in self._values:
            bounds = zip(self._lengths, ends, strict=True)
            return [self._task(_part, self._values[whole], axis, end - length, end) for length, end in bounds]
        assert array is not None
        chunks = tuple(self._lengths if other == axis else -1 for other in range(array.ndim))
        if file := File.of(array):
            array = file.chunked(chunks)
        if isinstance(array, da.Array):
            return self._keys(array.rechunk(chunks))
        return [self._array(part) for part in np.split(array, ends[:-1], axis)]


# --- Tasks ---

_received = functools.lru_cache(256)(pickle.loads)


def _call(recipe: bytes, *arguments: Any) -> Any:
    """Call a function that was sent, on one thread: the scheduler deals blocks to all."""
    return _core.serially(_received(recipe), *arguments)


def _joined(joins: Sequence[str], *outputs: Any) -> list[Any]:
    return [functools.reduce(JOINS[join], values) for join, *values in zip(joins, *outputs, strict=True)]


def _items(outputs: Any, numbers: Sequence[int]) -> list[Any]:
    return [outputs[k] for k in numbers]


def _item(outputs: Any, k: int, dtype: Any) -> Any:
    return np.asarray(outputs[k], dtype)


def _copy(value: Any, dtype: Any) -> Any:
    return np.array(value, dtype)[()]


def _part(value: NDArray[Any], axis: int, start: int, stop: int) -> NDArray[Any]:
    return value[(slice(None),) * axis + (slice(start, stop),)]


def _mapped(file: File, block_info: Any = None) -> NDArray[Any]:
    """Map a file and return the block of it that Dask asks for."""
    x = np.memmap(file.name, file.dtype, "r", file.offset, file.shape, file.order)
    return x[tuple(slice(start, stop) for start, stop in block_info[None]["array-location"])]
