"""OptunaHub's entrance to tinypareto's sampler; all of it lives in the package."""

from tinypareto import ARSSampler

__all__ = ["ARSSampler"]
