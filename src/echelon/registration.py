"""Registration with Gymnasium, without loading the environments."""

from __future__ import annotations

import gymnasium

PROBLEM_IDS = (
    "echelon/SingleLocation-v0",
    "echelon/LostSales-v0",
    "echelon/Serial-v0",
    "echelon/BeerGame-v0",
    "echelon/OneWarehouse-v0",
    "echelon/DualSourcing-v0",
    "echelon/Perishable-v0",
    "echelon/Assembly-v0",
    "echelon/ConsumerGoods-v0",
    "echelon/MinMaxCase-v0",
    "echelon/Network-v0",
)
"""The ids of the catalogue; a test compares them."""


def register_all() -> None:
    """Register every problem of the catalogue: one id serves `make` and `make_vec`."""
    for problem_id in PROBLEM_IDS:
        gymnasium.register(
            id=problem_id,
            entry_point="echelon.envs.gym_env:make_env",
            vector_entry_point="echelon.envs.gym_env:make_vector_env",
            kwargs={"problem_id": problem_id},
        )
