"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import Tensor
from rushlight.distributions import constraints
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.utils import broadcast_all

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of the squares of ``df`` standard normal values: ``Gamma(df / 2, 1 / 2)``.

    Args:
        df: degrees of freedom, > 0.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Chi2(3.0).mean
        tensor(3.)
    """

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (df,) = broadcast_all(df)
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def _event_dims(self) -> dict[str, int]:
        return {"concentration": 0, "rate": 0}

    @property
    def df(self) -> Tensor:
        """Degrees of freedom."""
        return self.concentration * 2
