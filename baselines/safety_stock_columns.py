"""The fields of a safety stock: what each must hold, how they are read, and how a function runs over them by chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Numbers = NDArray[Any]
Work = Callable[[Sequence[Floats]], Floats]
"""From chunks of columns, each [n], to a chunk of results [n]."""

MOST = 1e50
"""The largest quantity or time, so that no variance overflows."""
CHUNK = 2**14
"""Rows in a chunk: few enough to stay in the cache of a core."""


@dataclass(frozen=True)
class Field:
    """What each value of a field must hold."""

    least: float = 0.0
    most: float = MOST
    least_itself: bool = True
    """Whether the value may be `least`."""
    most_itself: bool = True

    def kept_by(self, values: Numbers) -> NDArray[np.bool_]:
        """Which values keep the rule; a value that is missing (NaN) does not."""
        low = values >= self.least if self.least_itself else values > self.least
        return np.asarray(low & (values <= self.most if self.most_itself else values < self.most))

    @property
    def rule(self) -> str:
        """The rule in words."""
        low = f"at least {self.least:g}" if self.least_itself else f"above {self.least:g}"
        return f"{low} and {f'at most {self.most:g}' if self.most_itself else f'below {self.most:g}'}"


FIELDS: Mapping[str, Field] = {
    "demand_mean": Field(),
    "demand_sd": Field(),
    "lead_time": Field(),
    "lead_time_sd": Field(),
    "review_period": Field(least_itself=False),
    "order_quantity": Field(least_itself=False),
    "undershoot": Field(least_itself=False),
    "service_level": Field(most=1.0, least_itself=False, most_itself=False),
    "safety_stock": Field(),
    "safety_days": Field(),
}


def read_column(key: str, values: ArrayLike, field: Field) -> Numbers:
    """The values of a field as an array of numbers. Raises `MethodError` with the first value that breaks the rule."""
    array = np.asarray(values)
    if array.dtype.kind == "O":
        array = _numbers(key, array)
    if array.dtype.kind not in "iuf":
        raise MethodError(f"{key} must be numbers, got {array.flat[0] if array.size else array.dtype}")
    # two scans without a temporary array; a missing value makes both NaN, which keeps no rule
    if array.size and not field.kept_by(np.stack([array.min(), array.max()])).all():
        broken = ~field.kept_by(array)
        first = int(np.flatnonzero(broken)[0])
        where = "" if array.size == 1 else f" at position {_position(first, array.shape)}"
        more = f" ({broken.sum()} of {array.size} values break this)" if array.size > 1 else ""
        raise MethodError(f"{key} must be {field.rule}, got {array.flat[first]:g}{where}{more}")
    return array


def _numbers(key: str, array: Numbers) -> Numbers:
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise MethodError(f"{key} must be numbers: {error}") from error


def _position(flat: int, shape: tuple[int, ...]) -> str:
    index = np.unravel_index(flat, shape)
    return str(int(index[0])) if len(index) == 1 else str(tuple(int(i) for i in index))


def by_chunks(work: Work, columns: Mapping[str, Numbers], *, chunk: int = CHUNK, threads: int = 1) -> Floats:
    """What `work` makes of the columns, broadcast to a common shape, `chunk` rows at a time on `threads` threads.

    Only the chunks at work are ever held beside the columns and the result. If each row of the result of
    `work` depends on nothing but its own row, so does the result here, to the bit, for any chunks and threads.
    """
    for key, number in (("chunk", chunk), ("threads", threads)):
        if number < 1:
            raise MethodError(f"{key} must be at least 1, got {number}")
    out = np.empty(common_shape(columns))

    def run(first: int, last: int) -> None:
        rows = np.nditer(  # type: ignore[call-overload]  # the flag "contig" is misspelt in NumPy's types
            [*columns.values(), out],
            ["external_loop", "buffered", "delay_bufalloc", "ranged", "zerosize_ok"],
            [["readonly", "contig"]] * len(columns) + [["writeonly"]],
            np.float64,
            order="C",
            casting="same_kind",
            buffersize=chunk,
        )
        rows.iterrange = (first, last)
        with rows:
            for *inputs, result in rows:
                result[...] = work(inputs)

    edges = [out.size * i // threads for i in range(threads + 1)]
    parts = [(first, last) for first, last in pairwise(edges) if first < last]
    if len(parts) < 2:
        for part in parts:
            run(*part)
        return out
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(run, *zip(*parts, strict=True)))
    return out


def common_shape(columns: Mapping[str, Numbers]) -> tuple[int, ...]:
    """The shape that all columns broadcast to. Raises `MethodError` if there is none."""
    try:
        return np.broadcast_shapes(*(column.shape for column in columns.values()))
    except ValueError as error:
        shapes = ", ".join(f"{key} {column.shape}" for key, column in columns.items())
        raise MethodError(f"the fields must have shapes that broadcast, got {shapes}") from error
