"""Slow, obvious versions of what the package computes, written from the formulas."""
