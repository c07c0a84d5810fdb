"""Published examples of the guaranteed-service model, for a first try and for tests. Times are days.

From S. C. Graves and S. P. Willems, Supply Chain Design: Safety Stock Placement and Supply Chain Configuration
(Handbooks in Operations Research and Management Science 11, 2003), and Optimizing Strategic Safety Stock
Placement in Supply Chains (M&SOM 2(1), 2000); and from L. V. Snyder and Z.-J. M. Shen, Fundamentals of Supply
Chain Theory (2nd ed., 2019), chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scipy.special import ndtri

from echelon.baselines.stage_network import StageNetwork


@dataclass(frozen=True)
class _Chain:
    """An example as Graves and Willems print it: by stage the time, the cost that it adds, and its suppliers."""

    holding_rate: float
    """Per year, as a share of the cost accumulated so far."""
    stages: Mapping[str, tuple[float, float, Sequence[str]]]
    customers: Mapping[str, tuple[float, float, int]]
    """By stage the mean and the standard deviation of daily demand, and the service time that is promised."""

    def network(self, name: str) -> StageNetwork:
        """The example at 95 % service (z = 1.645), with costs per year."""
        costs: dict[str, float] = {}
        stages: list[dict[str, Any]] = []
        for stage, (time, added, suppliers) in self.stages.items():
            costs[stage] = added + sum(costs[supplier] for supplier in suppliers)
            fields = {"name": stage, "stage_time": time, "holding_cost": self.holding_rate * costs[stage]}
            stages.append({**fields, "suppliers": list(suppliers)})
            if stage in self.customers:
                mean, sd, promised = self.customers[stage]
                stages[-1] |= {"demand_mean": mean, "demand_sd": sd, "safety_factor": 1.645, "service_time": promised}
        description = "Graves and Willems (2003), at 95 % service; costs per year."
        return StageNetwork.from_dict({"name": name, "description": description, "stages": stages})


@dataclass(frozen=True)
class _Tree:
    """An example as Snyder and Shen print it. Stages are numbered from 1, as in the book."""

    times: Sequence[float]
    holding_costs: Sequence[float]
    arcs: Sequence[tuple[int, int]]
    """Supplier and receiver."""
    customers: Mapping[int, tuple[float, int]]
    """By stage the standard deviation of demand and the service time that is promised; the mean is left out."""
    safety_factor: float
    inbound_service_times: Mapping[int, int]

    def network(self, name: str) -> StageNetwork:
        """The example with the numbers of the stages as their names."""
        stages: list[dict[str, Any]] = []
        for number, (time, holding_cost) in enumerate(zip(self.times, self.holding_costs, strict=True), start=1):
            stages.append(
                {
                    "name": str(number),
                    "stage_time": time,
                    "holding_cost": holding_cost,
                    "suppliers": [str(supplier) for supplier, receiver in self.arcs if receiver == number],
                    "inbound_service_time": self.inbound_service_times.get(number, 0),
                }
            )
            if number in self.customers:
                sd, promised = self.customers[number]
                stages[-1] |= {"demand_sd": sd, "safety_factor": self.safety_factor, "service_time": promised}
        description = f"Snyder and Shen (2019), {name.split('/')[1].replace('-', ' ')}."
        return StageNetwork.from_dict({"name": name, "description": description, "stages": stages})


_BULLDOZER = _Chain(
    holding_rate=0.3,
    stages={
        "Boggie": (11, 575, ()),
        "Brake": (8, 3850, ()),
        "Case": (15, 2200, ()),
        "Engine": (7, 4500, ()),
        "Fans": (12, 650, ()),
        "Fender": (9, 900, ()),
        "Drive_Group": (9, 1550, ()),
        "Frame_Assembly": (19, 605, ()),
        "Pin_Assembly": (35, 90, ()),
        "Plant_Carrier": (9, 155, ()),
        "Platform": (6, 725, ()),
        "Roll_Over": (8, 1150, ()),
        "Track_Roller": (10, 3000, ()),
        "Transmission": (15, 7450, ()),
        "Case&Frame": (16, 1500, ("Case", "Frame_Assembly")),
        "Final_Drive&Brake": (6, 3680, ("Brake", "Drive_Group")),
        "Chassis&Platform": (7, 4320, ("Fender", "Plant_Carrier", "Platform", "Roll_Over")),
        "Common_Subassembly": (5, 8000, ("Transmission", "Final_Drive&Brake", "Case&Frame")),
        "Dressed_Out_Engine": (10, 4100, ("Engine", "Fans")),
        "Suspension": (7, 3600, ("Pin_Assembly", "Boggie", "Track_Roller")),
        "Main_Assembly": (8, 12000, ("Common_Subassembly", "Dressed_Out_Engine", "Chassis&Platform")),
        "Final_Assembly": (4, 8000, ("Main_Assembly", "Suspension")),
    },
    customers={"Final_Assembly": (5, 3, 0)},
)
_BATTERY = _Chain(
    holding_rate=0.25,
    stages={
        "EMD": (2, 0.13, ()),
        "Spun_Zinc": (2, 0.05, ()),
        "Separator": (2, 0.02, ()),
        "Nail_Wire": (24, 0.02, ()),
        "Label": (28, 0.06, ()),
        "Other_Raw_Materials": (1, 0.24, ()),
        "Packaging_A": (28, 0.16, ()),
        "Packaging_B": (28, 0.24, ()),
        "Packaging_C": (28, 0.36, ()),
        "Bulk_Battery_Manufacturing": (
            *(5, 0.07),
            ("EMD", "Spun_Zinc", "Separator", "Nail_Wire", "Label", "Other_Raw_Materials"),
        ),
        "Pack_SKU_A": (11, 0.07, ("Bulk_Battery_Manufacturing", "Packaging_A")),
        "Pack_SKU_B": (11, 0.12, ("Bulk_Battery_Manufacturing", "Packaging_B")),
        "Pack_SKU_C": (9, 0.24, ("Bulk_Battery_Manufacturing", "Packaging_C")),
        "Central_DC_A": (6, 0.02, ("Pack_SKU_A",)),
        "Central_DC_B": (6, 0.01, ("Pack_SKU_B",)),
        "Central_DC_C": (4, 0.01, ("Pack_SKU_C",)),
        "East_DC_A": (4, 0.0, ("Pack_SKU_A",)),
        "East_DC_B": (4, 0.01, ("Pack_SKU_B",)),
        "East_DC_C": (4, 0.01, ("Pack_SKU_C",)),
        "West_DC_A": (5, 0.01, ("Pack_SKU_A",)),
        "West_DC_B": (8, 0.03, ("Pack_SKU_B",)),
        "West_DC_C": (6, 0.06, ("Pack_SKU_C",)),
    },
    customers={
        "Central_DC_A": (43422, 67236, 0),
        "Central_DC_B": (16350, 39552, 0),
        "Central_DC_C": (5536, 11213, 0),
        "East_DC_A": (67226, 109308, 0),
        "East_DC_B": (15765, 34079, 0),
        "East_DC_C": (6416, 14125, 0),
        "West_DC_A": (65638, 119901, 0),
        "West_DC_B": (10597, 23277, 0),
        "West_DC_C": (3519, 6576, 0),
    },
)
_DIGITAL_CAMERA = _Chain(
    holding_rate=0.24,
    stages={
        "Camera": (60, 750, ()),
        "Imager": (60, 950, ()),
        "Circuit_Board": (40, 650, ()),
        "Other_Parts_L_60": (60, 150, ()),
        "Other_Parts_M_60": (150, 200, ()),
        "Build_Test_Pack": (
            *(6, 250),
            ("Camera", "Imager", "Circuit_Board", "Other_Parts_L_60", "Other_Parts_M_60"),
        ),
        "Transfer": (2, 50, ("Build_Test_Pack",)),
        "Ship": (3, 0, ("Transfer",)),
    },
    customers={"Ship": (11, 7, 5)},
)


_EXAMPLE_6_3 = _Tree((1, 0, 1), (7, 4, 2), ((3, 2), (2, 1)), {1: (1, 1)}, 1.0, {3: 1})
_EXAMPLE_6_5 = _Tree((2, 1, 1, 1), (1, 3, 2, 3), ((1, 3), (3, 2), (3, 4)), {2: (1, 0), 4: (1, 1)}, 1.0, {1: 1})
_FIGURE_6_14 = _Tree(
    times=(2, 3, 2, 4, 2, 3, 6, 4, 3, 2),
    holding_costs=(0.01, 0.03, 0.04, 0.06, 0.12, 0.13, 0.2, 0.08, 0.04, 0.5),
    arcs=((1, 2), (2, 3), (3, 5), (4, 5), (5, 6), (6, 10), (7, 10), (8, 10), (9, 10)),
    customers={10: (10, 2)},
    safety_factor=float(ndtri(0.95)),
    inbound_service_times={},
)
_PROBLEM_6_7 = _Tree((2, 1, 1), (4, 3, 2), ((3, 2), (2, 1)), {1: (10, 0)}, 4.0, {3: 1})
_PROBLEM_6_8 = _Tree(
    times=(5, 10, 2, 15, 8, 5, 9, 5, 1, 5),
    holding_costs=(5.73, 4.56, 3.04, 2.93, 2.47, 2.37, 1.15, 1.1, 0.98, 0.87),
    arcs=tuple((stage + 1, stage) for stage in range(1, 10)),
    customers={1: (15.8, 3)},
    safety_factor=float(ndtri(0.98)),
    inbound_service_times={10: 7},
)
_PROBLEM_6_9 = _Tree(
    times=(7, 7, 21, 3, 8, 2),
    holding_costs=tuple(cost / 365 for cost in (44, 28, 18, 1, 4, 1.5)),
    arcs=((3, 1), (3, 2), (4, 3), (5, 3), (6, 5)),
    customers={1: (4.1, 3), 2: (6.2, 3)},
    safety_factor=4.0,
    inbound_service_times={},
)

_EXAMPLES: dict[str, _Chain | _Tree] = {
    "bulldozer": _BULLDOZER,
    "battery": _BATTERY,
    "digital_camera": _DIGITAL_CAMERA,
    "snyder_shen/example-6.3": _EXAMPLE_6_3,
    "snyder_shen/example-6.5": _EXAMPLE_6_5,
    "snyder_shen/figure-6.14": _FIGURE_6_14,
    "snyder_shen/problem-6.7": _PROBLEM_6_7,
    "snyder_shen/problem-6.8": _PROBLEM_6_8,
    "snyder_shen/problem-6.9": _PROBLEM_6_9,
}

STAGE_EXAMPLES: dict[str, Callable[[], StageNetwork]] = {
    name: partial(example.network, name) for name, example in _EXAMPLES.items()
}
"""The examples by name, each to be built; their least costs are in the tests."""
