"""ExponentialFamily: distributions whose entropy and divergence follow from their log
normaliser.
"""

from __future__ import annotations

from typing import Any

from rushlight.core.state import GradMode
from rushlight.core.tensor import Tensor
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import _sum_rightmost
from rushlight.tensor_api.gradients import grad

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    r"""Distributions of the form ``p(x) = exp(<t(x), theta> - F(theta) + k(x))``.

    Subclasses define the natural parameters theta, the log normaliser F, and the expectation of k.
    ``entropy`` is ``F - <theta, dF/dtheta> - E[k]``, whose gradient is found by automatic
    differentiation.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError(f"{type(self).__name__} defines no natural parameters.")

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} defines no log normaliser.")

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no mean carrier measure.")

    def entropy(self) -> Tensor:
        """Expected ``-log_prob`` of a sample, in nats."""
        result = -self._mean_carrier_measure
        with GradMode(True):
            given = self._natural_params
            natural = [p if p.requires_grad else p.detach().requires_grad_() for p in given]
            normalizer = self._log_normalizer(*natural)
            slopes = grad(normalizer.sum(), natural, create_graph=True)
        result = result + normalizer
        for p, slope in zip(natural, slopes, strict=True):
            result = result - _sum_rightmost(p * slope, p.dim() - normalizer.dim())
        return result if any([p.requires_grad for p in given]) else result.detach()
