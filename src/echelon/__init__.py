"""Echelon: which replenishment policy is best on this network, by how much, how far from optimal?"""

__version__ = "0.1.0"
