"""How the package compiles its inner loops with numba.

`compiled` is for functions that steer, `vectorised` for loops over the rows of a block. The difference
is a promise: **no two arrays that one call of a vectorised function gets share memory**. The compiler
then need not check, loop by loop and call by call, whether rows overlap, and turns the loop into
vector instructions. So pass each row only once in a call, as an argument of its own: a contiguous
array with one axis, or its address (`at`). A row that is read and written is one argument.

The compiled code is kept on disk. By itself numba's cache of a function would notice changes of its own
file only, and its callers in other files would run the old code; so it is stamped with all files of
compiled code together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,  # the compiled code allocates nothing; counting references to arrays would take most of its time
}

LINE = 64
"""Bytes of a cache line, and of the widest vector: a row that begins elsewhere costs two accesses for one."""


_STAMP = tuple(
    (path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(Path(__file__).parent.glob("_*.py"))
)
"""What the compiled code on disk was made from."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function that allocates nothing and holds no lock."""
    return _stamped(njit(**_OPTIONS)(function))


def inlined(function: Callable[..., Any]) -> Any:
    """The same for a small function on a hot path: its callers contain it, so that no arguments are passed."""
    return _stamped(njit(**_OPTIONS, forceinline=True)(function))


def _stamped(dispatcher: Any) -> Any:
    """Let the cache on disk hold only for the present files; numba has no public way to say so."""
    file: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _STAMP)
    return dispatcher


def vectorised(function: Callable[..., Any]) -> Any:
    """Compile a loop over rows that are all different arrays."""
    dispatcher = compiled(function)
    # numba has the flag but no public option that sets it; without it the loops are as right, and slower
    compiler = getattr(dispatcher, "_compiler", None)
    customize = getattr(compiler, "_customize_flags", None)
    if compiler is None or customize is None:
        return dispatcher

    def without_overlap(flags: Any) -> Any:
        flags = customize(flags)
        if hasattr(flags, "noalias"):
            flags.noalias = True
        return flags

    compiler._customize_flags = without_overlap
    return dispatcher


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that begin on a cache line. Rows stay aligned if their length is a multiple of one."""
    item = np.dtype(dtype).itemsize
    size = int(np.prod(shape))
    memory = np.zeros(size + LINE // item, dtype)
    first = (-memory.ctypes.data % LINE) // item
    return memory[first : first + size].reshape(shape)


def _address(_context: Any, array: Any, _index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        stride = builder.extract_value(view.strides, 0)
        base = builder.ptrtoint(view.data, stride.type)
        return builder.inttoptr(builder.add(base, builder.mul(stride, arguments[1])), view.data.type)

    pointer: Any = types.CPointer
    return pointer(array.dtype)(array, types.intp), generate


def _prefetch(_context: Any, array: Any, _index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        line = builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [line.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [line.type], kind)
        builder.call(function, [line, number(0), number(3), number(1)])  # to read, to keep near, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


at: Any = intrinsic(_address)
"""`at(array, index)` is the address of `array[index]`: of its first number, if that is a row. It is not checked.

A row as an array is seven numbers to pass in a call; as an address it is one."""

prefetch: Any = intrinsic(_prefetch)
"""`prefetch(array, index)` has the cache line of number `index` of contiguous memory fetched, while work goes on."""
