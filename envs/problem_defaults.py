"""What the problems of the catalogue share: their default horizon, and one value for each of several members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from echelon.envs.codec import Codec
from echelon.envs.demand import Law
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network

DemandSpec = str | Mapping[str, Any] | Law
StockoutRule = Literal["backorder", "lost_sales"]


def default_horizon(network: Network, periods: int | None, warm_up: int | None) -> tuple[int, int]:
    """Periods and warm-up, where they are left open: ten echelon lead times of warm-up, at least 100 periods,
    and 1,000 periods that count; with given periods the warm-up is at most a tenth of them."""
    longest = 10 * int(Codec(network).echelon_cover.max())
    if warm_up is None:
        warm_up = max(100, longest) if periods is None else min(max(100, longest), periods // 10)
    return (1_000 + warm_up if periods is None else periods), warm_up


def one_each(value: Any, count: int, name: str) -> list[Any]:
    """One value per member: a single value is repeated, a list must have the right length."""
    if isinstance(value, str | Mapping | Law) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise ConfigError([f"{name} must be one value or {count} (got {len(value)})"])
    return list(value)
