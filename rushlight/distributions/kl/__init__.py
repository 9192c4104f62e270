"""Kullback-Leibler divergences.

registry: finding the formula for a pair of types; same: between distributions of one family;
between: across families.
"""

from rushlight.distributions.kl import between, same
from rushlight.distributions.kl.registry import (
    kl_divergence,
    register_kl,
)

__all__ = ["kl_divergence", "register_kl"]
