"""Networks, scenarios, dynamics and environments."""
