"""The dynamics of one network as a short program: traced on torch, then rid of what this network does not have.

`dynamics.step` serves every network. On one that has, say, a single location without capacities most of what it does
is to add zeros, to multiply by ones and to pick all columns, and when a policy is trained on the CPU these small
operations are most of the time. Here the step is traced once (`make_fx`), what is known to be constant is computed,
what changes nothing is dropped, and what remains is a torch program with the same values and the same gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

Program = fx.GraphModule
_Folded = Tensor | fx.Node

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class Traced:
    """What a function of torch tensors does to arguments of the shapes of an example, operation by operation.

    The function may use the values of its arguments only through torch operations, and no randomness, and no argument
    is ever below 0.
    """

    graph: fx.GraphModule
    example: Sequence[Tensor]

    @classmethod
    def of(cls, function: Callable[..., Sequence[Tensor]], example: Sequence[Tensor]) -> Self:
        """Run the function once on the example and write down what it does."""
        with torch.no_grad():
            return cls(make_fx(lambda *arguments: list(function(*arguments)))(*example), example)

    def specialised(self, constant: Collection[int], results: Sequence[int] | None = None) -> Program:
        """The function where the arguments at `constant` always have the values of the example.

        The program is called with the other arguments alone, in order, and gives all results, or those at `results`.
        It is differentiable as the function is.
        """
        program, _ = _simplified(self.graph, {k: self.example[k] for k in constant}, results)
        return program

    def unchanging(self, candidates: int) -> set[int]:
        """Which of the first `candidates` arguments stay as they are when the function is applied again and again.

        The function's first results are the next values of these arguments, which begin as in the example. The answer
        is the largest set of arguments of which it can be shown, whatever the others are: an induction over the
        applications.
        """
        constant = set(range(candidates))
        while True:
            _, results = _simplified(self.graph, {k: self.example[k] for k in constant})
            kept = {k for k in constant if _same(results[k], self.example[k])}
            if kept == constant:
                return constant
            constant = kept


def _same(result: Any, value: Tensor) -> bool:
    return isinstance(result, Tensor) and result.shape == value.shape and bool(torch.equal(result, value))


def _simplified(
    traced: fx.GraphModule, known: Mapping[int, Tensor], wanted: Sequence[int] | None = None
) -> tuple[fx.GraphModule, list[_Folded]]:
    """The program without its known arguments, with all results or the wanted ones, and what is known of them."""
    writer = _Writer(traced)
    arguments = 0
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            writer.place(node, known.get(arguments))
            arguments += 1
        elif node.op == "get_attr":
            writer.values[node] = getattr(traced, node.target)
        elif node.op == "call_function":
            writer.call(node)
        else:
            return writer.finish(node, wanted)
    raise AssertionError("a traced program ends with its results")


class _Writer:
    """Writes a program anew, node by node; what is constant becomes a tensor, and all else a node."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self.module = torch.nn.Module()
        self.graph = fx.Graph()
        self.values: dict[fx.Node, Any] = {}
        self.written: dict[Any, fx.Node] = {}
        self.constants: dict[int, tuple[Tensor, fx.Node]] = {}

    def place(self, node: fx.Node, value: Tensor | None) -> None:
        """An argument, or the constant that it always is."""
        self.values[node] = self._put(node, self.graph.placeholder(node.name)) if value is None else value

    def call(self, node: fx.Node) -> None:
        """Compute, drop or copy an operation."""
        arguments = fx.node.map_arg(node.args, self.values.__getitem__)
        options = dict(fx.node.map_arg(node.kwargs, self.values.__getitem__))
        found: list[fx.Node] = []
        fx.node.map_arg((arguments, options), lambda part: found.append(part))
        if not found:
            self.values[node] = node.target(*arguments, **options)  # type: ignore[operator]
            return
        rule = RULES.get(node.target)
        shorter = None if rule is None else rule(_shape(node), *arguments)
        if isinstance(shorter, _Instead):
            shorter = self._write(node, shorter.target, shorter.arguments, {})
        self.values[node] = self._write(node, node.target, arguments, options) if shorter is None else shorter

    def _write(self, node: fx.Node, target: Any, arguments: Any, options: Mapping[str, Any]) -> fx.Node:
        """A new node, or one that does the same already."""
        arguments = _map_tensors(arguments, self._constant)
        key = (target, str(arguments), str(options))
        if key not in self.written:
            self.written[key] = self._put(node, self.graph.call_function(target, arguments, dict(options)))
        return self.written[key]

    def _constant(self, value: Tensor) -> fx.Node:
        if id(value) not in self.constants:
            name = f"constant_{len(self.constants)}"
            self.module.register_buffer(name, value)
            self.constants[id(value)] = value, self.graph.get_attr(name)
        return self.constants[id(value)][1]

    def _put(self, old: fx.Node, new: fx.Node) -> fx.Node:
        new.meta["shape"] = _shape(old)
        return new

    def finish(self, node: fx.Node, wanted: Sequence[int] | None) -> tuple[fx.GraphModule, list[_Folded]]:
        """The program, and its results."""
        results = [self.values[result] for result in node.args[0]]  # type: ignore[union-attr, index]
        if wanted is not None:
            results = [results[k] for k in wanted]
        self.graph.output(tuple(_map_tensors(results, self._constant)))
        self.graph.eliminate_dead_code()
        return fx.GraphModule(self.module, self.graph), results


