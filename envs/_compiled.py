"""How the package compiles its inner loops with numba.

`compiled` is for functions that steer, `vectorised` for loops over the rows of a block. The difference
is a promise: **every array that one call of a vectorised function gets is an array apart from all the
others**. The compiler then need not check, loop by loop and call by call, whether two rows overlap,
and turns the loop into vector instructions. So pass rows (one-dimensional, contiguous, each only once
in a call) as separate arguments. A row that is read and written is one argument.

The compiled code is kept on disk. The cache of a function notices changes of its own file only: keep
what a compiled function calls in the same file, or its callers run the old code. What is here is
applied by name in each file and compiled there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,  # the compiled code allocates nothing; counting references to arrays would take most of its time
}


LINE = 64
"""Bytes of a cache line, and of the widest vector: a row that begins elsewhere costs two accesses for one."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function that allocates nothing and holds no lock."""
    return njit(**_OPTIONS)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """The same for a small function on a hot path: its callers contain it, so that no arguments are passed."""
    return njit(**_OPTIONS, forceinline=True)(function)


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


@intrinsic
def at(_context, array, _index):  # type: ignore[no-untyped-def]
    """The address of `array[index]`: of its first number, if that is a row. `index` is not checked.

    A row as an array is seven numbers to pass in a call; as an address it is one.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        stride = cgutils.unpack_tuple(builder, view.strides, kind.ndim)[0]
        base = builder.ptrtoint(view.data, stride.type)
        return builder.inttoptr(builder.add(base, builder.mul(stride, arguments[1])), view.data.type)

    return types.CPointer(array.dtype)(array, types.intp), generate


@intrinsic
def prefetch(_context, array, _index):  # type: ignore[no-untyped-def]
    """Have the cache line of `array[index]` fetched while other work goes on. `index` is not checked."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        line = builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", [line.type], ir.FunctionType(ir.VoidType(), [line.type, number, number, number])
        )
        builder.call(function, [line, number(0), number(3), number(1)])  # to read, to keep near, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
