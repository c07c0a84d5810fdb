"""Checking arguments that come from a config or the command line against a function's own signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from echelon.envs.defects import Path, describe_all, dotted

NO_NAMES: frozenset[str] = frozenset()


@lru_cache(maxsize=256)
def arguments_model(function: Callable[..., Any], omitted: frozenset[str] = NO_NAMES) -> type[BaseModel]:
    """A pydantic model with a field for every parameter of the function, of the annotated type."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in omitted
    }
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    return create_model(getattr(function, "__name__", "arguments"), __config__=config, **fields)


def plain(value: Any) -> Any:
    """NumPy numbers and arrays, and ranges, as Python's own numbers and lists."""
    if isinstance(value, range):
        return list(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def argument_defects(
    function: Callable[..., Any], values: Mapping[str, Any], *, omitted: frozenset[str] = NO_NAMES
) -> list[tuple[Path, str]]:
    """What is wrong with the values as arguments of the function: each defect's path and what must hold."""
    model = arguments_model(function, omitted)
    try:
        model.model_validate({name: plain(value) for name, value in values.items()})
    except ValidationError as error:
        return [(path, text.removeprefix(f"{dotted(path)}: ")) for path, text in describe_all(error, model)]
    return []
