"""Slow, obvious versions of what the package computes, written from the formulas; and what several test files share."""
