"""Samplers x seeds on one experiment: runs, one CSV, curves, fronts and tests; and what the poster showed."""
