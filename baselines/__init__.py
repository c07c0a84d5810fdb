"""Baselines: what the field and industry plan with, one method a file."""

from __future__ import annotations

from echelon.baselines.base_stock import base_stock as base_stock
from echelon.baselines.base_stock import capped_base_stock as capped_base_stock
from echelon.baselines.base_stock import echelon_base_stock as echelon_base_stock
from echelon.baselines.newsvendor import newsvendor_plan as newsvendor_plan
from echelon.baselines.optimal import QUICK as QUICK
from echelon.baselines.optimal import THOROUGH as THOROUGH
from echelon.baselines.optimal import optimal as optimal
from echelon.baselines.optimal import reference_of as reference_of
from echelon.baselines.plan import Bound as Bound
from echelon.baselines.plan import Plan as Plan
from echelon.baselines.registry import BASELINES as BASELINES
from echelon.baselines.registry import make_plan as make_plan
from echelon.baselines.registry import option_defects as option_defects
from echelon.baselines.reorder import min_max as min_max
from echelon.baselines.serial import clark_scarf as clark_scarf
from echelon.baselines.serial import clark_scarf_plan as clark_scarf_plan
from echelon.baselines.serial import serial_cost as serial_cost
from echelon.baselines.serial import shang_song as shang_song
