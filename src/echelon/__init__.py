"""Echelon: which replenishment policy is best on this network, by how much, how far from optimal?"""

from echelon.registration import register_all

__version__ = "0.1.0"

register_all()
