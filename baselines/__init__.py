"""Baselines: what the field and industry plan with, one method a file.

A plan is made by name (`make_plan`, `BASELINES`) or by its function here; the formulas behind it are the
functions of its module, such as `echelon.baselines.serial.clark_scarf`.
"""

from __future__ import annotations

from echelon.baselines import safety_stock as safety_stock
from echelon.baselines.assembly_plan import rosling_plan as rosling_plan
from echelon.baselines.base_stock import base_stock as base_stock
from echelon.baselines.base_stock import capped_base_stock as capped_base_stock
from echelon.baselines.base_stock import echelon_base_stock as echelon_base_stock
from echelon.baselines.bounds import lower_bound as lower_bound
from echelon.baselines.depot_without_stock import eppen_schrage_plan as eppen_schrage_plan
from echelon.baselines.depot_without_stock import federgruen_zipkin_plan as federgruen_zipkin_plan
from echelon.baselines.distribution_bound import clark_scarf_relaxation as clark_scarf_relaxation
from echelon.baselines.dual_sourcing import dual_sourcing_optimal as dual_sourcing_optimal
from echelon.baselines.dual_sourcing_policies import capped_dual_index as capped_dual_index
from echelon.baselines.dual_sourcing_policies import dual_index as dual_index
from echelon.baselines.dual_sourcing_policies import single_index as single_index
from echelon.baselines.dual_sourcing_policies import tailored_base_surge as tailored_base_surge
from echelon.baselines.eoq import eoq_plan as eoq_plan
from echelon.baselines.erp_policies import ddmrp_plan as ddmrp_plan
from echelon.baselines.erp_policies import drp_plan as drp_plan
from echelon.baselines.erp_policies import dynamic_stock_plan as dynamic_stock_plan
from echelon.baselines.finite_horizon import finite_horizon_plan as finite_horizon_plan
from echelon.baselines.guaranteed_service import GuaranteedService as GuaranteedService
from echelon.baselines.guaranteed_service import cost_of_service_times as cost_of_service_times
from echelon.baselines.guaranteed_service import guaranteed_service as guaranteed_service
from echelon.baselines.guaranteed_service_plan import guaranteed_service_plan as guaranteed_service_plan
from echelon.baselines.information_relaxation import information_relaxation as information_relaxation
from echelon.baselines.lost_sales import lost_sales_optimal as lost_sales_optimal
from echelon.baselines.lost_sales_levels import constant_order as constant_order
from echelon.baselines.lost_sales_levels import lost_sales_base_stock as lost_sales_base_stock
from echelon.baselines.lost_sales_levels import lost_sales_capped_base_stock as lost_sales_capped_base_stock
from echelon.baselines.lost_sales_policies import myopic_lost_sales as myopic_lost_sales
from echelon.baselines.lost_sales_policies import projected_inventory_level as projected_inventory_level
from echelon.baselines.lost_sales_policies import vector_base_stock as vector_base_stock
from echelon.baselines.min_max_exact import optimal_min_max_plan as optimal_min_max_plan
from echelon.baselines.min_max_service import service_min_max as service_min_max
from echelon.baselines.myopic import myopic_base_stock_plan as myopic_base_stock_plan
from echelon.baselines.network_stages import NetworkStages as NetworkStages
from echelon.baselines.network_stages import order_up_to_levels as order_up_to_levels
from echelon.baselines.network_stages import stages_of as stages_of
from echelon.baselines.newsvendor import newsvendor_plan as newsvendor_plan
from echelon.baselines.newsvendor_relaxation import newsvendor_relaxation as newsvendor_relaxation
from echelon.baselines.one_for_one_plans import metric_plan as metric_plan
from echelon.baselines.one_for_one_plans import one_for_one_plan as one_for_one_plan
from echelon.baselines.one_for_one_plans import two_moment_plan as two_moment_plan
from echelon.baselines.open_loop import open_loop_optimum as open_loop_optimum
from echelon.baselines.optimal import EXACT_BY_TABLE as EXACT_BY_TABLE
from echelon.baselines.optimal import EXACT_FINITE as EXACT_FINITE
from echelon.baselines.optimal import EXACT_LONG_RUN as EXACT_LONG_RUN
from echelon.baselines.optimal import optimal as optimal
from echelon.baselines.perishable import perishable_optimal as perishable_optimal
from echelon.baselines.perishable_policies import bsp_low_ew as bsp_low_ew
from echelon.baselines.perishable_policies import ewa as ewa
from echelon.baselines.perishable_policies import perishable_base_stock as perishable_base_stock
from echelon.baselines.plan import Bound as Bound
from echelon.baselines.plan import Plan as Plan
from echelon.baselines.power_approximation import power_approximation_plan as power_approximation_plan
from echelon.baselines.reference import reference_of as reference_of
from echelon.baselines.registry import BASELINES as BASELINES
from echelon.baselines.registry import make_plan as make_plan
from echelon.baselines.registry import option_defects as option_defects
from echelon.baselines.reorder import min_max as min_max
from echelon.baselines.reorder_lots_exact import optimal_reorder_lots_plan as optimal_reorder_lots_plan
from echelon.baselines.seasonal_service import SeasonalDemand as SeasonalDemand
from echelon.baselines.seasonal_service import SeasonalGuaranteedService as SeasonalGuaranteedService
from echelon.baselines.seasonal_service import seasonal_service as seasonal_service
from echelon.baselines.serial import clark_scarf as clark_scarf
from echelon.baselines.serial import clark_scarf_plan as clark_scarf_plan
from echelon.baselines.serial import serial_cost as serial_cost
from echelon.baselines.serial import shang_song as shang_song
from echelon.baselines.serial import shang_song_plan as shang_song_plan
from echelon.baselines.serial_min_max import serial_min_max_plan as serial_min_max_plan
from echelon.baselines.service_analysis import service_time_sensitivity as service_time_sensitivity
from echelon.baselines.service_analysis import stage_table as stage_table
from echelon.baselines.service_analysis import time_sensitivity as time_sensitivity
from echelon.baselines.service_analysis import what_if as what_if
from echelon.baselines.service_sweep import postponement as postponement
from echelon.baselines.service_sweep import service_level_sweep as service_level_sweep
from echelon.baselines.stage_examples import STAGE_EXAMPLES as STAGE_EXAMPLES
from echelon.baselines.stage_network import Stage as Stage
from echelon.baselines.stage_network import StageNetwork as StageNetwork
from echelon.baselines.wagner_whitin import wagner_whitin_plan as wagner_whitin_plan
from echelon.baselines.willems_stages import load_willems_stages as load_willems_stages