class _Instead:
    """Another operation that gives the same."""

    def __init__(self, target: Any, *arguments: Any) -> None:
        self.target, self.arguments = target, arguments


def _shape(node: Any) -> tuple[int, ...]:
    """The shape of a tensor or of a node of the traced or the written program; nothing fits what has none."""
    if isinstance(node, Tensor):
        return tuple(node.shape)
    if not isinstance(node, fx.Node):
        return ()
    if "shape" in node.meta:
        return tuple(node.meta["shape"])
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else (-1,)


def _map_tensors(part: Any, change: Callable[[Tensor], Any]) -> Any:
    if isinstance(part, Tensor):
        return change(part)
    return type(part)(_map_tensors(x, change) for x in part) if isinstance(part, list | tuple) else part


def _all(part: Any, value: float) -> bool:
    """Whether it is known to be this number throughout."""
    if isinstance(part, Tensor):
        return bool((part == value).all())
    return isinstance(part, int | float) and part == value


def _add(shape: tuple[int, ...], a: Any, b: Any) -> Any:
    if _all(b, 0) and _shape(a) == shape:
        return a
    return b if _all(a, 0) and _shape(b) == shape else None


def _subtract(shape: tuple[int, ...], a: Any, b: Any) -> Any:
    if a is b:
        return torch.zeros(shape)
    return a if _all(b, 0) and _shape(a) == shape else None


def _multiply(shape: tuple[int, ...], a: Any, b: Any) -> Any:
    for one, other in ((a, b), (b, a)):
        if _all(one, 0):
            return torch.zeros(shape)
        if _all(one, 1) and _shape(other) == shape:
            return other
    return None


def _divide(shape: tuple[int, ...], a: Any, b: Any) -> Any:
    if _all(a, 0):
        return torch.zeros(shape)
    return a if _all(b, 1) and _shape(a) == shape else None


def _least(shape: tuple[int, ...], a: Any, b: Any) -> Any:
    for one, other in ((a, b), (b, a)):
        if _all(one, math.inf) and _shape(other) == shape:
            return other
        if _all(one, 0) and _is_argument(other):
            return torch.zeros(shape)
    return None


def _greatest(shape: tuple[int, ...], a: Any, b: Any) -> Any:
    for one, other in ((a, b), (b, a)):
        if _shape(other) == shape and (_all(one, -math.inf) or (_all(one, 0) and _is_argument(other))):
            return other
    return None


def _is_argument(part: Any) -> bool:
    return isinstance(part, fx.Node) and part.op == "placeholder"


def _choose(shape: tuple[int, ...], condition: Any, a: Any, b: Any) -> Any:
    for value, part in ((1, a), (0, b)):
        if isinstance(condition, Tensor) and _all(condition, value) and _shape(part) == shape:
            return part
    return None


def _same_shape(shape: tuple[int, ...], part: Any, *_: Any) -> Any:
    return part if _shape(part) == shape else None


def _running_sum(shape: tuple[int, ...], part: Any, axis: int) -> Any:
    return part if shape[axis] == 1 else None


def _join(_: tuple[int, ...], parts: Sequence[Any], axis: int = 0) -> Any:
    wide = [part for part in parts if _shape(part)[axis] != 0]
    if len(wide) == 1:
        return wide[0]
    return None if len(wide) == len(parts) else _Instead(aten.cat.default, wide, axis)


def _pick(shape: tuple[int, ...], part: Any, indices: Sequence[Any]) -> Any:
    """Columns of a table: all in order, or those of a table that was padded with columns that are not picked."""
    if len(indices) != 2 or indices[0] is not None or not isinstance(indices[1], Tensor):
        return None
    columns = indices[1]
    if isinstance(part, fx.Node) and part.target is aten.cat.default and part.args[1:] == (1,):
        first = part.args[0][0]  # type: ignore[index]
        if columns.ndim == 1 and int(columns.max()) < _shape(first)[1]:
            return _pick(shape, first, indices) or _Instead(aten.index.Tensor, first, indices)
    in_order = torch.arange(_shape(part)[1], device=columns.device)
    return part if columns.shape == in_order.shape and torch.equal(columns, in_order) else None


RULES: dict[Any, Callable[..., Any]] = {
    aten.add.Tensor: _add,
    aten.sub.Tensor: _subtract,
    aten.mul.Tensor: _multiply,
    aten.div.Tensor: _divide,
    aten.minimum.default: _least,
    aten.maximum.default: _greatest,
    aten.where.self: _choose,
    aten.index.Tensor: _pick,
    aten.cat.default: _join,
    aten.cumsum.default: _running_sum,
    aten.slice.Tensor: _same_shape,
    aten.view.default: _same_shape,
    aten.expand.default: _same_shape,
    aten.alias.default: _same_shape,
    aten.clone.default: _same_shape,
    aten.zeros_like.default: lambda shape, *_: torch.zeros(shape),
    aten.ones_like.default: lambda shape, *_: torch.ones(shape),
}
"""For an operation: what gives the same with less, or None. Arguments: the shape of its result, and its own."""
