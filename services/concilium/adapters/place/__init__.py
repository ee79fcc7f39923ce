"""Placement: which adapters are loaded on a replica, which wait in memory, which go first."""
