"""Requantisation in integers: real multiplier <-> 31-bit integer and shift.

This file defines what every kernel computes; the C sources repeat these formulas.

    q = clamp(zero_point + ((acc * multiplier + 2**(shift - 1)) >> shift), low, high)

with a 64-bit product and an arithmetic shift, so halves round towards plus infinity.
"""
