"""Demand laws: how many units the customers of an outlet ask for in each period.

A law is frozen data with one duty: turn uniform numbers into demand by inversion. Inversion makes
demand monotone in its uniform number, so that two laws fed with the same numbers are as alike as
they can be (common random numbers), and it needs exactly one number per outlet and period, so that
a replication does not depend on the batch that it is part of.

Every law has a calendar of seasons, promotions and trends: see `demand_law`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from echelon.envs.defects import describe_all
from echelon.envs.demand_history import Empirical as Empirical
from echelon.envs.demand_law import Law as Law
from echelon.envs.demand_law import Promotion as Promotion
from echelon.envs.demand_lumpy import Compound as Compound
from echelon.envs.demand_lumpy import Intermittent as Intermittent
from echelon.envs.demand_processes import AR1 as AR1
from echelon.envs.demand_processes import MarkovModulated as MarkovModulated
from echelon.envs.demand_simple import Deterministic as Deterministic
from echelon.envs.demand_simple import Discrete as Discrete
from echelon.envs.demand_simple import DiscreteUniform as DiscreteUniform
from echelon.envs.demand_simple import Gamma as Gamma
from echelon.envs.demand_simple import Geometric as Geometric
from echelon.envs.demand_simple import NegativeBinomial as NegativeBinomial
from echelon.envs.demand_simple import Normal as Normal
from echelon.envs.demand_simple import Poisson as Poisson
from echelon.envs.demand_simple import Uniform as Uniform
from echelon.envs.errors import DemandError, nearest

Demand = Annotated[
    Poisson
    | Geometric
    | NegativeBinomial
    | DiscreteUniform
    | Discrete
    | Uniform
    | Normal
    | Gamma
    | Deterministic
    | Empirical
    | Compound
    | Intermittent
    | AR1
    | MarkovModulated,
    Field(discriminator="law"),
]
"""Any demand law; in YAML a mapping whose key `law` names it."""

LAWS: dict[str, type[Law]] = {
    "poisson": Poisson,
    "geometric": Geometric,
    "negative_binomial": NegativeBinomial,
    "discrete_uniform": DiscreteUniform,
    "discrete": Discrete,
    "uniform": Uniform,
    "normal": Normal,
    "gamma": Gamma,
    "deterministic": Deterministic,
    "empirical": Empirical,
    "compound": Compound,
    "intermittent": Intermittent,
    "ar1": AR1,
    "markov_modulated": MarkovModulated,
}


def as_law(demand: str | Mapping[str, Any] | Law, mean: float | None = None) -> Law:
    """A demand law from a law, its name, or a mapping with its parameters.

    `mean` fills in the law's mean where the mapping leaves it out. Raises `DemandError`.
    """
    if isinstance(demand, Law):
        return demand
    data: dict[str, Any] = {"law": demand} if isinstance(demand, str) else dict(demand)
    if "law" not in data:
        raise DemandError(f"demand must name its law (got {data!r}); known: {', '.join(LAWS)}")
    name = str(data["law"])
    if name not in LAWS:
        raise DemandError(f"unknown demand law {name!r}{nearest(name, LAWS)}")
    if mean is not None and "mean" in LAWS[name].model_fields:
        data.setdefault("mean", mean)
    try:
        return LAWS[name].model_validate(data)
    except ValidationError as error:
        defects = "; ".join(text for _, text in describe_all(error, LAWS[name]))
        raise DemandError(f"demand {name}: {defects}") from None
